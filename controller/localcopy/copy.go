// Package localcopy keeps a copy of the intent of etcd on the disk of this host. A daemon that starts
// while etcd does not answer uses the copy, so that the machines of a host that was restarted have
// their routers.
package localcopy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/internal/ownfile"
	"github.com/ofdvr/ofdvr/routing"
)

const (
	// startPatience is the time, at the start, that the source has to load. Then the copy is used until
	// the source has loaded.
	startPatience = 800 * time.Millisecond
	// rest is the least time between two writes of the copy, and restFailed that after an error.
	rest, restFailed = time.Second, 30 * time.Second
)

// An Origin is the store that a copy is of: some servers of etcd, and the prefix of keys.
type Origin struct {
	Endpoints []string `json:"endpoints"`
	Prefix    string   `json:"prefix"`
}

// same reports whether two origins have the same prefix and a server in common.
func (o Origin) same(p Origin) bool {
	return o.Prefix == p.Prefix && slices.ContainsFunc(o.Endpoints, func(e string) bool { return slices.Contains(p.Endpoints, e) })
}

// A Copy is the copy in one directory. The directory has a store of package store, and the file
// origin.json.
type Copy struct {
	dir    string
	origin Origin
	log    *zap.Logger

	wake    chan struct{} // capacity 1; full if the intent has changed
	problem atomic.Pointer[error]
	used    atomic.Bool
}

// New returns the Copy in a directory, which need not exist.
func New(dir string, o Origin, log *zap.Logger) *Copy {
	return &Copy{dir: dir, origin: o, log: log, wake: make(chan struct{}, 1)}
}

// Load implements [ledger.Reader].
func (c *Copy) Load(*ledger.Intent, []string) {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Problem returns why the copy could not be written last, or nil.
func (c *Copy) Problem() error {
	if err := c.problem.Load(); err != nil {
		return *err
	}
	return nil
}

// Used reports whether the store made by Over has the objects of the copy, because it could not be read
// since the start.
func (c *Copy) Used() bool { return c.used.Load() }

// Run writes the intent at the start and after each call of Load, at most once a second, until ctx is
// done. Only one process at a time may run it.
func (c *Copy) Run(ctx context.Context, intent func() *ledger.Intent) error {
	var w writer
	defer func() {
		c.write(&w, intent()) // what has changed last
		w.close()
	}()
	c.Load(nil, nil)
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.wake:
		}
		pause := rest
		err := c.write(&w, intent())
		if err != nil {
			c.log.Warn("could not write the copy of the intent on this host's disk, will retry", zap.Error(err))
			pause = restFailed
			c.Load(nil, nil)
		}
		c.problem.Store(&err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// A writer is the open store of a Copy.
type writer struct {
	store    *store.Store   // nil if not open
	has      *routing.Index // what is in it
	complete bool
}

func (w *writer) close() {
	if w.store != nil {
		w.store.Close()
	}
	*w = writer{}
}

// write writes an intent, unless its source could not be read completely.
func (c *Copy) write(w *writer, in *ledger.Intent) error {
	if !whole(in) {
		return nil
	}
	if w.store == nil {
		if err := c.open(w); err != nil {
			return err
		}
	}
	change := w.has.ChangeTo(in.Index)
	if change.Len() == 0 && w.complete == in.Complete {
		return nil
	}
	if err := w.store.Commit(in.Revision, in.Complete, change); err != nil {
		w.close()
		return err
	}
	w.has, w.complete = in.Index, in.Complete
	return nil
}

// whole reports whether the shared source of an intent was read completely, and is not a copy.
func whole(in *ledger.Intent) bool {
	for _, s := range in.Sources {
		if s.Role == ledger.Shared {
			return s.Err == nil && !s.Partial && !s.Loading
		}
	}
	return false
}

// open opens the store. It replaces a damaged store, and a copy of another origin.
func (c *Copy) open(w *writer) error {
	if of, err := c.of(); err == nil && !of.same(c.origin) {
		if err := os.Remove(filepath.Join(c.dir, store.FileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := ownfile.MkdirAll(c.dir); err != nil {
		return err
	}
	s, err := store.Open(c.dir)
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrForeign) {
		c.log.Warn("the copy of the intent on this host's disk is damaged, making a new one and keeping this one as "+store.FileName+".damaged", zap.Error(err))
		file := filepath.Join(c.dir, store.FileName)
		if err := os.Rename(file, file+".damaged"); err != nil {
			return err
		}
		s, err = store.Open(c.dir)
	}
	if err != nil {
		return err
	}
	contents, err := s.Load(nil)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(c.origin); err == nil {
			err = ownfile.WriteFile(filepath.Join(c.dir, originFile), text, 0o600)
		}
	}
	if err != nil {
		s.Close()
		return err
	}
	*w = writer{s, routing.NewIndex(contents.Model), contents.Complete}
	return nil
}

const originFile = "origin.json"

// of returns the origin of the copy on the disk.
func (c *Copy) of() (o Origin, err error) {
	text, err := ownfile.ReadFile(filepath.Join(c.dir, originFile))
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	return o, err
}

// read returns the objects of the copy on the disk, and when they were written. An error that wraps
// [fs.ErrNotExist] means that there is no copy of this origin.
func (c *Copy) read() (m *routing.Model, at time.Time, err error) {
	of, err := c.of()
	if err != nil {
		return nil, at, err
	}
	if !of.same(c.origin) {
		return nil, at, fmt.Errorf("%s is a copy of another etcd: %w", c.dir, fs.ErrNotExist)
	}
	info, err := os.Stat(filepath.Join(c.dir, store.FileName))
	if err != nil {
		return nil, at, err
	}
	m = store.Salvage(c.dir).Model
	if m.Len() == 0 {
		return nil, at, fmt.Errorf("%s has no objects that can be read: %w", c.dir, fs.ErrNotExist)
	}
	return m, info.ModTime(), nil
}

// Over returns s as a store that has the objects of the copy if it cannot be read at the start.
func (c *Copy) Over(s ledger.Store) ledger.Store { return &backed{Store: s, copy: c} }

type backed struct {
	ledger.Store
	copy    *Copy
	started bool // Load was called; owned by the goroutine that calls it
}

// Load implements [ledger.Source].
func (b *backed) Load(ctx context.Context) (ledger.Contents, error) {
	if b.started {
		contents, err := b.Store.Load(ctx)
		if err == nil && contents.Err == nil {
			b.copy.used.Store(false)
		}
		return contents, err
	}
	b.started = true
	m, at, err := b.copy.read()
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			b.copy.log.Warn("could not read the copy of the intent on this host's disk", zap.Error(err))
		}
		return b.Store.Load(ctx)
	}
	soon, cancel := context.WithTimeoutCause(ctx, startPatience, fmt.Errorf("%s did not answer within %v", b.Name(), startPatience))
	defer cancel()
	contents, err := b.Store.Load(soon)
	if ctx.Err() != nil || err == nil && contents.Err == nil {
		return contents, err
	}
	why := fmt.Errorf("%w; in use is the copy on this host's disk of %s", cmp.Or(contents.Err, err), at.Format(time.DateTime))
	b.copy.used.Store(true)
	return ledger.Contents{Model: m, Loaded: at, Err: why, Warnings: contents.Warnings, Loading: contents.Loading, Span: contents.Span}, nil
}
