package filewatch

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is the maximum number of symbolic links in a path (path_resolution(7)).
const maxLinks = 40

// A trail is the sequence of existing directories and symbolic links that the kernel visits when it
// resolves a path.
type trail struct {
	places []place
	names  map[string]bool // names that were looked up in these directories
}

// A place is a directory on a trail, or the file at its end.
type place struct {
	path     string // without symbolic links
	dev, ino uint64
}

// follow returns the trail of an absolute path. Every change that makes the path lead to another
// file, or to no file, replaces or removes a place on the trail, or creates, replaces or removes an
// entry with one of the names in a directory on the trail.
func follow(path string) trail {
	t := trail{names: make(map[string]bool)}
	info, err := os.Lstat("/")
	if err != nil {
		return t
	}
	t.add("/", info)
	dir, links := "/", 0
	for rest := strings.Split(path, "/"); len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			dir = filepath.Dir(dir) // the parent is on the trail already
			continue
		}
		t.names[name] = true
		at := filepath.Join(dir, name)
		if info, err = os.Lstat(at); err != nil {
			return t
		}
		switch info.Mode().Type() {
		case os.ModeSymlink:
			target, err := os.Readlink(at)
			if links++; err != nil || links > maxLinks {
				return t
			}
			if filepath.IsAbs(target) {
				dir = "/"
			}
			rest = append(strings.Split(target, "/"), rest...)
		case os.ModeDir:
			t.add(at, info)
			dir = at
		case 0:
			t.add(at, info) // the file may also be written under another name
			return t
		default:
			return t
		}
	}
	return t
}

func (t *trail) add(path string, info os.FileInfo) {
	for _, p := range t.places {
		if p.path == path {
			return
		}
	}
	st := info.Sys().(*syscall.Stat_t)
	t.places = append(t.places, place{path, st.Dev, st.Ino})
}
