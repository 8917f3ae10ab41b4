package store

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Errors of this package wrap one of these where something specific can be done about it, and
// the text says what.
var (
	// ErrCorrupt: the file is ofdvr's, or looks like the rest of one, but is damaged.
	ErrCorrupt = errors.New("the store is damaged")
	// ErrForeign: something else is in the place of the store.
	ErrForeign = errors.New("this is not a store of ofdvr")
	// ErrNewer: the store has an unknown schema version.
	ErrNewer = errors.New("the store was written by a newer ofdvr")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("the store is in use")
	// ErrReadOnly: the store can be read but not written.
	ErrReadOnly = errors.New("the store cannot be written")
	// ErrFull: there is no room for a write.
	ErrFull = errors.New("there is no room for the store")
	// ErrChanged is wrapped by [Store.Commit] if the contents are not those last loaded or
	// committed. [Store.Load] returns the current ones.
	ErrChanged = errors.New("the store is not as it was last loaded or written")
	// ErrClosed: the Store is closed.
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
		return "; nothing was overwritten; use that ofdvr, or the copy that it made beside the file before it changed the schema"
	case errors.Is(err, ErrLocked):
		return "; end the process that uses it, or use another directory"
	case errors.Is(err, ErrFull):
		return "; free some disk space"
	}
	return ""
}

// explain adds to err what was attempted, on which file, and what to do.
func explain(attempt, path string, err error) error {
	return fmt.Errorf("%s %s: %w%s", attempt, path, err, advice(err))
}

// classify wraps errors of the operating system in the errors above.
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
