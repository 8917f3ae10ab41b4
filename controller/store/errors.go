package store

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Errors of this package wrap one of these if it has a specific remedy. The text of the error
// includes the remedy.
var (
	// ErrCorrupt means that the file is a store of ofdvr, or a part of a store, but is damaged.
	ErrCorrupt = errors.New("the store is damaged")
	// ErrForeign means that the file is not a store of ofdvr.
	ErrForeign = errors.New("this is not a store of ofdvr")
	// ErrNewer means that the store has an unknown schema version.
	ErrNewer = errors.New("the store was written by a newer ofdvr")
	// ErrLocked means that another process has the store open.
	ErrLocked = errors.New("the store is in use")
	// ErrReadOnly means that the store can be read but not written.
	ErrReadOnly = errors.New("the store cannot be written")
	// ErrFull means that the disk has no room for a write.
	ErrFull = errors.New("there is no room for the store")
	// ErrChanged means that the contents on disk differ from the contents last loaded or
	// committed. [Store.Load] returns the current contents.
	ErrChanged = errors.New("the store has changed since it was last loaded or written")
	// ErrClosed means that the Store is closed.
	ErrClosed = errors.New("the store is closed")
)

// advice returns the remedy of an error.
func advice(err error) string {
	switch {
	case errors.Is(err, ErrCorrupt):
		return "; nothing was overwritten; 'ofdvr store check' lists what is damaged; restore a backup, or move the file away to start with an empty intent"
	case errors.Is(err, ErrForeign):
		return "; nothing was overwritten; move it away or use another directory"
	case errors.Is(err, ErrNewer):
		return "; nothing was overwritten; use the newer ofdvr, or the copy that it made in the same directory before it changed the schema"
	case errors.Is(err, ErrLocked):
		return "; end the process that uses it, or use another directory"
	case errors.Is(err, ErrFull):
		return "; free some disk space"
	}
	return ""
}

// explain adds the attempted operation, the file and the remedy to err.
func explain(attempt, path string, err error) error {
	return fmt.Errorf("%s %s: %w%s", attempt, path, err, advice(err))
}

// classify wraps the operating system's errors in the errors above.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT),
		strings.Contains(err.Error(), unix.ENOSPC.Error()), // bbolt does not wrap all errors
		strings.Contains(err.Error(), unix.EDQUOT.Error()):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM),
		strings.Contains(err.Error(), unix.EROFS.Error()):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	}
	return err
}

// corrupt returns an error that wraps [ErrCorrupt].
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}
