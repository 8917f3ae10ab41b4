package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// tmpfs mounts a file system in memory until the end of the test.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	lab.Require(t)
	at := t.TempDir()
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, strings.TrimPrefix(options+",mode=755", ",")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	return at
}

// remount mounts a file system again with other flags.
func remount(t *testing.T, at string, flags uintptr) {
	t.Helper()
	if err := unix.Mount("", at, "", unix.MS_REMOUNT|flags, ""); err != nil {
		t.Fatal(err)
	}
}

// On a read-only file system, a store can be read. When the file system becomes writable, the store
// becomes writable.
func TestReadOnly(t *testing.T) {
	at := tmpfs(t, "")
	s := open(t, at)
	o := newOracle()
	commit(t, s, 1, batch(1)...)
	o.commit(1, true, batch(1)...)
	s.Close()
	remount(t, at, unix.MS_RDONLY)

	s = open(t, at)
	if err := s.ReadOnly(); !errors.Is(err, store.ErrReadOnly) || !errors.Is(err, unix.EROFS) {
		t.Errorf("ReadOnly returns %v", err)
	}
	for range 2 {
		if diff := differ(o.contents(), load(t, s)); diff != "" {
			t.Error(diff)
		}
		if err := s.Commit(2, true, batch(2)...); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("commit: %v", err)
		}
	}
	other := open(t, at) // read-only, so several processes may read
	if diff := differ(o.contents(), load(t, other)); diff != "" {
		t.Error(diff)
	}
	other.Close()
	if _, err := store.Check(at); err != nil {
		t.Error(err)
	}

	remount(t, at, 0)
	commit(t, s, 2, batch(2)...)
	o.commit(2, true, batch(2)...)
	if err := s.ReadOnly(); err != nil {
		t.Error(err)
	}
	if diff := differ(o.contents(), load(t, s)); diff != "" {
		t.Error(diff)
	}
	s.Close()
}

// On a read-only file system no store can be created, and an old one cannot be migrated.
func TestReadOnlyNew(t *testing.T) {
	at := tmpfs(t, "")
	old := filepath.Join(at, "old")
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	version0(t, filepath.Join(old, store.FileName), site(3))
	remount(t, at, unix.MS_RDONLY)
	for _, dir := range []string{at, old, filepath.Join(at, "new")} {
		if _, err := store.Open(dir); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestFull fills the disk. A commit that does not fit changes nothing. It succeeds when the disk
// has space again.
func TestFull(t *testing.T) {
	at := tmpfs(t, "size=1m")
	ballast := filepath.Join(at, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 300<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, at)
	o := newOracle()
	for r := uint64(1); ; r++ {
		var ports []routing.Port
		for i := range 150 {
			ports = append(ports, port(int(r)*1000+i, byte(r)))
		}
		change := routing.Change{Put: routing.Model{Ports: ports}}
		err := s.Commit(r, true, change)
		if err == nil {
			o.commit(r, true, change)
			continue
		}
		if !errors.Is(err, store.ErrFull) || r < 3 {
			t.Fatalf("commit %d: %v", r, err)
		}
		for range 3 { // the commit fails each time
			if err := s.Commit(r, true, change); !errors.Is(err, store.ErrFull) {
				t.Errorf("commit %d again: %v", r, err)
			}
			if diff := differ(o.contents(), load(t, s)); diff != "" {
				t.Fatal(diff)
			}
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		commit(t, s, r, change)
		o.commit(r, true, change)
		break
	}
	s.Close()
	s = open(t, at)
	if diff := differ(o.contents(), load(t, s)); diff != "" {
		t.Error(diff)
	}
	s.Close()
	if err := bboltAgrees(s.Path(), o.contents().Model); err != nil {
		t.Error(err)
	}
}

// On a full disk no store is created, not even partially.
func TestFullNew(t *testing.T) {
	at := tmpfs(t, "size=64k")
	ballast := filepath.Join(at, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 60<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(at); !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v", err)
	}
	if names := list(t, at); len(names) != 1 {
		t.Errorf("the directory has %q", names)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := open(t, at).Close(); err != nil {
		t.Error(err)
	}
}

// TestSyncFails uses a sparse disk on a full file system. The disk accepts writes, but the
// sync fails. Commit returns the error. Load returns the contents that are on disk, and a copy
// of the disk, as after a power failure, has the same contents. Later everything works again.
func TestSyncFails(t *testing.T) {
	behind := tmpfs(t, "size=6m")
	disk := newDisk(t, behind, "ext2", 64) // without a journal: a failure of the journal would stop all writes
	at := disk.mount(t)
	s := open(t, at)
	o := newOracle()
	commit(t, s, 1, batch(1)...)
	o.commit(1, true, batch(1)...)
	hog := filepath.Join(behind, "hog")
	fill(t, hog)

	var ports []routing.Port
	for i := range 3000 {
		ports = append(ports, port(i, 3))
	}
	change := routing.Change{Put: routing.Model{Ports: ports}}
	for range 2 {
		err := s.Commit(2, true, change)
		if err == nil || errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("commit to a full disk: %v", err)
		}
		t.Log(err)
		if diff := differ(o.contents(), load(t, s)); diff != "" {
			t.Fatal(diff)
		}
	}
	cut := func() {
		t.Helper()
		after := open(t, disk.copy(t).mount(t))
		if diff := differ(o.contents(), load(t, after)); diff != "" {
			t.Error(diff)
		}
		after.Close()
	}
	cut()
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	commit(t, s, 2, change)
	o.commit(2, true, change)
	if diff := differ(o.contents(), load(t, s)); diff != "" {
		t.Error(diff)
	}
	cut()
	s.Close()
}

// fill creates a file that fills its file system.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := bytes.Repeat([]byte{1}, 4096)
	for err == nil {
		_, err = f.Write(chunk)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}
