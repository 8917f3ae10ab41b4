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

// MaxSize is the size in bytes of the largest file that is read: 33 MiB.
const MaxSize = 33 << 20

// ErrBusy says that somebody has the file open for writing, so that it may not
// be whole.
var ErrBusy = errors.New("it is open for writing")

// Read returns the content of the file at one moment. The error wraps
// [ErrBusy] if somebody had it open for writing, and then it is worth another
// try. Where there are no leases, Read cannot tell: use a [Watcher] that
// has nothing yet, if there is time to wait.
func Read(path string) ([]byte, error) {
	s := read(path, takeLease)
	return s.data, s.err
}

// A sight is what one look at a file has found.
type sight struct {
	data    []byte
	err     error // if data could not be read; it wraps ErrBusy if it could later
	noLease error // nil, or why data may be half of what somebody is writing
	stamp   stamp // zero if the file could not be opened
}

// A stamp is what of a file changes with its content, but for changes at about
// the same moment. Nothing but equality is asked of its times.
type stamp struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
}

// stampOf returns the stamp of a file that was asked for, zero if that failed.
func stampOf(info fs.FileInfo, err error) stamp {
	if err != nil {
		return stamp{}
	}
	st := info.Sys().(*syscall.Stat_t)
	return stamp{st.Dev, st.Ino, st.Size, unix.Timespec(st.Mtim), unix.Timespec(st.Ctim)}
}

// read reads the file that path leads to.
func read(path string, lease leaser) (s sight) {
	defer func() {
		if s.err != nil {
			s.data, s.err = nil, fmt.Errorf("read %s: %w", path, bare(s.err))
		}
	}()
	// A pipe without a writer, or a file that is leased to somebody else, would
	// keep us waiting.
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
	giveBack, err := lease(f)
	if errors.Is(err, ErrBusy) {
		return sight{err: err, stamp: stampOf(info, nil)}
	}
	s.noLease = err
	s.stamp = stampOf(f.Stat())
	s.data, s.err = readAll(f, s.stamp.size)
	intact := giveBack == nil || giveBack()
	if after := stampOf(f.Stat()); !intact || s.noLease != nil && after != s.stamp {
		s.err = ErrBusy
	}
	return s
}

// readAll reads what there is in f, about size bytes.
func readAll(f io.Reader, size int64) ([]byte, error) {
	if size > MaxSize {
		return nil, errTooBig
	}
	data := make([]byte, 0, size+1) // one more, to come to the end
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

var errTooBig = fmt.Errorf("it has more than %d bytes", MaxSize)

// bare returns what err says without the path that it was about.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
