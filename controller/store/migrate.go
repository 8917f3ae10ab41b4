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

// schemaVersion is the version of what is written.
//
//	0  values have no checksums, and the state no tallies
//	1  they have
//	2  networks, routers and ports may have keys that daemons before did not know
const schemaVersion = 2

// A migration makes a store of one version one of the next. It runs in one
// transaction with those that follow.
type migration func(*bbolt.Tx) error

// migrations has at n the one from version n to n+1.
var migrations = []migration{addChecksums, func(*bbolt.Tx) error { return nil }}

// maxCopies is how many copies of one version are kept.
const maxCopies = 100

// migrate brings the store up to the present version, if it is older. A copy of
// it is kept if that succeeds; if not, the file is as it was.
func (h *handle) migrate(path string, migrations []migration) error {
	from := h.header.version
	if from >= schemaVersion {
		return nil
	}
	kept, err := h.keepCopy(fmt.Sprintf("%s.v%d", path, from))
	if err != nil {
		return fmt.Errorf("copy schema version %d, before it is changed: %w", from, err)
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
		return err // the copy is kept in any case: the file has changed
	}
	return errors.Join(err, os.Remove(kept))
}

// keepCopy copies the file to one called name, or name with a number behind it
// if there is one already, and returns what it is called.
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
	return "", fmt.Errorf("there are %d files called %s, move some of them away: %w", maxCopies, name, fs.ErrExist)
}

// addChecksums makes version 1 of version 0.
func addChecksums(tx *bbolt.Tx) error {
	meta := tx.Bucket([]byte(metaBucket))
	var st state
	if err := json.Unmarshal(meta.Get([]byte(stateKey)), &st); err != nil {
		return corrupt("the state: %w", err)
	}
	for k := range kinds {
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
	return meta.Put([]byte(stateKey), value)
}
