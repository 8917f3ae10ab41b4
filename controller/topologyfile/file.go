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
	reload     chan struct{} // capacity 1: it is to be told again
	content    []byte        // that Load has read, until Follow knows it
}

// New returns the topology file at path. Without allowEmpty, a file with nothing
// in it is a mistake: taking it in would remove everything that it has declared.
func New(path string, allowEmpty bool, log *zap.Logger) *File {
	return &File{path: path, allowEmpty: allowEmpty, log: log, reload: make(chan struct{}, 1)}
}

// Name returns the path.
func (f *File) Name() string { return f.path }

// Reload has Follow tell what the file has now, whether it has changed or not.
func (f *File) Reload() {
	select {
	case f.reload <- struct{}{}:
	default: // it is about to be told
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
	w := filewatch.Watcher{
		Path:  f.path,
		Again: f.reload,
		Warn:  func(err error) { f.log.Warn("changes of the topology may come late", zap.Error(err)) },
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	w.Changed = func(data []byte, err error) {
		var c ledger.Contents
		if err == nil {
			c, err = f.parse(data, check)
		}
		if err := tell(c, err); err != nil {
			end(err)
		}
	}
	have := f.content
	f.content = nil // it is of no more use
	return w.Run(ctx, have)
}
