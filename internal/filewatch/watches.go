package filewatch

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// watches make the kernel tell what happens on the trail of a path; at first
// there are none. Each time that the trail is another, or may be, all are made
// anew: changes of a file are rare, and what a watch on a name that now stands
// for something else would tell is hard to say.
type watches struct {
	notify  func() (*fsnotify.Watcher, error)
	trail   trail
	watcher *fsnotify.Watcher // nil if there is none
	stale   bool              // something of the trail has been replaced, or events were lost
	err     error             // why some changes are not told, if so
}

// follow makes the kernel tell what happens on the trail of path from now on.
// It reports false if the trail has changed all the while.
func (w *watches) follow(path string) (settled bool) {
	for range 5 {
		t := follow(path)
		if !w.stale && w.complete() && slices.Equal(t.places, w.trail.places) {
			w.trail = t // the names may be others
			return true
		}
		w.renew(t)
		if w.err != nil { // what cannot be watched is looked at
			return true
		}
	}
	return false
}

// complete reports whether there are all the watches that should be. The kernel
// removes one without a word when its file system is unmounted.
func (w *watches) complete() bool {
	return w.watcher != nil && len(w.watcher.WatchList()) == len(w.trail.places)
}

// renew watches the places of t and nothing else.
func (w *watches) renew(t trail) {
	w.close()
	*w = watches{notify: w.notify, trail: t}
	watcher, err := w.notify()
	if err != nil {
		w.err = fmt.Errorf("make the kernel tell of changes: %w", err)
		return
	}
	w.watcher = watcher
	for _, p := range t.places {
		switch err := watcher.Add(p.path); {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			w.stale = true // it has just gone
		case err != nil:
			w.err = fmt.Errorf("make the kernel tell of changes in %s: %w", p.path, err)
		}
	}
}

// close removes the watches, and returns when no goroutine is left.
func (w *watches) close() {
	if w.watcher == nil {
		return
	}
	_ = w.watcher.Close() // of an inotify descriptor; nothing is lost
	for range w.watcher.Events {
	}
	w.watcher = nil
}

// events returns the channel of events, nil if there are none. It is closed
// only by close.
func (w *watches) events() <-chan fsnotify.Event {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Events
}

// errors returns the channel of errors, nil if there are none.
func (w *watches) errors() <-chan error {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Errors
}

// concerns reports whether e is about the file or the way to it, and not about
// something beside it.
func (w *watches) concerns(e fsnotify.Event) bool {
	name := filepath.Clean(e.Name)
	if e.Op != fsnotify.Write && slices.ContainsFunc(w.trail.places, func(p place) bool { return p.path == name }) {
		w.stale = true
		return true
	}
	// If a directory is on the trail by two paths, the event has one of them. The
	// last part is enough.
	return w.trail.names[filepath.Base(name)]
}
