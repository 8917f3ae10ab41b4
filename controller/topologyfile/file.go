// Package topologyfile is the source of the intent that people write with an
// editor: a file that is taken in when it changes.
package topologyfile

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/internal/filewatch"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/intent"
)

// A File is a topology file. It implements [ledger.Source].
type File struct {
	path       string
	allowEmpty bool
	log        *zap.Logger
	reload     chan struct{} // capacity 1: it is to be read again
	content    []byte        // that Load has read, until Follow knows it
}

// New returns the topology file at path. Without allowEmpty, a file with nothing
// in it is a mistake: taking it in would remove everything that it has declared.
func New(path string, allowEmpty bool, log *zap.Logger) *File {
	return &File{path: path, allowEmpty: allowEmpty, log: log, reload: make(chan struct{}, 1)}
}

// Name returns the path.
func (f *File) Name() string { return f.path }

// Reload has Follow read the file now, whether it has changed or not.
func (f *File) Reload() {
	select {
	case f.reload <- struct{}{}:
	default: // it is about to be read
	}
}

// firstLook is how often Load looks at a file that somebody writes.
const firstLook = 50 * time.Millisecond

// Load reads the file, when nobody has it open for writing any more. The error
// lists all mistakes, each at its place.
func (f *File) Load(ctx context.Context, check func(*routing.Model) error) (ledger.Contents, error) {
	tick := time.NewTicker(firstLook)
	defer tick.Stop()
	for told := false; ; told = true {
		data, err := filewatch.Read(f.path)
		if err == nil {
			f.content = data
			return f.parse(data, check)
		}
		if !errors.Is(err, filewatch.ErrBusy) {
			return ledger.Contents{}, fmt.Errorf("read topology: %w", err)
		}
		if !told {
			f.log.Warn("somebody has the topology open for writing, waiting until it is closed", zap.String("file", f.path))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ledger.Contents{}, context.Cause(ctx)
		}
	}
}

func (f *File) parse(data []byte, check func(*routing.Model) error) (ledger.Contents, error) {
	m, warnings, err := intent.ParseFor(f.path, data, check)
	if err != nil {
		return ledger.Contents{}, err
	}
	if m.Len() == 0 && !f.allowEmpty {
		return ledger.Contents{}, fmt.Errorf("%s: it has no networks, routers or ports; taking it in would remove everything that it has declared, "+
			"so nothing was changed: use --allow-empty if you mean it", f.path)
	}
	debug.FreeOSMemory() // reading a file takes several times what it leaves
	c := ledger.Contents{Complete: true, Loaded: time.Now(), Model: m}
	for _, w := range warnings {
		f.log.Warn("topology", zap.Stringer("warning", w))
		c.Warnings = append(c.Warnings, w.String())
	}
	return c, nil
}

// Follow tells each new version of the file, when it is whole.
func (f *File) Follow(ctx context.Context, check func(*routing.Model) error, tell func(ledger.Contents, error) error) error {
	type version struct {
		data []byte
		err  error
	}
	versions := make(chan version) // none: the file is not looked at while one is taken in
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		w := filewatch.Watcher{
			Path: f.path,
			Changed: func(data []byte, err error) {
				select {
				case versions <- version{data, err}:
				case <-ctx.Done():
				}
			},
			Warn: func(err error) { f.log.Warn("changes of the topology may come late", zap.Error(err)) },
		}
		have := f.content
		f.content = nil // it is of no more use
		return w.Run(ctx, have)
	})
	g.Go(func() error {
		for {
			var v version
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case v = <-versions:
			case <-f.reload:
				if v.data, v.err = filewatch.Read(f.path); errors.Is(v.err, filewatch.ErrBusy) {
					continue // the watcher tells when it is closed
				}
			}
			var c ledger.Contents
			if v.err == nil {
				c, v.err = f.parse(v.data, check)
			}
			if err := tell(c, v.err); err != nil {
				return err
			}
		}
	})
	return g.Wait()
}
