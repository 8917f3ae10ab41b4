package hostile

import (
	"errors"
	"os"
	"syscall"
)

// An Impostor is an object that has the name of one of the daemon's files but is not one.
type Impostor struct {
	Kind string
	Says string // the daemon's text about it, without its path
	// Make makes the object at path. theirs is a file of another program on the same file system.
	// Both paths are below root, so that a test can use another root directory.
	Make func(root, path, theirs string) error
}

// another is the ID of a user that is neither root nor the daemon's.
const another = 65534

// Impostors returns one of each kind. The last one needs root.
func Impostors() []Impostor {
	return []Impostor{
		{"a symbolic link", "is a symbolic link", func(root, path, theirs string) error { return os.Symlink(theirs, root+path) }},
		{"a dangling link", "is a symbolic link", func(root, path, theirs string) error { return os.Symlink(theirs+".new", root+path) }},
		{"a hard link", "is a hard link, one of ", func(root, path, theirs string) error { return os.Link(root+theirs, root+path) }},
		{"a directory", "is a directory", func(root, path, _ string) error { return os.Mkdir(root+path, 0o755) }},
		{"a named pipe", "is a named pipe", func(root, path, _ string) error { return syscall.Mkfifo(root+path, 0o644) }},
		{"another user's file", "belongs to user 65534", func(root, path, _ string) error {
			return errors.Join(os.WriteFile(root+path, []byte("theirs"), 0o600), os.Chown(root+path, another, another))
		}},
	}
}
