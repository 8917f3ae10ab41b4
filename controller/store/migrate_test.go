package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// version0 creates a store of schema version 0 at path, without checksums. It has the networks
// and ports of m, at revision 5.
func version0(t *testing.T, path string, m routing.Model) {
	t.Helper()
	edit(t, path, func(tx *bbolt.Tx) error {
		put := func(bucket, key string, value []byte) {
			b, err := tx.CreateBucketIfNotExists([]byte(bucket))
			if err == nil && key != "" {
				err = b.Put([]byte(key), value)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		put("routers", "", nil)
		put("meta", "format", store.FormatValue(0))
		put("meta", "state", []byte(`{"revision":5,"complete":true}`))
		for _, n := range m.Networks {
			put("networks", n.ID, topology.AppendNetwork(nil, &n))
		}
		for _, p := range m.Ports {
			put("ports", p.ID, topology.AppendPort(nil, &p))
		}
		return nil
	})
}

// Opening an old store keeps its contents, and a copy of the old file.
func TestMigrate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, store.FileName)
	m := site(2000)
	m.Routers, m.Hosts = nil, nil
	version0(t, path, m)
	old := read(t, path)
	o := newOracle()
	o.commit(5, true, routing.Change{Put: m})

	s := open(t, dir)
	if diff := differ(o.contents(), load(t, s)); diff != "" {
		t.Error(diff)
	}
	commit(t, s, 6, batch(6)...)
	o.commit(6, true, batch(6)...)
	s.Close()
	if diff := differ(o.contents(), load(t, open(t, dir))); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(old, read(t, path+".v0")) {
		t.Error("the copy differs from the old file")
	}
	if names := list(t, dir); !slices.Equal(names, []string{"intent.db", "intent.db.v0"}) {
		t.Errorf("the directory has %q", names)
	}
}

// An existing copy is kept.
func TestMigrateAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, store.FileName)
	version0(t, path, site(3))
	kept := []byte("an earlier copy")
	if err := os.WriteFile(path+".v0", kept, 0o600); err != nil {
		t.Fatal(err)
	}
	old := read(t, path)
	open(t, dir)
	if !bytes.Equal(kept, read(t, path+".v0")) || !bytes.Equal(old, read(t, path+".v0.1")) {
		t.Error("the earlier copy has changed, or the new copy differs from the old file")
	}
}

// A failed migration leaves the file unchanged, and makes no other file.
func TestMigrateFails(t *testing.T) {
	broken := errors.New("broken")
	spoil := func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("ports"))
		for i := range 3000 {
			if err := b.Put([]byte(port(i, 0).ID), make([]byte, 100)); err != nil {
				return err
			}
		}
		return tx.DeleteBucket([]byte("networks"))
	}
	for name, migration := range map[string]func(*bbolt.Tx) error{
		"error": func(tx *bbolt.Tx) error { return errors.Join(spoil(tx), broken) },
		"panic": func(tx *bbolt.Tx) error { panic(errors.Join(spoil(tx), broken)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, store.FileName)
			version0(t, path, site(500))
			old := read(t, path)
			if err := store.OpenMigrating(path, migration); err == nil || !strings.Contains(err.Error(), broken.Error()) {
				t.Errorf("got %v", err)
			}
			if !bytes.Equal(old, read(t, path)) {
				t.Error("the file has changed")
			}
			if names := list(t, dir); !slices.Equal(names, []string{"intent.db"}) {
				t.Errorf("the directory has %q", names)
			}
			if n := len(load(t, open(t, dir)).Model.Ports); n != 500 {
				t.Errorf("the successful migration found %d ports", n)
			}
		})
	}
}

// A damaged store is not migrated.
func TestMigrateDamaged(t *testing.T) {
	for name, change := range map[string]func(tx *bbolt.Tx) error{
		"no bucket": func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("ports")) },
		"no state":  func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Delete([]byte("state")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, store.FileName)
			version0(t, path, site(5))
			edit(t, path, change)
			unchanged(t, dir, store.ErrCorrupt)
		})
	}
}
