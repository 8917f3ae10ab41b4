package ownfile

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// MkdirAll ignores a restrictive umask, such as that of the systemd unit, so that other users can
// read the directory. For example, radvd must read the directory of its configuration.
func TestMkdirAllIsNotMasked(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	path := filepath.Join(t.TempDir(), "a")
	for range 2 {
		if err := MkdirAll(path); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := MkdirAll(path); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o700 {
		t.Errorf("the mode of an existing directory has changed: %v", info.Mode())
	}
}
