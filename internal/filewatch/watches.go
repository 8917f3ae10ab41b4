package filewatch

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// watches has the kernel's watches on the trail of a path. The zero value watches nothing. When the
// trail has changed, or may have, all watches are created again, because events of a watch on a
// replaced name are ambiguous. Such changes are rare.
type watches struct {
	notify  func() (*fsnotify.Watcher, error)
	trail   trail
	watcher *fsnotify.Watcher // nil if nothing is watched
	stale   bool              // a part of the trail was replaced, or events were lost
	err     error             // reason why some changes are not reported; nil if all are reported
}

// follow watches the trail of path from now on. It returns false if the trail kept
// changing during the call.
func (w *watches) follow(path string) (settled bool) {
	for range 5 {
		t := follow(path)
		if !w.stale && w.complete() && slices.Equal(t.places, w.trail.places) {
			w.trail = t // the names may differ
			return true
		}
		w.renew(t)
		if w.err != nil { // files that cannot be watched are polled
			return true
		}
	}
	return false
}

// complete reports whether all watches still exist. The kernel removes a watch silently
// when its file system is unmounted.
func (w *watches) complete() bool {
	return w.watcher != nil && len(w.watcher.WatchList()) == len(w.trail.places)
}

// renew watches the places of t and nothing else.
func (w *watches) renew(t trail) {
	w.close()
	*w = watches{notify: w.notify, trail: t}
	watcher, err := w.notify()
	if err != nil {
		w.err = fmt.Errorf("watch for changes: %w", err)
		return
	}
	w.watcher = watcher
	for _, p := range t.places {
		switch err := watcher.Add(p.path); {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
			w.stale = true // it was just removed
		case err != nil:
			w.err = fmt.Errorf("watch for changes in %s: %w", p.path, err)
		}
	}
}

// close removes the watches. When it returns, all their goroutines have ended.
func (w *watches) close() {
	if w.watcher == nil {
		return
	}
	_ = w.watcher.Close() // closes an inotify descriptor; no data can be lost
	for range w.watcher.Events {
	}
	w.watcher = nil
}

// events returns the channel of events, or nil if nothing is watched. Only method close closes it.
func (w *watches) events() <-chan fsnotify.Event {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Events
}

// errors returns the channel of errors, or nil if nothing is watched.
func (w *watches) errors() <-chan error {
	if w.watcher == nil {
		return nil
	}
	return w.watcher.Errors
}

// concerns reports whether e is about the file or a part of its path, and not about
// another file in one of the directories.
func (w *watches) concerns(e fsnotify.Event) bool {
	name := filepath.Clean(e.Name)
	if e.Op != fsnotify.Write && slices.ContainsFunc(w.trail.places, func(p place) bool { return p.path == name }) {
		w.stale = true
		return true
	}
	// If a directory is on the trail under two paths, its events have only one of these. So only
	// the last part is compared.
	return w.trail.names[filepath.Base(name)]
}
