package store

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// What may be wrong with a store. Errors of this package wrap one of these
// where there is something particular to do about it, and say what.
var (
	// ErrCorrupt is wrapped if the file is one of ofdvr's, or looks like what
	// is left of one, and something in it is not as it was written.
	ErrCorrupt = errors.New("the store is damaged")
	// ErrForeign is wrapped if something else is where the store should be.
	ErrForeign = errors.New("this is not a store of ofdvr")
	// ErrNewer is wrapped if the store has a schema version that is not known.
	ErrNewer = errors.New("the store was written by a newer ofdvr")
	// ErrLocked is wrapped if another process has the store open.
	ErrLocked = errors.New("the store is in use")
	// ErrReadOnly is wrapped if the store can be read but not written.
	ErrReadOnly = errors.New("the store cannot be written")
	// ErrFull is wrapped if there is no room for what should be written.
	ErrFull = errors.New("there is no room for the store")
	// ErrChanged is wrapped by [Store.Commit] if the contents are not those
	// that were last loaded or committed. [Store.Load] says what they are.
	ErrChanged = errors.New("the store is not as it was last loaded or written")
	// ErrClosed is wrapped if the Store was closed.
	ErrClosed = errors.New("the store is closed")
)

// advice is what to do about an error.
func advice(err error) string {
	switch {
	case errors.Is(err, ErrCorrupt):
		return "; nothing was overwritten; 'ofdvr store check' lists what is damaged; restore a backup, or move the file away to begin without any intent"
	case errors.Is(err, ErrForeign):
		return "; nothing was overwritten; move it away or use another directory"
	case errors.Is(err, ErrNewer):
		return "; nothing was overwritten; use that ofdvr, or the copy that it has made beside the file before it changed the schema"
	case errors.Is(err, ErrLocked):
		return "; end the process that uses it, or use another directory"
	case errors.Is(err, ErrFull):
		return "; make room"
	}
	return ""
}

// explain adds to err what was attempted, with which file, and what to do.
func explain(attempt, path string, err error) error {
	return fmt.Errorf("%s %s: %w%s", attempt, path, err, advice(err))
}

// classify wraps what the operating system says in what that means here.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT),
		strings.Contains(err.Error(), unix.ENOSPC.Error()), // bbolt does not wrap all it returns
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
