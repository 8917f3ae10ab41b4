package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// A handle is a file that is open, locked, and was sound when it was opened.
type handle struct {
	file   *os.File
	db     *bbolt.DB // nil: read-only; has file too, and closes it
	why    error     // why it is read-only
	header header
}

// openHandle opens the store at path, which must exist. After a failure, afresh
// makes it read from the disk what the kernel believes to be there.
func openHandle(path string, migrations []migration, afresh bool) (h *handle, err error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%w: it is a directory", ErrForeign)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%w: it is not a file", ErrForeign)
	}
	h = new(handle)
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	lock := unix.LOCK_EX
	if h.file, err = os.OpenFile(path, os.O_RDWR, 0); err != nil {
		if h.why = classify(err); !errors.Is(h.why, ErrReadOnly) {
			return nil, err
		}
		lock = unix.LOCK_SH
		if h.file, err = os.Open(path); err != nil {
			return nil, err
		}
	}
	if err = flock(h.file, lock); err != nil {
		return nil, err
	}
	if afresh {
		// After a sync that failed the kernel does not know any more which pages
		// it could not write. This makes it forget them; if it cannot, it goes on.
		unix.Fadvise(int(h.file.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	if h.header, err = h.scan(scan{}); err != nil {
		return nil, err
	}
	if h.why != nil {
		if h.header.version < schemaVersion {
			return nil, fmt.Errorf("its schema version is %d and it has to be rewritten for version %d: %w", h.header.version, schemaVersion, h.why)
		}
		return h, nil
	}
	if err = h.openDB(); err != nil {
		return nil, err
	}
	return h, h.migrate(path, migrations)
}

// flock locks f, and does not wait.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("%w by another process", ErrLocked)
		case err != nil:
			return fmt.Errorf("lock: %w", err)
		default:
			return nil
		}
	}
}

// openDB lets bbolt have the file, which has been checked.
func (h *handle) openDB() error {
	panicked, err := guard(func() (err error) {
		h.db, err = bbolt.Open(h.file.Name(), 0, boltOptions(h.file))
		return err
	})
	if err != nil {
		h.db = nil
		if !panicked {
			err = fmt.Errorf("open with bbolt: %w", err)
		}
	}
	return err
}

// boltOptions are those for a file that is open and locked already. The list of
// free pages is kept in the file. Without it bbolt would read all pages when it
// opens the file and after each failure, on a goroutine where a page that cannot
// be read ends the process.
func boltOptions(f *os.File) *bbolt.Options {
	return &bbolt.Options{
		OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		Timeout:      time.Millisecond, // not waited for
		FreelistType: bbolt.FreelistMapType,
		PageSize:     pageSize,
		NoStatistics: true,
	}
}

// scan reads the file.
func (h *handle) scan(s scan) (header, error) {
	info, err := h.file.Stat()
	if err != nil {
		return header{}, err
	}
	return s.read(h.file, info.Size())
}

// replaced reports whether path is not the name of the file any more.
func (h *handle) replaced(path string) bool {
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return false // reading or writing will tell
	}
	then, err := h.file.Stat()
	return err == nil && !os.SameFile(now, then)
}

// close closes the file and gives the lock back.
func (h *handle) close() error {
	if h.db != nil {
		return h.db.Close()
	}
	if h.file != nil {
		return h.file.Close()
	}
	return nil
}

// abandon is close for when bbolt has panicked: it may keep locks of its own for
// ever, so its memory stays as it is.
func (h *handle) abandon() {
	h.db = nil
	h.file.Close()
}
