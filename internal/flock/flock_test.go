package flock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestTry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	if err := Try(first); err != nil {
		t.Fatal(err)
	}
	err := Try(second)
	held := (*HeldError)(nil)
	if !errors.As(err, &held) {
		t.Fatal(err)
	}
	if held.PID != 0 && (held.PID != os.Getpid() || held.Command != "flock.test") { // 0 on file systems that report other device numbers
		t.Error(held)
	}
	t.Log(err)
	first.Close()
	if err := Try(second); err != nil {
		t.Error(err)
	}
}
