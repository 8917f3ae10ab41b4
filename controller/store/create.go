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

// create creates an empty store at path, which must not exist. After a crash the store is
// complete or does not exist. A file with the store's name, ".new-" and a number may remain.
func create(path string) error {
	dir := filepath.Dir(path)
	switch err := os.Mkdir(dir, 0o750); {
	case errors.Is(err, fs.ErrExist):
	case err != nil:
		return fmt.Errorf("create its directory: %w", err)
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
			return fmt.Errorf("create the file: %w", err)
		}
		defer db.Close()
		return db.Update(fillEmpty)
	})
}

// publish creates the file path. fill writes the contents. It must sync the file, and may close it.
// If path exists, the error wraps [fs.ErrExist].
func publish(path string, fill func(*os.File) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+unfinished)
	if err != nil {
		return fmt.Errorf("create the file: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := fill(f); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike a rename, a link replaces nothing
		return err
	}
	return syncDir(dir)
}

// unfinished is part of the names of files that are not published yet.
const unfinished = ".new-"

// removeLeftovers removes unfinished files of ours. The caller must have locked the store at path,
// so that no other process creates such a file in the meantime. Errors are ignored, because the
// next start tries again.
func removeLeftovers(path string) {
	finish(path)
	for name := range leftovers(path) {
		ownfile.Remove(name)
	}
}

// finish removes the unfinished name of each file that has two names. Such a file remains after a
// crash in publish between the link and the removal of the first name. A file with two names would
// not be accepted as ours.
func finish(path string) {
	for name, second := range leftovers(path) {
		a, errA := os.Lstat(name)
		b, errB := os.Lstat(second)
		if errors.Join(errA, errB) == nil && os.SameFile(a, b) {
			os.Remove(name)
		}
	}
}

// leftovers yields each unfinished file in the directory of the store at path, with its
// intended final name.
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

// fillEmpty writes an empty store.
func fillEmpty(tx *bbolt.Tx) error {
	for k := range kinds {
		if _, err := tx.CreateBucket([]byte(k.String())); err != nil {
			return fmt.Errorf("create bucket %v: %w", k, err)
		}
	}
	if _, err := tx.CreateBucket([]byte(metaBucket)); err != nil {
		return fmt.Errorf("create bucket %s: %w", metaBucket, err)
	}
	value, err := new(summary).value()
	if err != nil {
		return err
	}
	return putMeta(tx, value)
}

// putMeta writes the schema version and the summary.
func putMeta(tx *bbolt.Tx, summary []byte) error {
	b := tx.Bucket([]byte(metaBucket))
	if err := b.Put([]byte(formatKey), formatValue(schemaVersion)); err != nil {
		return fmt.Errorf("put the schema version: %w", err)
	}
	if err := b.Put([]byte(summaryKey), summary); err != nil {
		return fmt.Errorf("put the summary: %w", err)
	}
	return nil
}
