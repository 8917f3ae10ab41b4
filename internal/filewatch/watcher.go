// Package filewatch tells when the content of a file has changed, by whatever
// way it is replaced, and never tells half of what somebody is writing.
//
// A file that somebody has open for writing is not read: the kernel says so,
// by refusing a read lease (fcntl(2), F_SETLEASE), and keeps writers waiting for
// the moment that a reading takes. So a file that is written in one go, with
// whatever pauses, is told when it is whole. What no reader can know is that
// somebody will open it again to write more: who writes a file in several goes
// does it under another name and renames it.
//
// Where there are no leases (the file belongs to somebody else and this process
// has no CAP_LEASE, or other machines can write to the file system) a content is
// told when it stayed the same for a second.
package filewatch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// A Watcher tells when the content of a file has changed.
type Watcher struct {
	// Path leads to the file, if need be through symbolic links. None of it need
	// exist. If it is relative, it is taken from where the working directory is
	// when Run begins.
	Path string

	// Changed is told the content whenever it has become another than the one
	// told last, and the error when the file cannot be read any more, or for
	// another reason; then also the content when it can be read again, changed
	// or not. It may keep data. While it runs nothing is told.
	Changed func(data []byte, err error)

	// Again has the content, or the error, told once more for each value that
	// comes, changed or not, as soon as it is certain. nil is never.
	Again <-chan struct{}

	// Warn, if not nil, is told what makes changes come late or less safely,
	// once each time that it begins: the kernel does not tell of changes, there
	// are no leases, somebody has had the file open for writing for long.
	Warn func(err error)

	pace   pace                              // zero: the usual one
	lease  leaser                            // nil: takeLease
	notify func() (*fsnotify.Watcher, error) // nil: fsnotify.NewWatcher
	looked func(*sight)                      // if not nil, is told of each look when it is over; nil: there was nothing to read
}

// errWriter is what Warn is told when a writer takes long.
var errWriter = errors.New("it has been open for writing for long; nothing is read until it is closed")

// Run watches until ctx is done, and calls Changed and Warn on the goroutine
// that it is called on. The caller has the content have; nil means none, then
// Changed is told the first content too, when it is whole. When Run returns,
// every goroutine that it started has ended. The error is ctx's cause unless the
// working directory that Path depends on cannot be found. Of looking at a file
// system that does not answer, ctx does not stop Run.
func (w *Watcher) Run(ctx context.Context, have []byte) error {
	path, err := absolute(w.Path)
	if err != nil {
		return err
	}
	if w.pace == (pace{}) {
		w.pace = usual
	}
	if w.lease == nil {
		w.lease = takeLease
	}
	if w.notify == nil {
		w.notify = fsnotify.NewWatcher
	}
	r := run{Watcher: w, path: path, watches: watches{notify: w.notify}, core: newCore(w.pace, have, time.Now()), warned: make(map[warning]bool)}
	defer r.watches.close()
	timer := time.NewTimer(0) // the first look
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case e := <-r.watches.events():
			if r.watches.concerns(e) {
				r.core.event(time.Now())
			}
		case <-r.watches.errors(): // of whatever kind, some events were lost
			r.watches.stale = true
			r.core.event(time.Now())
		case <-r.Again:
			r.core.forget(time.Now())
		case <-timer.C:
			r.look()
		}
		timer.Reset(time.Until(r.core.next()))
	}
}

// absolute returns path as one that does not depend on the working directory.
// It does not shorten it, as a/../b is not b if a is a symbolic link.
func absolute(path string) (string, error) {
	if path != "" && path[0] == '/' {
		return path, nil
	}
	wd, err := unix.Getwd() // the real one, not what $PWD says
	if err == nil && wd[0] != '/' {
		err = fmt.Errorf("%q is not to be reached", wd)
	}
	if err != nil {
		return "", fmt.Errorf("find the working directory to watch %s: %w", path, err)
	}
	return wd + "/" + path, nil
}

// A run is a Watcher that runs.
type run struct {
	*Watcher
	path    string // absolute
	core    core
	watches watches
	warned  map[warning]bool

	// What the file was when it was last read, and whether it was the same at the
	// reading before, some time earlier. Only then a stamp says that the content
	// is the same: of two changes at one moment the second may leave no trace in it.
	last stamp
	sure bool
}

// A warning is a kind of what Warn is told.
type warning int

const (
	blind warning = iota
	leaseless
	slowWriter
)

// warn tells err, if it is not nil and began just now.
func (r *run) warn(kind warning, err error) {
	if err != nil && !r.warned[kind] && r.Warn != nil {
		r.Warn(fmt.Errorf("watch %s: %w", r.path, err))
	}
	r.warned[kind] = err != nil
}

// look looks at the file once, after it has seen to it that the kernel tells of
// whatever changes from now on.
func (r *run) look() {
	settled := r.watches.follow(r.path)
	r.core.blind = r.watches.err != nil
	r.warn(blind, r.watches.err)

	idle := r.core.idle(time.Now())
	if idle && r.sure && stampOf(os.Stat(r.path)) == r.last {
		r.core.same(time.Now())
		r.over(nil)
	} else {
		s := read(r.path, r.lease)
		r.sure = idle && s.err == nil && s.stamp == r.last
		r.last = s.stamp
		r.saw(s)
	}
	if !settled { // something may have changed unseen
		r.core.event(time.Now())
	}
}

// saw tells what is to be told of s.
func (r *run) saw(s sight) {
	now := time.Now()
	tell := r.core.saw(now, s)
	r.warn(slowWriter, r.core.tooLong(now, errWriter))
	if s.err == nil {
		r.warn(leaseless, s.noLease)
	}
	if tell {
		r.Changed(s.data, s.err)
	}
	r.over(&s)
}

// over says that a look is over.
func (r *run) over(s *sight) {
	if r.looked != nil {
		r.looked(s)
	}
}
