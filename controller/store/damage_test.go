package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

const page = 4096

// aStore returns the file of a store after several commits as now, the same file some commits
// earlier as before, and the store's contents as o.
func aStore(t *testing.T) (now, before []byte, o *oracle) {
	t.Helper()
	s := open(t, t.TempDir())
	o = newOracle()
	first := routing.Change{Put: site(220)}
	commit(t, s, 1, first)
	commit(t, s, 1, first) // makes the second meta page the newer one
	o.commit(1, true, first)
	for r := uint64(2); r <= 12; r++ {
		if r == 10 {
			before = read(t, s.Path())
		}
		commit(t, s, r, batch(r)...)
		o.commit(r, true, batch(r)...)
	}
	now = read(t, s.Path())
	s.Close()
	return now, before, o
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// place creates a directory with b as the store's file, and returns the directory.
func place(t *testing.T, b []byte) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, store.FileName), b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// typed reports whether err wraps one of the errors for a wrong file.
func typed(err error) bool {
	return errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrForeign) || errors.Is(err, store.ErrNewer)
}

// TestDamage damages a store in hundreds or thousands of ways. Each time, either opening or loading
// fails with a suitable error, or loading returns exactly the stored contents. The file is never
// changed. If it can be opened, it can also be written.
func TestDamage(t *testing.T) {
	rounds := 40 * len(mutations)
	if lab.Full() {
		rounds *= 5
	}
	now, before, o := aStore(t)
	rnd := rand.New(rand.NewPCG(3, 1))
	path := filepath.Join(t.TempDir(), store.FileName)
	refused, unharmed := map[string]int{}, map[string]int{}
	for i := range rounds {
		m := mutations[i%len(mutations)]
		b := m.do(rnd, bytes.Clone(now), before)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		err := survives(path, b, o)
		switch {
		case err == nil:
			unharmed[m.name]++
		case typed(err):
			refused[m.name]++
		default:
			t.Fatalf("round %d, %s: %v", i, m.name, err)
		}
		if r, err := store.Check(path); err != nil {
			t.Fatalf("round %d, %s: check: %v", i, m.name, err)
		} else if i := len(r.Problems); i > 0 && !typed(r.Problems[0]) {
			t.Fatalf("round %d, %s: check: %v", i, m.name, r.Problems[0])
		}
	}
	for _, m := range mutations {
		t.Logf("%-20s: refused %4d times, harmless %4d times", m.name, refused[m.name], unharmed[m.name])
		if m.harmless && refused[m.name] > 0 || !m.harmless && refused[m.name] == 0 {
			t.Errorf("%s: refused %d times", m.name, refused[m.name])
		}
	}
}

// survives opens and loads the store at path, which has the bytes b. If the contents are equal to
// the oracle, survives also writes to the store.
func survives(path string, b []byte, o *oracle) error {
	s, err := store.Open(filepath.Dir(path))
	var c store.Contents
	if err == nil {
		defer s.Close()
		c, err = s.Load(nil)
	}
	if after, readErr := os.ReadFile(path); readErr != nil || !bytes.Equal(b, after) {
		return fmt.Errorf("the file has changed, or cannot be read (%v); result of opening and loading it: %v", readErr, err)
	}
	if err != nil {
		return err
	}
	if diff := differ(o.contents(), c); diff != "" {
		return fmt.Errorf("loaded something else: -want +got\n%s", diff)
	}
	next := newOracle()
	next.commit(0, true, routing.Change{Put: *c.Model})
	for r := c.Revision + 1; r < c.Revision+4; r++ {
		if err := s.Commit(r, true, batch(r)...); err != nil {
			return fmt.Errorf("the store could be opened, but not written: %v", err)
		}
		next.commit(r, true, batch(r)...)
	}
	s.Close()
	if s, err = store.Open(filepath.Dir(path)); err != nil {
		return fmt.Errorf("the store could be written, but not opened again: %v", err)
	}
	defer s.Close()
	if c, err = s.Load(nil); err != nil {
		return fmt.Errorf("the store could be written, but not loaded again: %v", err)
	}
	if diff := differ(next.contents(), c); diff != "" {
		return fmt.Errorf("wrote something else: -want +got\n%s", diff)
	}
	return nil
}

// Valid records under the wrong key or in the wrong bucket are detected.
func TestSwappedValues(t *testing.T) {
	now, _, _ := aStore(t)
	for name, change := range map[string]func(tx *bbolt.Tx) error{
		"other key": func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("ports"))
			k, v := b.Cursor().First()
			last, _ := b.Cursor().Last()
			if err := b.Put(last, bytes.Clone(v)); err != nil {
				return err
			}
			return b.Delete(bytes.Clone(k))
		},
		"other bucket": func(tx *bbolt.Tx) error {
			_, v := tx.Bucket([]byte("ports")).Cursor().First()
			k, _ := tx.Bucket([]byte("networks")).Cursor().First()
			return tx.Bucket([]byte("networks")).Put(k, bytes.Clone(v))
		},
		"lost": func(tx *bbolt.Tx) error {
			k, _ := tx.Bucket([]byte("ports")).Cursor().First()
			return tx.Bucket([]byte("ports")).Delete(bytes.Clone(k))
		},
		"lost bucket": func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("routers")) },
		"more buckets": func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte("switches"))
			return err
		},
		"bucket in a bucket": func(tx *bbolt.Tx) error {
			_, err := tx.Bucket([]byte("networks")).CreateBucket([]byte("net"))
			return err
		},
		"without state": func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("state")) },
	} {
		dir := place(t, now)
		edit(t, filepath.Join(dir, store.FileName), change)
		unchanged(t, dir, store.ErrCorrupt)
		if r, err := store.Check(dir); err != nil || len(r.Problems) == 0 || !errors.Is(r.Problems[0], store.ErrCorrupt) {
			t.Errorf("%s: check: %v, %v", name, r.Problems, err)
		}
	}
}

// edit changes the bbolt database at path.
func edit(t *testing.T, path string, change func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(change); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// unchanged opens the store in dir. Opening must fail with error want and change nothing.
func unchanged(t *testing.T, dir string, want error) {
	t.Helper()
	path := filepath.Join(dir, store.FileName)
	before := read(t, path)
	s, err := store.Open(dir)
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want %v", err, want)
	}
	if !bytes.Equal(before, read(t, path)) {
		t.Error("the file has changed")
	}
	if names := list(t, dir); len(names) != 1 {
		t.Errorf("the directory has %q", names)
	}
}

// A file that is not a store is not changed.
func TestNotAStore(t *testing.T) {
	now, _, _ := aStore(t)
	foreign := filepath.Join(t.TempDir(), "other.db")
	edit(t, foreign, func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("accounts"))
		return err
	})
	metaOnly := filepath.Join(t.TempDir(), "meta.db")
	edit(t, metaOnly, func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		return b.Put([]byte("format"), []byte("somebody else's"))
	})
	edit(t, metaOnly, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("format")) })
	for _, tt := range []struct {
		name string
		file []byte
		want error
	}{
		{"empty", nil, store.ErrCorrupt},
		{"zeros", make([]byte, 3*page), store.ErrCorrupt},
		{"text", []byte("networks:\n- id: blue\n"), store.ErrForeign},
		{"much text", bytes.Repeat([]byte("networks:\n"), 5000), store.ErrForeign},
		{"SQLite", append([]byte("SQLite format 3\x00"), make([]byte, 2*page)...), store.ErrForeign},
		{"another program's bbolt", read(t, foreign), store.ErrForeign},
		{"bbolt with our bucket", read(t, metaOnly), store.ErrForeign},
		{"the first page", now[:page], store.ErrCorrupt},
		{"without the first page", now[page:], store.ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) { unchanged(t, place(t, tt.file), tt.want) })
	}
	t.Run("newer", func(t *testing.T) {
		dir := place(t, now)
		edit(t, filepath.Join(dir, store.FileName), func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte("meta")).Put([]byte("format"), store.FormatValue(store.SchemaVersion+1))
		})
		unchanged(t, dir, store.ErrNewer)
	})
	for name, make := range map[string]func(string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":      func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := make(filepath.Join(dir, store.FileName)); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Open(dir); !errors.Is(err, store.ErrForeign) {
				t.Errorf("open: %v", err)
			}
		})
	}
}

// TestDamagedInUse truncates the file of an open store, so that mapped memory is gone. Reading
// and writing then fail without a crash and without more damage. When the file is restored,
// the store works again.
func TestDamagedInUse(t *testing.T) {
	now, _, o := aStore(t)
	for _, keep := range []int64{0, page, 2 * page, 5 * page} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			s := open(t, place(t, now))
			if err := os.Truncate(s.Path(), keep); err != nil {
				t.Fatal(err)
			}
			if err := s.Commit(13, true, batch(13)...); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("commit: %v", err)
			}
			if _, err := s.Load(nil); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("load: %v", err)
			}
			if err := s.ReadOnly(); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("ReadOnly returns %v", err)
			}
			if err := s.Commit(13, true, batch(13)...); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("commit again: %v", err)
			}
			if err := os.WriteFile(s.Path(), now, 0); err != nil {
				t.Fatal(err)
			}
			if diff := differ(o.contents(), load(t, s)); diff != "" {
				t.Error(diff)
			}
			commit(t, s, 13, batch(13)...)
		})
	}
}

// If the file of a store was removed or replaced, the store checks the new file before it
// writes.
func TestReplaced(t *testing.T) {
	now, before, o := aStore(t)
	s := open(t, place(t, now))
	if err := os.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(13, true, batch(13)...); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("commit without a file: %v", err)
	}
	if err := os.WriteFile(s.Path(), before, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(13, true, batch(13)...); !errors.Is(err, store.ErrChanged) {
		t.Errorf("commit to a backup: %v", err)
	}
	if c := load(t, s); c.Revision != 9 {
		t.Errorf("the backup has revision %d", c.Revision)
	}
	if err := os.Rename(filepath.Join(place(t, now), store.FileName), s.Path()); err != nil {
		t.Fatal(err)
	}
	if diff := differ(o.contents(), load(t, s)); diff != "" {
		t.Error(diff)
	}
	commit(t, s, 13, batch(13)...)
	// The file is overwritten in place, as cp does.
	if err := os.WriteFile(s.Path(), now, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(14, true, batch(14)...); !errors.Is(err, store.ErrChanged) {
		t.Errorf("commit to a copy: %v", err)
	}
	if diff := differ(o.contents(), load(t, s)); diff != "" {
		t.Error(diff)
	}
}
