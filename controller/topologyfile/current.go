package topologyfile

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/ofdvr/ofdvr/internal/filewatch"
)

// A version is the version of the file that was reported last.
type version struct {
	mu     sync.Mutex
	sum    [sha256.Size]byte // of its content
	failed bool              // the file could not be read
	info   fs.FileInfo       // info of the file when the file had this content; nil if not known
}

// clockStep is longer than the resolution of a file's times. A file that changed more recently may
// change again without a change of its times.
const clockStep = time.Second

// reported makes data, or the failure to read the file, the version that was reported last.
func (v *version) reported(data []byte, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.sum, v.failed, v.info = sha256.Sum256(data), err != nil, nil
}

// Current reports whether the file still has the version that was reported last. The result is
// false while another process has the file open for writing.
func (f *File) Current() bool {
	v := &f.version
	v.mu.Lock()
	defer v.mu.Unlock()
	info, err := os.Stat(f.path)
	if err == nil && v.info != nil && os.SameFile(info, v.info) && info.Size() == v.info.Size() && info.ModTime().Equal(v.info.ModTime()) {
		return true
	}
	data, err := filewatch.Read(f.path)
	switch {
	case err != nil:
		return v.failed && !errors.Is(err, filewatch.ErrBusy)
	case v.failed || sha256.Sum256(data) != v.sum:
		return false
	}
	if info != nil && time.Since(info.ModTime()) > clockStep {
		v.info = info
	}
	return true
}
