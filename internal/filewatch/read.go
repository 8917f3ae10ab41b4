package filewatch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxSize is the maximum size of a file that is read, 33 MiB.
const MaxSize = 33 << 20

// ErrBusy means that a process has the file open for writing, so that its content may be
// incomplete.
var ErrBusy = errors.New("a process has it open for writing")

// Read returns the content of the file at one moment. If a process has the file open for writing,
// the error wraps [ErrBusy], and a later call may succeed. If leases are not available, Read cannot
// detect writers. A [Watcher] can, because it waits until the content stays the same.
func Read(path string) ([]byte, error) {
	s := read(path, takeLease)
	return s.data, s.err
}

// A sight is the result of one look at a file.
type sight struct {
	data    []byte
	err     error // set if data could not be read; wraps ErrBusy if the file was open for writing
	noLease error // reason why the file had no lease, so that data may be incomplete; nil with a lease
	stamp   stamp // zero if the file could not be opened
}

// A stamp identifies a version of a file. It changes with the content, except for changes
// within the resolution of the clock. Its times are only compared for equality.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

// stampOf returns the stamp of a file from the result of Stat, or zero if Stat failed.
func stampOf(info fs.FileInfo, err error) stamp {
	if err != nil {
		return stamp{}
	}
	st := info.Sys().(*syscall.Stat_t)
	return stamp{st.Dev, st.Ino, st.Size, unix.Timespec(st.Mtim), unix.Timespec(st.Ctim)}
}

// read reads the file at path.
func read(path string, lease leaser) (s sight) {
	defer func() {
		if s.err != nil {
			s.data, s.err = nil, fmt.Errorf("read %s: %w", path, bare(s.err))
		}
	}()
	// Without O_NONBLOCK, open would block on a pipe without a writer, or on a file with another
	// process's lease.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return sight{err: ErrBusy}
	case err != nil:
		return sight{err: err}
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return sight{err: err}
	case !info.Mode().IsRegular():
		return sight{err: errors.New("it is not a regular file")}
	}
	release, err := lease(f)
	if errors.Is(err, ErrBusy) {
		return sight{err: err, stamp: stampOf(info, nil)}
	}
	s.noLease = err
	s.stamp = stampOf(f.Stat())
	s.data, s.err = readAll(f, s.stamp.size)
	intact := release == nil || release()
	if after := stampOf(f.Stat()); !intact || s.noLease != nil && after != s.stamp {
		s.err = ErrBusy
	}
	return s
}

// readAll reads f to its end. size is the expected number of bytes.
func readAll(f io.Reader, size int64) ([]byte, error) {
	if size > MaxSize {
		return nil, errTooBig
	}
	data := make([]byte, 0, size+1) // has room for one more byte, so that the last read reaches the end of the file
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF:
			return data, nil
		case err != nil:
			return nil, err
		case len(data) > MaxSize:
			return nil, errTooBig
		case len(data) == cap(data):
			data = append(data, 0)[:len(data)]
		}
	}
}

var errTooBig = fmt.Errorf("the file has more than %d bytes", MaxSize)

// bare returns err without the path in it.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
