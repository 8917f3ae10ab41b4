// Package store keeps the intent that was written over HTTP: networks, routers
// and ports, in one file, so that what was answered is there after a crash or a
// loss of power, and nothing that was not.
//
// The file is a bbolt database with a bucket for each kind of object, of which
// the key is an ID and the value a checksum and the object as JSON in the words
// of a topology file, and a bucket called meta. That has the schema version, the
// revision, and for each kind how many objects there are and the sum of their
// checksums. So damage is found wherever it is, and told instead of
// overwritten.
package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// FileName is the name of the file in the store's directory.
const FileName = "intent.db"

// A Store is an open store. Its methods may be called from any goroutine; one
// that reads or writes waits for the one before.
type Store struct {
	path string
	why  atomic.Pointer[error] // that nothing can be written
	size atomic.Pointer[Size]  // after the last commit

	mu     sync.Mutex
	file   *handle // nil: after a failure, to be opened anew
	raw    string  // the state that was last loaded or committed
	closed bool
}

// Open opens the store in directory dir, for this process alone, and checks all
// of it before it writes anything. If there is none it makes one, and dir too. A
// store of an older schema version becomes one of the present version; a copy of
// the file as it was is then beside it.
//
// If the file can be read but not written, so can the Store; see
// [Store.ReadOnly]. Errors wrap [ErrCorrupt], [ErrForeign], [ErrNewer],
// [ErrLocked], [ErrReadOnly] or [ErrFull], if it is one of these. A file of no
// bytes is corrupt: no crash leaves that, because a new file gets its name when
// it is whole.
func Open(dir string) (*Store, error) {
	s := &Store{path: filepath.Join(dir, FileName)}
	h, err := openHandle(s.path, migrations, false)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(s.path); err == nil || errors.Is(err, fs.ErrExist) { // somebody else was faster
			h, err = openHandle(s.path, migrations, false)
		}
	}
	if err != nil {
		return nil, explain("open", s.path, classify(err))
	}
	s.use(h)
	s.raw = h.header.raw
	if h.why == nil {
		removeLeftovers(s.path)
	}
	return s, nil
}

// Path returns the name of the file.
func (s *Store) Path() string { return s.path }

// ReadOnly returns nil, or why nothing can be written for now. The error wraps
// [ErrReadOnly], or says what was wrong when the file was opened again after a
// failure. Each [Store.Commit] tries whether it can be written now.
func (s *Store) ReadOnly() error {
	if why := s.why.Load(); why != nil {
		return *why
	}
	return nil
}

// A Size is how large a store is.
type Size struct {
	Bytes int64 // of its file
	Free  int64 // of these, in pages that are free
}

// Size returns how large the store was after it was opened or written last. It
// does not wait for a commit that is under way.
func (s *Store) Size() Size {
	if size := s.size.Load(); size != nil {
		return *size
	}
	return Size{}
}

// Close closes the store. It waits for what is under way.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.drop()
}

// use takes h as the open file.
func (s *Store) use(h *handle) {
	s.file = h
	s.measure()
	s.cannot(h.why)
}

func (s *Store) measure() {
	var size Size
	if info, err := s.file.file.Stat(); err == nil {
		size.Bytes = info.Size()
	}
	if s.file.db != nil {
		stats := s.file.db.Stats()
		size.Free = int64(stats.FreePageN+stats.PendingPageN) * int64(s.file.db.Info().PageSize)
	}
	s.size.Store(&size)
}

func (s *Store) cannot(why error) {
	if why == nil {
		s.why.Store(nil)
		return
	}
	s.why.Store(&why)
}

// drop closes the file, if it is open.
func (s *Store) drop() error {
	if s.file == nil {
		return nil
	}
	h := s.file
	s.file = nil
	return h.close()
}

// ready sees to it that the file is open, and still the one with that name.
func (s *Store) ready() error {
	if s.closed {
		return ErrClosed
	}
	if s.file != nil && s.file.replaced(s.path) {
		s.drop()
	}
	if s.file != nil {
		return nil
	}
	h, err := openHandle(s.path, migrations, true)
	if err != nil {
		err = classify(err)
		s.cannot(err)
		return err
	}
	s.use(h)
	return nil
}

// Contents are everything in a store.
type Contents struct {
	Revision uint64
	Complete bool           // as the last Commit said; false if there was none
	Model    *routing.Model // each kind in the order of IDs; not validated
}

// Load reads everything that is on disk now. It checks each checksum and count
// and decodes each object. progress may be nil; it is told now and then, and at
// the end, how many of all objects have been read, and must not use the Store.
// Errors wrap the same as those of [Open].
func (s *Store) Load(progress func(done, total int)) (Contents, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.ready()
	var c Contents
	if err == nil {
		c, err = s.load(progress)
	}
	if err != nil {
		return Contents{}, explain("load", s.path, err)
	}
	return c, nil
}

// tellEvery is the number of objects after which progress is told.
const tellEvery = 1024

func (s *Store) load(progress func(done, total int)) (Contents, error) {
	c := Contents{Model: new(routing.Model)}
	done, total := 0, 0
	tell := func() {
		if progress != nil {
			progress(done, total)
		}
	}
	add := adder(c.Model)
	h, err := s.file.scan(scan{
		begin: func(h header) {
			total = h.state.objects()
			reserve(c.Model, &h.state)
			tell()
		},
		found: func(k kind, key, text []byte) error {
			if done++; done%tellEvery == 0 {
				tell()
			}
			return add(k, key, text)
		},
	})
	if err != nil {
		err = classify(err)
		s.drop() // what is written next is checked first
		s.cannot(err)
		return c, err
	}
	if done%tellEvery != 0 {
		tell()
	}
	s.raw = h.raw
	c.Revision, c.Complete = h.state.Revision, h.state.Complete
	return c, nil
}

// reserve makes room in m for the objects of s. That count is not to be trusted
// for more than to save time.
func reserve(m *routing.Model, s *state) {
	const most = 1 << 20
	m.Networks = make([]routing.Network, 0, min(max(s.Networks.Count, 0), most))
	m.Routers = make([]routing.Router, 0, min(max(s.Routers.Count, 0), most))
	m.Ports = make([]routing.Port, 0, min(max(s.Ports.Count, 0), most))
}

// adder returns a function that decodes an object and appends it to m.
func adder(m *routing.Model) func(k kind, key, text []byte) error {
	return func(k kind, key, text []byte) error {
		var id string
		var err error
		switch k {
		case networks:
			var v routing.Network
			if v, err = topology.ParseNetwork(text); err == nil {
				id, m.Networks = v.ID, append(m.Networks, v)
			}
		case routers:
			var v routing.Router
			if v, err = topology.ParseRouter(text); err == nil {
				id, m.Routers = v.ID, append(m.Routers, v)
			}
		default:
			var v routing.Port
			if v, err = topology.ParsePort(text); err == nil {
				id, m.Ports = v.ID, append(m.Ports, v)
			}
		}
		switch {
		case err != nil:
			return corrupt("%w", err)
		case !bytes.Equal([]byte(id), key):
			return corrupt("the object says that its ID is %q", id)
		}
		return nil
	}
}

// guard calls f, which reads memory that is mapped from a file. If the file has
// become shorter or cannot be read any more, that is a fault, and with what is
// damaged bbolt panics; either becomes an error, and panicked is true.
func guard(f func() error) (panicked bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			panicked, err = true, corrupt("while it was in use: %v", r)
		}
	}()
	return false, f()
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
