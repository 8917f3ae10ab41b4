package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
)

// schemaVersion is the current schema version.
//
//	0  values have no checksums, and the summary no tallies
//	1  they have
//	2  objects may have keys that earlier daemons do not know
//	3  there is a bucket of hosts
const schemaVersion = 3

// A migration changes a store from one version to the next. All migrations run in one
// transaction.
type migration func(*bbolt.Tx) error

// migrations[n] migrates from version n to n+1.
var migrations = []migration{addChecksums, func(*bbolt.Tx) error { return nil }, addHosts}

// maxCopies is the maximum number of copies of one version.
const maxCopies = 100

// migrate migrates an older store to the current version. If it succeeds, it keeps a copy of the
// old file. If it fails, the file is unchanged.
func (h *handle) migrate(path string, migrations []migration) error {
	from := h.header.version
	if from >= schemaVersion {
		return nil
	}
	kept, err := h.keepCopy(fmt.Sprintf("%s.v%d", path, from))
	if err != nil {
		return fmt.Errorf("copy the store of schema version %d before it is migrated: %w", from, err)
	}
	panicked, err := guard(func() error {
		return h.db.Update(func(tx *bbolt.Tx) error {
			for v := from; v < schemaVersion; v++ {
				if err := migrations[v](tx); err != nil {
					return fmt.Errorf("from schema version %d to %d: %w", v, v+1, err)
				}
			}
			return tx.Bucket([]byte(metaBucket)).Put([]byte(formatKey), formatValue(schemaVersion))
		})
	})
	if panicked {
		h.abandon()
	}
	if err == nil {
		h.header, err = h.scan(scan{})
		return err // keep the copy even after an error, because the file has changed
	}
	return errors.Join(err, os.Remove(kept))
}

// keepCopy copies the file to name and returns the name of the copy. If name exists, it appends a
// number.
func (h *handle) keepCopy(name string) (string, error) {
	info, err := h.file.Stat()
	if err != nil {
		return "", err
	}
	for i := range maxCopies {
		called := name
		if i > 0 {
			called = fmt.Sprintf("%s.%d", name, i)
		}
		err := publish(called, func(f *os.File) error {
			if _, err := io.Copy(f, io.NewSectionReader(h.file, 0, info.Size())); err != nil {
				return err
			}
			return f.Sync()
		})
		if !errors.Is(err, fs.ErrExist) {
			return called, err
		}
	}
	return "", fmt.Errorf("there are already %d copies called %s; move some of them away: %w", maxCopies, name, fs.ErrExist)
}

// addChecksums migrates version 0 to version 1.
func addChecksums(tx *bbolt.Tx) error {
	meta := tx.Bucket([]byte(metaBucket))
	var st summary
	if err := json.Unmarshal(meta.Get([]byte(summaryKey)), &st); err != nil {
		return corrupt("the summary: %w", err)
	}
	for k := networks; k <= ports; k++ {
		b := tx.Bucket([]byte(k.String()))
		if b == nil {
			return corrupt("there is no bucket called %v", k)
		}
		var writes []write
		err := b.ForEach(func(key, text []byte) error {
			writes = append(writes, write{id: string(key), value: append(make([]byte, sumLen), text...)})
			return nil
		})
		if err == nil {
			err = put(tx, k, writes, st.of(k))
		}
		if err != nil {
			return err
		}
	}
	value, err := st.value()
	if err != nil {
		return err
	}
	return meta.Put([]byte(summaryKey), value)
}

// addHosts migrates version 2 to version 3.
func addHosts(tx *bbolt.Tx) error {
	_, err := tx.CreateBucket([]byte(hosts.String()))
	return err
}
