package store

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/ofdvr/ofdvr/internal/ownfile"
)

// create makes an empty store at path, where nothing may be. A crash leaves
// either a whole store or none, and perhaps a file whose name begins with that
// of the store and ".new-".
func create(path string) error {
	dir := filepath.Dir(path)
	switch err := os.Mkdir(dir, 0o750); {
	case errors.Is(err, fs.ErrExist):
	case err != nil:
		return fmt.Errorf("make a directory for it: %w", err)
	default:
		if err := syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	if err := ownfile.CheckDir(dir); err != nil {
		return err
	}
	return publish(path, func(f *os.File) error {
		db, err := bbolt.Open(f.Name(), 0, boltOptions(f))
		if err != nil {
			return fmt.Errorf("make it: %w", err)
		}
		defer db.Close()
		return db.Update(fillEmpty)
	})
}

// publish makes a file with what fill writes, under the name path if that is
// free; otherwise the error wraps [fs.ErrExist]. fill has to sync what it wrote,
// and may close the file.
func publish(path string, fill func(*os.File) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+unfinished)
	if err != nil {
		return fmt.Errorf("make it: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := fill(f); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike a rename, it replaces nothing
		return err
	}
	return syncDir(dir)
}

// unfinished is in the names of files that were not published when the process
// ended.
const unfinished = ".new-"

// removeLeftovers removes such files, if they are ours. The store at path is locked, so
// no other process makes one. If one cannot be removed, the next time will do.
func removeLeftovers(path string) {
	finish(path)
	for name := range leftovers(path) {
		ownfile.Remove(name)
	}
}

// finish removes the first names of files that a crash left with two: publish had given
// them the second one. A file with two names is not ours.
func finish(path string) {
	for name, second := range leftovers(path) {
		a, errA := os.Lstat(name)
		b, errB := os.Lstat(second)
		if errors.Join(errA, errB) == nil && os.SameFile(a, b) {
			os.Remove(name)
		}
	}
}

// leftovers yields the files of publish that are beside the store at path, and the name
// under which each was to be published.
func leftovers(path string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		dir, base := filepath.Split(path)
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil {
			return
		}
		for _, e := range entries {
			name, _, ok := strings.Cut(e.Name(), unfinished)
			if ok && strings.HasPrefix(name, base) && !yield(dir+e.Name(), dir+name) {
				return
			}
		}
	}
}

// fillEmpty makes what a store without objects has.
func fillEmpty(tx *bbolt.Tx) error {
	for k := range kinds {
		if _, err := tx.CreateBucket([]byte(k.String())); err != nil {
			return fmt.Errorf("make bucket %v: %w", k, err)
		}
	}
	if _, err := tx.CreateBucket([]byte(metaBucket)); err != nil {
		return fmt.Errorf("make bucket %s: %w", metaBucket, err)
	}
	value, err := new(state).value()
	if err != nil {
		return err
	}
	return putMeta(tx, value)
}

// putMeta writes the schema version and the state.
func putMeta(tx *bbolt.Tx, state []byte) error {
	b := tx.Bucket([]byte(metaBucket))
	if err := b.Put([]byte(formatKey), formatValue(schemaVersion)); err != nil {
		return fmt.Errorf("put the schema version: %w", err)
	}
	if err := b.Put([]byte(stateKey), state); err != nil {
		return fmt.Errorf("put the state: %w", err)
	}
	return nil
}
