// Package store keeps the intent that is written over HTTP in one file: hosts, networks, routers
// and ports. After a crash or a power failure, the file has exactly the confirmed commits, and
// perhaps the unfinished commit.
//
// The file is a bbolt database with a bucket for each kind of object, and a bucket called meta. In
// an object's bucket the key is the ID, and the value is a checksum and the object as JSON in the
// topology language. The bucket meta has the schema version, the revision, and for each kind the
// number of objects and the sum of their checksums. So damage in any part of the file is detected.
// A damaged file is reported and not overwritten.
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

// A Store is an open store. Its methods are safe for concurrent use. Reads and writes wait for
// each other.
type Store struct {
	path string
	why  atomic.Pointer[error] // reason why writes fail; nil if they work
	size atomic.Pointer[Size]  // size after the last commit

	mu     sync.Mutex
	file   *handle // nil after a failure, until the file is opened again
	raw    string  // the summary record as last loaded or committed
	closed bool
}

// Open opens the store in directory dir for this process alone, and checks all of it before it
// writes anything. If no store exists, Open creates it, and the directory if needed. Open migrates
// a store of an older schema version, and keeps a copy of the old file in the same directory.
//
// If the file can be read but not written, Open succeeds, see [Store.ReadOnly]. Errors wrap
// [ErrCorrupt], [ErrForeign], [ErrNewer], [ErrLocked], [ErrReadOnly] or [ErrFull] if one of these
// applies. An empty file is corrupt. A crash cannot leave an empty file, because a new file gets
// its name when it is complete.
func Open(dir string) (*Store, error) {
	s := &Store{path: filepath.Join(dir, FileName)}
	h, err := openHandle(s.path, migrations, false)
	if errors.Is(err, fs.ErrNotExist) {
		if err = create(s.path); err == nil || errors.Is(err, fs.ErrExist) { // another process was faster
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

// ReadOnly returns the reason why writes currently fail, or nil if they work. The error wraps
// [ErrReadOnly], or is the error of opening the file again after a failure. Each [Store.Commit]
// tries to open the file again.
func (s *Store) ReadOnly() error {
	if why := s.why.Load(); why != nil {
		return *why
	}
	return nil
}

// A Size is the size of a store.
type Size struct {
	Bytes int64 // of the file
	Free  int64 // the part of Bytes in free pages
}

// Size returns the size after the store was last opened or written. It does not wait for a
// commit.
func (s *Store) Size() Size {
	if size := s.size.Load(); size != nil {
		return *size
	}
	return Size{}
}

// Close closes the store. It waits for running operations.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.drop()
}

// use sets h as the open file.
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

// cannot sets the reason for which writes fail. nil means that writes work.
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

// ready opens the file if it is not open, or if another file has its name now.
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

// Contents has all objects of a store.
type Contents struct {
	Revision uint64
	Complete bool           // the argument of the last Commit; false before the first
	Model    *routing.Model // sorted by ID; not validated
}

// Load reads all objects from disk. It checks all checksums and counts, and decodes each object.
// progress may be nil. Load calls it periodically, and at the end, with the number of objects that
// have been read. progress must not use the Store. Errors wrap the same errors as in [Open].
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

// progressEvery is the number of objects between calls of progress.
const progressEvery = 1024

func (s *Store) load(progress func(done, total int)) (Contents, error) {
	c := Contents{Model: new(routing.Model)}
	done, total := 0, 0
	report := func() {
		if progress != nil {
			progress(done, total)
		}
	}
	add := adder(c.Model)
	h, err := s.file.scan(scan{
		begin: func(h header) {
			total = h.summary.objects()
			reserve(c.Model, &h.summary)
			report()
		},
		found: func(k kind, key, text []byte) error {
			if done++; done%progressEvery == 0 {
				report()
			}
			return add(k, key, text)
		},
	})
	if err != nil {
		err = classify(err)
		s.drop() // the next write checks the file first
		s.cannot(err)
		return c, err
	}
	if done%progressEvery != 0 {
		report()
	}
	s.raw = h.raw
	c.Revision, c.Complete = h.summary.Revision, h.summary.Complete
	return c, nil
}

// reserve allocates memory in m for the objects of s. It only saves time, so the counts in s may be
// wrong.
func reserve(m *routing.Model, s *summary) {
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
		case hosts:
			var v routing.Host
			if v, err = topology.ParseHost(text); err == nil {
				id, m.Hosts = v.ID, append(m.Hosts, v)
			}
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
			return corrupt("the object has ID %q", id)
		}
		return nil
	}
}

// guard calls f, which reads memory that is mapped from a file. If the file has become shorter or
// unreadable, an access to the memory faults. If the file is damaged, bbolt panics. In both cases
// guard returns an error, and panicked is true.
func guard(f func() error) (panicked bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			panicked, err = true, corrupt("while it was in use: %v", r)
		}
	}()
	return false, f()
}

// syncDir syncs dir, so that the names of its files are durable.
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
