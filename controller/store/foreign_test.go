package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/test/hostile"
	"github.com/ofdvr/ofdvr/test/lab"
)

// A file with the store's name that is not ours is reported. It is neither read nor changed. This
// holds at the start, and when the file replaces a store in use.
func TestForeignFiles(t *testing.T) {
	lab.Require(t)
	now, _, _ := aStore(t)
	for _, in := range hostile.Impostors() {
		t.Run(in.Kind, func(t *testing.T) {
			dir, theirs := t.TempDir(), filepath.Join(t.TempDir(), "theirs")
			used := open(t, place(t, now))
			if err := os.WriteFile(theirs, now, 0o640); err != nil { // the file of another user, even a valid store
				t.Fatal(err)
			}
			for _, path := range []string{filepath.Join(dir, store.FileName), used.Path()} {
				os.Remove(path)
				if err := in.Make("", path, theirs); err != nil {
					t.Fatal(err)
				}
				before, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				says := func(what string, err error) {
					t.Helper()
					if !errors.Is(err, store.ErrForeign) || !strings.Contains(err.Error(), path+" "+in.Says) {
						t.Errorf("%s: %v", what, err)
					}
				}
				_, err = store.Open(filepath.Dir(path))
				says("open", err)
				r, err := store.Check(filepath.Dir(path))
				if err != nil || len(r.Problems) != 1 {
					t.Fatalf("check: %v, %v", r.Problems, err)
				}
				says("check", r.Problems[0])
				if c := store.Salvage(filepath.Dir(path)); len(c.Model.Ports) > 0 {
					t.Errorf("%d ports were read", len(c.Model.Ports))
				}
				if path == used.Path() {
					says("commit", used.Commit(99, true, batch(1)...))
					_, err := used.Load(nil)
					says("load", err)
				}
				after, err := os.Lstat(path)
				if err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
					t.Errorf("the foreign file was replaced or its mode has changed: %v, %v", after, err)
				}
			}
			if data, err := os.ReadFile(theirs); err != nil || !slices.Equal(data, now) {
				t.Errorf("the contents of the foreign file have changed: %v", err)
			}
			if names := list(t, filepath.Dir(theirs)); len(names) != 1 {
				t.Errorf("the directory has %q", names)
			}
		})
	}
}

// In a directory that other users can write to, no store is created or used. An existing store is
// ignored.
func TestDirectoriesWritableByOthers(t *testing.T) {
	lab.Require(t)
	now, _, o := aStore(t)
	for name, c := range map[string]struct {
		spoil func(parent, dir string) error
		says  string
	}{
		"written by all":          {func(_, dir string) error { return os.Chmod(dir, 0o777) }, "can be written by other users"},
		"sticky":                  {func(_, dir string) error { return os.Chmod(dir, 0o777|os.ModeSticky) }, "can be written by other users"},
		"of another user":         {func(_, dir string) error { return os.Chown(dir, 1234, -1) }, "can be written by other users"},
		"in a directory for all":  {func(parent, _ string) error { return os.Chmod(parent, 0o777) }, "can be replaced by other users"},
		"in another user's":       {func(parent, _ string) error { return os.Chown(parent, 1234, -1) }, "can be replaced by other users"},
		"a link to our directory": {func(parent, dir string) error { return relink(parent, dir) }, "is a symbolic link"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range [][]byte{now, nil} { // nil: the file does not exist yet
				parent := t.TempDir()
				dir := filepath.Join(parent, "state")
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				if file != nil {
					if err := os.WriteFile(filepath.Join(dir, store.FileName), file, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if err := c.spoil(parent, dir); err != nil {
					t.Fatal(err)
				}
				if _, err := store.Open(dir); err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("open: %v, want %q", err, c.says)
				}
				if m := store.Salvage(dir).Model; len(m.Ports) > 0 {
					t.Errorf("%d ports were read", len(m.Ports))
				}
				if file == nil {
					if names := list(t, dir); len(names) > 0 {
						t.Errorf("the directory has %q", names)
					}
					continue
				}
				r, err := store.Check(dir)
				if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Error(), c.says) || r.Ports != len(o.contents().Model.Ports) {
					t.Errorf("check: %v, %+v", err, r)
				}
				if data, err := os.ReadFile(filepath.Join(dir, store.FileName)); err != nil || !slices.Equal(data, file) {
					t.Errorf("the file has changed, %v", err)
				}
			}
		})
	}
	parent := t.TempDir()
	if err := os.Chmod(parent, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(filepath.Join(parent, "new")); err == nil || !strings.Contains(err.Error(), "can be replaced by other users") {
		t.Errorf("a new store: %v", err)
	}
	if names := list(t, filepath.Join(parent, "new")); len(names) > 0 {
		t.Errorf("the directory has %q", names)
	}
}

// relink replaces a directory by a link to it.
func relink(parent, dir string) error {
	return errors.Join(os.Rename(dir, filepath.Join(parent, "real")), os.Symlink("real", dir))
}

// After a crash, a new file may have two names: the temporary and the final name. It is still
// accepted as ours.
func TestCrashBetweenNames(t *testing.T) {
	now, _, o := aStore(t)
	for _, name := range []string{"intent.db", "intent.db.v1"} { // the store, and a copy
		dir := place(t, now)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, now, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(path, path+".new-1"); err != nil {
			t.Fatal(err)
		}
		if r, err := store.Check(dir); err != nil || len(r.Problems) > 0 {
			t.Errorf("check: %v, %v", r.Problems, err)
		}
		if diff := differ(o.contents(), load(t, open(t, dir))); diff != "" {
			t.Error(diff)
		}
		if names := list(t, dir); slices.Contains(names, name+".new-1") || !slices.Contains(names, name) {
			t.Errorf("the directory has %q", names)
		}
	}
}
