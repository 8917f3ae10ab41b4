package store

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// Commit applies changes in order and makes the result durable as the given
// revision, in one step. When it returns nil, the result is on disk. After an
// error the contents are usually unchanged, but they may have changed if the
// disk failed during the last step. [Store.Load] returns the contents on disk.
// If they have changed, Commit returns [ErrChanged] until the next Load.
//
// After each error, the file is opened and checked again. Errors wrap [ErrFull], [ErrReadOnly],
// [ErrCorrupt], [ErrChanged], [ErrClosed] or the operating system's error.
func (s *Store) Commit(revision uint64, complete bool, changes ...routing.Change) error {
	writes := writesOf(changes)
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.ready()
	if err == nil {
		err = s.writable()
	}
	if err == nil {
		err = s.commit(revision, complete, writes)
	}
	if err != nil {
		return explain(fmt.Sprintf("commit revision %d to", revision), s.path, err)
	}
	return nil
}

// writable returns nil if the store can be written. It reopens the file after a failure.
func (s *Store) writable() error {
	if s.file.why == nil {
		return nil
	}
	f, err := openOwn(s.path, os.O_RDWR)
	if err != nil {
		return s.file.why
	}
	f.Close()
	s.drop()
	if err := s.ready(); err != nil {
		return err
	}
	return s.file.why
}

func (s *Store) commit(revision uint64, complete bool, writes [kinds][]write) error {
	var raw []byte
	panicked, err := guard(func() error {
		return s.file.db.Update(func(tx *bbolt.Tx) (err error) {
			raw, err = s.apply(tx, revision, complete, writes)
			return err
		})
	})
	switch {
	case err == nil:
		s.raw = string(raw)
		s.measure()
		return nil
	case panicked:
		s.file.abandon()
		s.file = nil
	default:
		s.drop()
	}
	return classify(err)
}

// apply writes to tx and returns the new summary record.
func (s *Store) apply(tx *bbolt.Tx, revision uint64, complete bool, writes [kinds][]write) ([]byte, error) {
	raw := tx.Bucket([]byte(metaBucket)).Get([]byte(summaryKey))
	if string(raw) != s.raw {
		return nil, ErrChanged
	}
	st, err := parseSummary(raw)
	if err != nil {
		return nil, err
	}
	st.Revision, st.Complete = revision, complete
	for k, w := range writes {
		if err := put(tx, kind(k), w, st.of(kind(k))); err != nil {
			return nil, err
		}
	}
	value, err := st.value()
	if err != nil {
		return nil, err
	}
	return value, putMeta(tx, value)
}

// A write is the new value of one object.
type write struct {
	id    string
	seq   int    // orders the writes of one ID
	value []byte // begins with space for the checksum; nil deletes the object
}

// writesOf returns the writes for changes, sorted by ID: one for each object, with its last
// change.
func writesOf(changes []routing.Change) (all [kinds][]write) {
	var buf []byte
	begin := func() []byte { return append(buf, make([]byte, sumLen)...) }
	encoded := func(k kind, id string, end []byte) {
		all[k] = append(all[k], write{id, len(all[k]), end[len(buf):len(end):len(end)]})
		buf = end
	}
	for i := range changes {
		d, p := &changes[i].Delete, &changes[i].Put
		for k, ids := range [kinds][]string{d.Networks, d.Routers, d.Ports, d.Hosts} {
			for _, id := range ids {
				all[k] = append(all[k], write{id: id, seq: len(all[k])})
			}
		}
		for j := range p.Hosts {
			h := &p.Hosts[j]
			encoded(hosts, h.ID, topology.AppendHost(begin(), h))
		}
		for j := range p.Networks {
			n := &p.Networks[j]
			encoded(networks, n.ID, topology.AppendNetwork(begin(), n))
		}
		for j := range p.Routers {
			r := &p.Routers[j]
			encoded(routers, r.ID, topology.AppendRouter(begin(), r))
		}
		for j := range p.Ports {
			q := &p.Ports[j]
			encoded(ports, q.ID, topology.AppendPort(begin(), q))
		}
	}
	for k := range all {
		all[k] = lastOfEach(all[k])
	}
	return all
}

// lastOfEach sorts by ID and keeps the last write of each.
func lastOfEach(writes []write) []write {
	slices.SortFunc(writes, func(a, b write) int { return cmp.Or(strings.Compare(a.id, b.id), a.seq-b.seq) })
	last := writes[:0]
	for i, w := range writes {
		if i+1 == len(writes) || writes[i+1].id != w.id {
			last = append(last, w)
		}
	}
	return last
}

const (
	// With at least this number of writes, bbolt fills the pages of a bucket to bulkFill. With
	// fewer writes, pages keep more space for later writes.
	bulk     = 1000
	bulkFill = 0.9
)

// put applies writes to the bucket of kind k and updates its tally.
func put(tx *bbolt.Tx, k kind, writes []write, t *tally) error {
	if len(writes) == 0 {
		return nil
	}
	b, seal := tx.Bucket([]byte(k.String())), sealOf(k.String())
	if len(writes) >= bulk {
		b.FillPercent = bulkFill
	}
	filled := t.Count > 0
	for _, w := range writes {
		key := []byte(w.id)
		if filled {
			if old := b.Get(key); old != nil {
				_, sum, err := seal.open(key, old)
				if err != nil {
					return fmt.Errorf("%v: %q: %w", k, w.id, err)
				}
				t.remove(sum)
			}
		}
		if w.value == nil {
			if err := b.Delete(key); err != nil {
				return fmt.Errorf("delete %q from %v: %w", w.id, k, err)
			}
			continue
		}
		t.add(seal.set(key, w.value))
		if err := b.Put(key, w.value); err != nil {
			return fmt.Errorf("put %q into %v: %w", w.id, k, err)
		}
	}
	return nil
}
