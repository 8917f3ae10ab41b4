package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/ownfile"
)

// A handle is an open and locked file. Its contents were checked when it was
// opened.
type handle struct {
	file   *os.File
	db     *bbolt.DB // owns file, and closes it; nil if the store is read-only
	why    error     // reason why the store is read-only
	header header
}

// openHandle opens the store at path, which must exist. If afresh is true, it reads from the disk
// instead of the kernel's page cache. This is needed after a failure.
func openHandle(path string, migrations []migration, afresh bool) (*handle, error) {
	h := new(handle)
	if err := h.open(path, migrations, afresh); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *handle) open(path string, migrations []migration, afresh bool) (err error) {
	if err := h.openFile(path); err != nil {
		return err
	}
	if afresh {
		// After a failed sync the kernel no longer knows which pages are not on disk. Fadvise
		// drops the pages from the cache; errors are ignored.
		unix.Fadvise(int(h.file.Fd()), 0, 0, unix.FADV_DONTNEED)
	}
	if h.header, err = h.scan(scan{}); err != nil {
		return err
	}
	if h.why != nil {
		if v := h.header.version; v < schemaVersion {
			return fmt.Errorf("its schema version is %d and it has to be migrated to version %d: %w", v, schemaVersion, h.why)
		}
		return nil
	}
	if err := h.openDB(); err != nil {
		return err
	}
	return h.migrate(path, migrations)
}

// openFile opens the file and locks it. It opens the file for writing if that is allowed. Other
// users must not be able to replace the file.
func (h *handle) openFile(path string) (err error) {
	if err := ownfile.CheckDir(filepath.Dir(path)); err != nil {
		return err
	}
	if h.file, err = openOwn(path, os.O_RDWR); err == nil {
		return flock(h.file, unix.LOCK_EX)
	}
	if h.why = classify(err); !errors.Is(h.why, ErrReadOnly) {
		return err
	}
	if h.file, err = openOwn(path, os.O_RDONLY); err != nil {
		return err
	}
	return flock(h.file, unix.LOCK_SH)
}

// openOwn opens a file of ours. The error wraps [ErrForeign] if the file is not ours.
func openOwn(path string, flag int) (*os.File, error) {
	f, err := ownfile.Open(path, flag, 0)
	if errors.Is(err, ownfile.ErrForeign) {
		finish(path)
		f, err = ownfile.Open(path, flag, 0)
	}
	if errors.Is(err, ownfile.ErrForeign) {
		err = fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return f, err
}

// flock locks f without waiting.
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

// openDB opens the file, which has been checked, with bbolt.
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

// boltOptions returns options for a file that is already open and locked. The list of free pages is
// kept in the file. Otherwise bbolt would read all pages when it opens the file and after each
// failure, on a goroutine where an unreadable page ends the process.
func boltOptions(f *os.File) *bbolt.Options {
	return &bbolt.Options{
		OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		Timeout:      time.Millisecond, // do not wait
		FreelistType: bbolt.FreelistMapType,
		PageSize:     pageSize,
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

// replaced reports whether path is now the name of another file, or does not exist.
func (h *handle) replaced(path string) bool {
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return false // the next read or write will fail
	}
	then, err := h.file.Stat()
	return err == nil && !os.SameFile(now, then)
}

// close closes the file and releases the lock.
func (h *handle) close() error {
	if h.db != nil {
		return h.db.Close()
	}
	if h.file != nil {
		return h.file.Close()
	}
	return nil
}

// abandon replaces close after bbolt has panicked. bbolt's internal locks may stay held for ever,
// so its memory stays mapped. Then closing the file does not release the file's lock. Therefore
// abandon unlocks the file explicitly.
func (h *handle) abandon() {
	h.db = nil
	unix.Flock(int(h.file.Fd()), unix.LOCK_UN)
	h.file.Close()
}
