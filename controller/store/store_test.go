package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/routing"
)

// A new store is empty and not complete, and its directory contains only the file.
func TestNewStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	s := open(t, dir)
	if diff := differ(newOracle().contents(), load(t, s)); diff != "" {
		t.Error(diff)
	}
	if err := s.ReadOnly(); err != nil {
		t.Error(err)
	}
	if names := list(t, dir); !slices.Equal(names, []string{store.FileName}) {
		t.Errorf("the directory has %q", names)
	}
	if _, err := store.Open(filepath.Join(dir, "no", "parent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open in a directory without a parent: %v", err)
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Only files that remain after a crash are removed.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"intent.db.new-123", "intent.db.v0.new-4", "intent.db.v0", "other.new-5"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, dir)
	if names := list(t, dir); !slices.Equal(names, []string{"intent.db", "intent.db.v0", "other.new-5"}) {
		t.Errorf("the directory has %q", names)
	}
}

// TestCommit makes random commits, sometimes reopens the store, and compares it with an
// oracle. In the end bbolt finds no errors and reads the same objects.
func TestCommit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "store")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		s, err := store.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { s.Close() }()
		o := newOracle()
		for i := range rapid.IntRange(1, 12).Draw(t, "commits") {
			revision, complete := uint64(i+1), rapid.Bool().Draw(t, "complete")
			changes := rapid.SliceOfN(rapid.Custom(drawChange), 0, 4).Draw(t, "changes")
			if err := s.Commit(revision, complete, changes...); err != nil {
				t.Fatal(err)
			}
			o.commit(revision, complete, changes...)
			if rapid.IntRange(0, 3).Draw(t, "again") == 0 {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if s, err = store.Open(dir); err != nil {
					t.Fatal(err)
				}
			}
			c, err := s.Load(nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := differ(o.contents(), c); diff != "" {
				t.Fatal(diff)
			}
		}
		s.Close()
		if err := bboltAgrees(s.Path(), o.contents().Model); err != nil {
			t.Fatal(err)
		}
	})
}

// drawChange draws a change of few objects, often the same ones, or of many ports. So the tree gets
// branches and shrinks again.
func drawChange(t *rapid.T) (c routing.Change) {
	first := rapid.IntRange(0, 1000).Draw(t, "first")
	n := rapid.SampledFrom([]int{0, 1, 3, 400, 1200}).Draw(t, "n")
	version := rapid.Byte().Draw(t, "version")
	for i := range n {
		if i%5 == int(version%7) {
			c.Delete.Ports = append(c.Delete.Ports, port(first+i*2, 0).ID)
		} else {
			c.Put.Ports = append(c.Put.Ports, port(first+i, version))
		}
	}
	if version%3 == 0 {
		c.Delete.Hosts, c.Delete.Networks, c.Delete.Routers = []string{"h1"}, []string{"green", "none"}, []string{"r1"}
	}
	if version%2 == 0 {
		m := site(0)
		m.Networks[0].MTU, m.Routers[0].Namespace = 1000+int(version), fmt.Sprint("ns", version)
		c.Put.Hosts, c.Put.Networks, c.Put.Routers = m.Hosts, m.Networks[:1+version%4/2], m.Routers
	}
	return c
}

// bboltAgrees opens the file at path with bbolt alone.
func bboltAgrees(path string, m *routing.Model) error {
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		var want, have []string
		for _, v := range m.Hosts {
			want = append(want, "hosts/"+v.ID)
		}
		for _, v := range m.Networks {
			want = append(want, "networks/"+v.ID)
		}
		for _, v := range m.Ports {
			want = append(want, "ports/"+v.ID)
		}
		for _, v := range m.Routers {
			want = append(want, "routers/"+v.ID)
		}
		err := tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, _ []byte) error {
				if string(name) != "meta" {
					have = append(have, string(name)+"/"+string(k))
				}
				return nil
			})
		})
		if err == nil && !slices.Equal(want, have) {
			err = fmt.Errorf("bbolt has %d objects, want %d", len(have), len(want))
		}
		return err
	})
}

// The reported size is the file's size, and deleted objects become free space.
func TestSize(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	same := func(when string) store.Size {
		t.Helper()
		info, err := os.Stat(s.Path())
		if err != nil {
			t.Fatal(err)
		}
		size := s.Size()
		if size.Bytes != info.Size() || size.Free < 0 || size.Free >= size.Bytes {
			t.Errorf("%s: Size returns %+v, but the file has %d bytes", when, size, info.Size())
		}
		return size
	}
	same("at first")
	m := site(2000)
	commit(t, s, 1, routing.Change{Put: m})
	full := same("with ports")
	var ids routing.IDs
	for _, p := range m.Ports {
		ids.Ports = append(ids.Ports, p.ID)
	}
	commit(t, s, 2, routing.Change{Delete: ids})
	empty := same("without ports")
	if empty.Free < full.Free+full.Bytes/4 {
		t.Errorf("the size after all objects were deleted is %+v; before, it was %+v", empty, full)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if again := same("when it is open again"); again.Free < empty.Free {
		t.Errorf("the size after reopening is %+v, and was %+v before", again, empty)
	}
}

func TestProgress(t *testing.T) {
	const n = 5000
	s := open(t, t.TempDir())
	m := site(n)
	commit(t, s, 1, routing.Change{Put: m})
	want := n + len(m.Hosts) + len(m.Networks) + len(m.Routers)
	var told []int
	if _, err := s.Load(func(done, total int) {
		if total != want {
			t.Fatalf("%d of %d, want %d", done, total, want)
		}
		told = append(told, done)
	}); err != nil {
		t.Fatal(err)
	}
	if len(told) < 5 || told[0] != 0 || told[len(told)-1] != want || !slices.IsSorted(told) {
		t.Errorf("progress was called with %v, want 0 to %d", told, want)
	}
}

// TestConcurrent commits and loads in many goroutines. Each load returns complete commits
// only.
func TestConcurrent(t *testing.T) {
	s := open(t, t.TempDir())
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				// The ports 2g and 2g+1 always change together.
				pair := []routing.Port{port(2*g, byte(i)), port(2*g+1, byte(i))}
				if err := s.Commit(uint64(i), false, routing.Change{Put: routing.Model{Ports: pair}}); err != nil {
					t.Error(err)
				}
				c, err := s.Load(nil)
				if err != nil {
					t.Error(err)
					continue
				}
				version := make(map[uint32]byte)
				for _, p := range c.Model.Ports {
					at := uint32(p.MAC[5])
					if v, ok := version[at/2]; ok && v != p.MAC[1] {
						t.Errorf("port %d has version %d, but the other port of the pair has version %d", at, p.MAC[1], v)
					}
					version[at/2] = p.MAC[1]
				}
				if err := s.ReadOnly(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// A closed Store returns errors, and another Store can get the lock.
func TestClosed(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := store.Open(dir); !errors.Is(err, store.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Commit(1, true); !errors.Is(err, store.ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := s.Load(nil); !errors.Is(err, store.ErrClosed) {
		t.Errorf("load: %v", err)
	}
	open(t, dir)
}

// If one object cannot be stored, its whole commit is refused. The next commit works.
func TestBadObject(t *testing.T) {
	s := open(t, t.TempDir())
	o := newOracle()
	first := routing.Change{Put: site(3)}
	commit(t, s, 1, first)
	o.commit(1, true, first)
	err := s.Commit(2, true, routing.Change{Put: routing.Model{Ports: []routing.Port{port(9, 0), {}}}})
	if err == nil {
		t.Error("a port without an ID was stored")
	}
	if diff := differ(o.contents(), load(t, s)); diff != "" {
		t.Error(diff)
	}
	next := routing.Change{Put: site(5)}
	commit(t, s, 2, next)
	o.commit(2, true, next)
	if diff := differ(o.contents(), load(t, s)); diff != "" {
		t.Error(diff)
	}
}
