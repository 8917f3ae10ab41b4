// Package topologyfile is a source of the intent: a file that people edit. It loads the file again
// whenever it changes.
package topologyfile

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/internal/filewatch"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// A File is a topology file. It implements [ledger.Source].
type File struct {
	path       string
	allowEmpty bool
	log        *zap.Logger
	reload     chan struct{} // capacity 1: report the file again
	content    []byte        // read by Load, until Follow starts
	version    version
}

// New returns the topology file at path. Unless allowEmpty is true, a file without objects is an
// error, because loading it would remove everything that it declared before.
func New(path string, allowEmpty bool, log *zap.Logger) *File {
	return &File{path: path, allowEmpty: allowEmpty, log: log, reload: make(chan struct{}, 1)}
}

// Name returns the path.
func (f *File) Name() string { return f.path }

// Role implements [ledger.Source].
func (f *File) Role() ledger.Role { return ledger.Declared }

// Reload makes Follow report the file's contents, whether they have changed or not.
func (f *File) Reload() {
	select {
	case f.reload <- struct{}{}:
	default: // already requested
	}
}

// Load reads the file when no process has it open for writing, see [filewatch.Watcher], and
// returns the objects without mistakes. The error is ctx's.
func (f *File) Load(ctx context.Context) (ledger.Contents, error) {
	if _, err := filewatch.Read(f.path); errors.Is(err, filewatch.ErrBusy) {
		f.log.Warn("another process has the topology open for writing, waiting until it is closed", zap.String("file", f.path))
	}
	var failed error
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	w := f.watcher()
	w.Changed = func(data []byte, err error) {
		f.content, failed = data, err
		f.version.reported(data, err)
		end(errLoaded)
	}
	switch err := w.Run(ctx, nil); {
	case err != errLoaded:
		return ledger.Contents{}, err
	case failed != nil:
		return ledger.Contents{Model: new(routing.Model), Loaded: time.Now(), Err: fmt.Errorf("read topology: %w", failed)}, nil
	}
	s := topology.ParseUsable(f.path, f.content)
	c := f.contents(s.Model, s.Warnings)
	c.Err, c.Locate = s.Err, s.Locate
	for _, u := range s.Unusable {
		c.Unusable = append(c.Unusable, ledger.Unusable{Object: ledger.Object{Kind: u.Kind, ID: u.ID}, Err: u.Err})
	}
	if s.Model.Len()+len(s.Unusable) == 0 && s.Err == nil && !f.allowEmpty {
		c.Err = f.empty()
	}
	return c, nil
}

// empty is the error for a file without objects.
func (f *File) empty() error {
	return fmt.Errorf("%s: it has no networks, routers or ports, so loading it would remove everything that it declared before: "+
		"use --allow-empty if that is meant", f.path)
}

var errLoaded = errors.New("the file has been read")

func (f *File) watcher() filewatch.Watcher {
	return filewatch.Watcher{
		Path: f.path,
		Warn: func(err error) { f.log.Warn("changes of the topology may be noticed late", zap.Error(err)) },
	}
}

func (f *File) parse(data []byte, compare func(*routing.Model) (routing.Change, error)) (u ledger.Update, err error) {
	m, warnings, err := topology.ParseFor(f.path, data, func(m *routing.Model) (err error) {
		u.Change, err = compare(m)
		return err
	})
	switch {
	case err != nil:
		return ledger.Update{}, err
	case m.Len() == 0 && !f.allowEmpty:
		return ledger.Update{}, f.empty()
	}
	c := f.contents(m, warnings)
	u.Complete, u.Loaded, u.Warnings = c.Complete, c.Loaded, c.Warnings
	return u, nil
}

func (f *File) contents(m *routing.Model, warnings []topology.Warning) ledger.Contents {
	debug.FreeOSMemory() // return memory: parsing takes several times as much as the result
	c := ledger.Contents{Complete: true, Loaded: time.Now(), Model: m}
	for _, w := range warnings {
		c.Warnings = append(c.Warnings, w.String())
	}
	c.Warnings = topology.Condense(c.Warnings)
	for _, w := range c.Warnings {
		f.log.Warn("topology file", zap.String("warning", w))
	}
	return c
}

// Follow reports the change to each new version of the file.
func (f *File) Follow(ctx context.Context, _ uint64, compare func(*routing.Model) (routing.Change, error), report func(ledger.Update) error) error {
	w := f.watcher()
	w.Again = f.reload
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	w.Changed = func(data []byte, unread error) {
		u := ledger.Update{Err: unread}
		if unread == nil {
			var err error
			if u, err = f.parse(data, compare); err != nil {
				u.Err = err
			}
		}
		if err := report(u); err != nil {
			end(err)
		} else {
			f.version.reported(data, unread)
		}
	}
	have := f.content
	f.content = nil // no longer needed
	return w.Run(ctx, have)
}
