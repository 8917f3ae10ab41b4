// Package filewatch reports changes of a file's content. It supports every method of replacing a
// file, and never reports incomplete content.
//
// A file is read only with a read lease (fcntl(2), F_SETLEASE). The kernel refuses the lease while
// a process has the file open for writing. During a read, the lease blocks writers. So if a program
// writes a file through one open file descriptor, with any pauses, the file is reported when it is
// complete. If a program opens a file several times to write it, no reader can detect that more
// will follow. Such a program should write under another name, and then rename the file.
//
// Leases are not available if the file belongs to another user and this process lacks CAP_LEASE, or
// if other machines can write to the file system. Then a content is reported when it has stayed the
// same for a second.
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

// A Watcher reports changes of a file's content.
type Watcher struct {
	// Path is the path of the file. It may contain symbolic links, and need not exist.
	// A relative path is relative to the working directory when Run begins.
	Path string

	// Changed is called with each content that differs from the last reported content. It is called
	// with an error when the file can no longer be read, or when that error changes. After an error
	// it is called with the next content even if the content is unchanged. Changed may keep data.
	// The Watcher waits until Changed returns.
	Changed func(data []byte, err error)

	// Each value received from Again makes the Watcher report the content or the error once more,
	// even if it is unchanged. Again may be nil.
	Again <-chan struct{}

	// Warn is called when reports begin to be late or less reliable. The reasons are: the kernel
	// does not report changes, leases are not available, or a process has had the file open for
	// writing for long. Warn may be nil.
	Warn func(err error)

	pace   pace                              // zero means usual
	lease  leaser                            // nil means takeLease
	notify func() (*fsnotify.Watcher, error) // nil means fsnotify.NewWatcher
	looked func(*sight)                      // for tests; called after each look, with nil if the file was not read
}

// errWriter is the argument of Warn if a writer takes long.
var errWriter = errors.New("a process has had the file open for writing for long; the file is read after it is closed")

// Run watches the file until ctx is done, and calls Changed and Warn on the calling goroutine. have
// is the content that the caller already has. If it is nil, Changed is called with the first
// complete content too. When Run returns, all goroutines that it started have ended. The error is
// ctx's cause, unless the working directory for a relative Path cannot be determined. Run does not
// return while a file system does not respond.
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
		case <-r.watches.errors(): // any error means that events were lost
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

// absolute returns path as an absolute path. It does not clean it, because a/../b differs
// from b if a is a symbolic link.
func absolute(path string) (string, error) {
	if path != "" && path[0] == '/' {
		return path, nil
	}
	wd, err := unix.Getwd() // not $PWD, which may be wrong
	if err == nil && wd[0] != '/' {
		err = fmt.Errorf("%q is unreachable", wd)
	}
	if err != nil {
		return "", fmt.Errorf("determine the working directory to watch %s: %w", path, err)
	}
	return wd + "/" + path, nil
}

// A run is a running Watcher.
type run struct {
	*Watcher
	path    string // absolute
	core    core
	watches watches
	warned  map[warning]bool

	// The file's stamp at the last read, and whether an earlier read had the same stamp. Only then
	// an equal stamp means equal content: if two changes happen at about the same time, the second
	// one may not change the stamp.
	last stamp
	sure bool
}

// A warning is a kind of condition that Warn reports.
type warning int

const (
	blind warning = iota
	leaseless
	slowWriter
)

// warn calls Warn if err is not nil and the condition has just begun.
func (r *run) warn(kind warning, err error) {
	if err != nil && !r.warned[kind] && r.Warn != nil {
		r.Warn(fmt.Errorf("watch %s: %w", r.path, err))
	}
	r.warned[kind] = err != nil
}

// look looks at the file once. Before that it ensures that the kernel reports all later changes.
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
	if !settled { // a change may have been missed
		r.core.event(time.Now())
	}
}

// saw handles the result of a look.
func (r *run) saw(s sight) {
	now := time.Now()
	report := r.core.saw(now, s)
	r.warn(slowWriter, r.core.tooLong(now, errWriter))
	if s.err == nil {
		r.warn(leaseless, s.noLease)
	}
	if report {
		r.Changed(s.data, s.err)
	}
	r.over(&s)
}

// over calls looked, if it is set.
func (r *run) over(s *sight) {
	if r.looked != nil {
		r.looked(s)
	}
}
