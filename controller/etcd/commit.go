package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// A replacement is an object before and after a change.
type replacement struct {
	before, after thing
	broken        string // the key of an object before that cannot be parsed
}

// maxOps is the number of operations up to which etcd is asked for a transaction. etcd's own limit,
// --max-txn-ops, is usually far lower.
const maxOps = 10_000

// Commit writes changes in one transaction. It fails with [ledger.ErrStale] if another writer has
// changed an object on which the changes depend after revision b.Seen.
func (s *Store) Commit(ctx context.Context, b ledger.Base, changes ...routing.Change) (uint64, error) {
	all := replacements(b.Index, changes)
	hidden := func(r *replacement) bool { return !r.after.exists() } // this host does not use an object that is deleted
	for again := false; ; again = true {
		if err := s.locate(ctx, all, b.Seen, hidden); err != nil {
			return 0, err
		}
		t := transaction{prefix: s.cfg.Prefix, seen: int64(b.Seen)}
		t.write(all, b.Complete)
		if len(t.do) > maxOps {
			return 0, fmt.Errorf("%w: it has %d operations, more than %d; apply it in parts", ledger.ErrTooLarge, len(t.do), maxOps)
		}
		limited, cancel := context.WithTimeout(ctx, requestTimeout)
		resp, err := s.client.Txn(limited).If(t.compare...).Then(t.do...).Else(t.read...).Commit()
		cancel()
		switch {
		case isTooLarge(err):
			return 0, fmt.Errorf("%w of etcd: it has %d operations (etcd's --max-txn-ops, %w); apply it in parts", ledger.ErrTooLarge, len(t.do), err)
		case isDenied(err):
			return 0, s.denied()
		case err != nil:
			return 0, err
		case resp.Succeeded:
			signal(s.wrote)
			return uint64(resp.Header.Revision), nil
		}
		held := make(map[string][]byte) // keys that existed at b.Seen already
		for i, r := range resp.Responses {
			kvs := r.GetResponseRange().Kvs
			if len(kvs) > 0 && string(kvs[0].Key) == s.cfg.Prefix+metaKey {
				if _, err := parseMeta(kvs[0].Value); err != nil {
					return 0, err // the schema is that of a later version
				}
			}
			if len(kvs) == 0 && t.needed[i] || len(kvs) > 0 && kvs[0].ModRevision > t.seen {
				return 0, ledger.ErrStale
			}
			if len(kvs) > 0 {
				held[strings.TrimPrefix(string(kvs[0].Key), s.cfg.Prefix)] = kvs[0].Value
			}
		}
		if again {
			return 0, t.taken(held)
		}
		hidden = func(*replacement) bool { return true }
	}
}

// locate looks in etcd for objects that this host does not use, as they were at revision seen: for
// those objects of all that have no version before the change and for which hidden is true.
func (s *Store) locate(ctx context.Context, all map[ledger.Object]*replacement, seen uint64, hidden func(*replacement) bool) error {
	for o, r := range all {
		if r.before.exists() || r.broken != "" || !hidden(r) {
			continue
		}
		k, value, err := s.lookup(ctx, o, seen)
		if err != nil {
			return err
		}
		if k.kind == 0 {
			continue
		}
		var m routing.Model
		if k.parse(value, &m) != nil {
			r.broken = k.text
			continue
		}
		switch k.kind {
		case routing.KindHost:
			r.before.host = &m.Hosts[0]
		case routing.KindNetwork:
			r.before.network = &m.Networks[0]
		case routing.KindRouter:
			r.before.router = &m.Routers[0]
		case routing.KindPort:
			r.before.port = &m.Ports[0]
		}
	}
	return nil
}

// lookup returns the key and the value of an object at a revision. The key's kind is 0 if the
// object does not exist.
func (s *Store) lookup(ctx context.Context, o ledger.Object, at uint64) (key, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	name := thing{}
	switch o.Kind {
	case routing.KindHost:
		name.host = &routing.Host{ID: o.ID}
	case routing.KindNetwork:
		name.network = &routing.Network{ID: o.ID}
	case routing.KindRouter:
		name.router = &routing.Router{ID: o.ID}
	}
	if name.exists() {
		resp, err := s.client.Get(ctx, s.cfg.Prefix+name.key(), clientv3.WithRev(int64(at)))
		if err != nil || len(resp.Kvs) == 0 {
			return key{}, nil, err
		}
		return s.object(string(resp.Kvs[0].Key)), resp.Kvs[0].Value, nil
	}
	resp, err := s.client.Get(ctx, s.cfg.Prefix+portDir, clientv3.WithPrefix(), clientv3.WithRev(int64(at)), clientv3.WithKeysOnly())
	if err != nil {
		return key{}, nil, err
	}
	for _, kv := range resp.Kvs {
		if k := s.object(string(kv.Key)); k.kind == o.Kind && k.id == o.ID {
			one, err := s.client.Get(ctx, string(kv.Key), clientv3.WithRev(int64(at)))
			if err != nil || len(one.Kvs) == 0 {
				return key{}, nil, err
			}
			return k, one.Kvs[0].Value, nil
		}
	}
	return key{}, nil, nil
}

// replacements returns the objects that changes put or delete, by kind and ID.
func replacements(x *routing.Index, changes []routing.Change) map[ledger.Object]*replacement {
	all := make(map[ledger.Object]*replacement)
	at := func(kind routing.Kind, id string) *replacement {
		o := ledger.Object{Kind: kind, ID: id}
		if all[o] == nil {
			all[o] = &replacement{before: find(x, o)}
		}
		return all[o]
	}
	for i := range changes {
		d, p := &changes[i].Delete, &changes[i].Put
		for kind, ids := range map[routing.Kind][]string{routing.KindHost: d.Hosts, routing.KindNetwork: d.Networks, routing.KindRouter: d.Routers, routing.KindPort: d.Ports} {
			for _, id := range ids {
				at(kind, id).after = thing{}
			}
		}
		for j := range p.Hosts {
			at(routing.KindHost, p.Hosts[j].ID).after = thing{host: &p.Hosts[j]}
		}
		for j := range p.Networks {
			at(routing.KindNetwork, p.Networks[j].ID).after = thing{network: &p.Networks[j]}
		}
		for j := range p.Routers {
			at(routing.KindRouter, p.Routers[j].ID).after = thing{router: &p.Routers[j]}
		}
		for j := range p.Ports {
			at(routing.KindPort, p.Ports[j].ID).after = thing{port: &p.Ports[j]}
		}
	}
	return all
}

func find(x *routing.Index, o ledger.Object) (t thing) {
	switch o.Kind {
	case routing.KindHost:
		t.host = x.Host(o.ID)
	case routing.KindNetwork:
		if n, ok := x.Network(o.ID); ok {
			t.network = &n
		}
	case routing.KindRouter:
		t.router = x.Router(o.ID)
	case routing.KindPort:
		if p, ok := x.Port(o.ID); ok {
			t.port = &p
		}
	}
	return t
}

// A transaction collects the operations of a commit.
type transaction struct {
	prefix string
	seen   int64
	absent map[string]bool // keys that must not exist

	compare []clientv3.Cmp
	do      []clientv3.Op
	read    []clientv3.Op // reads the compared keys if the comparison fails
	needed  []bool        // for each of read: the key must exist
}

// unchanged demands that key exists, or does not, and was not changed after revision seen.
func (t *transaction) unchanged(key string, exists bool) {
	key = t.prefix + key
	if !exists {
		t.compare = append(t.compare, clientv3.Compare(clientv3.CreateRevision(key), "=", 0))
	} else {
		t.compare = append(t.compare, clientv3.Compare(clientv3.ModRevision(key), "<", t.seen+1), clientv3.Compare(clientv3.CreateRevision(key), ">", 0))
	}
	t.reading(key, exists)
}

func (t *transaction) reading(key string, needed bool, opts ...clientv3.OpOption) {
	t.read = append(t.read, clientv3.OpGet(key, opts...))
	t.needed = append(t.needed, needed)
}

// exists demands that key exists.
func (t *transaction) exists(key string) {
	key = t.prefix + key
	t.compare = append(t.compare, clientv3.Compare(clientv3.CreateRevision(key), ">", 0))
	t.reading(key, true)
}

// quiet demands that no key in a directory was created or changed after revision seen.
func (t *transaction) quiet(dir string) {
	dir = t.prefix + dir
	t.compare = append(t.compare, clientv3.Compare(clientv3.ModRevision(dir), "<", t.seen+1).WithPrefix())
	t.reading(dir, false, clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithSort(clientv3.SortByModRevision, clientv3.SortDescend))
}

// write adds the operations for all.
func (t *transaction) write(all map[ledger.Object]*replacement, complete bool) {
	before, after := make(map[string]string), make(map[string]string) // keys below own
	layout := len(all) == 0
	objects := slices.SortedFunc(maps.Keys(all), func(a, b ledger.Object) int {
		return strings.Compare(fmt.Sprint(a.Kind, a.ID), fmt.Sprint(b.Kind, b.ID))
	})
	demands := make(map[string]bool) // networks and hosts that ports need
	t.compare = append(t.compare, clientv3.Compare(clientv3.ModRevision(t.prefix+metaKey), "<", t.seen+1))
	t.reading(t.prefix+metaKey, false)
	for _, o := range objects {
		r := all[o]
		layout = layout || o.Kind != routing.KindPort
		r.before.owns(func(k, v string) { before[k] = v })
		r.after.owns(func(k, v string) { after[k] = v })
		was, is := r.broken, ""
		if r.before.exists() {
			was = r.before.key()
		}
		if r.after.exists() {
			is = r.after.key()
		}
		if was != "" {
			t.unchanged(was, true)
		}
		if was != "" && was != is {
			t.do = append(t.do, clientv3.OpDelete(t.prefix+was))
		}
		if is != "" && was != is {
			t.unchanged(is, false)
		}
		if is != "" {
			t.do = append(t.do, clientv3.OpPut(t.prefix+is, string(r.after.value())))
		}
		if p := r.after.port; p != nil {
			demands[thing{network: &routing.Network{ID: p.Network}}.key()] = true
			if p.Host != "" {
				demands[thing{host: &routing.Host{ID: p.Host}}.key()] = true
			}
		}
		if r.before.network != nil && r.after.network == nil {
			t.quiet(portsOf(o.ID))
		}
		if r.before.host != nil && r.after.host == nil {
			t.quiet(portDir)
		}
	}
	for _, r := range all {
		if r.after.exists() {
			delete(demands, r.after.key()) // written by this transaction
		}
	}
	for _, k := range slices.Sorted(maps.Keys(demands)) {
		t.exists(k)
	}
	t.own(before, after)
	if layout {
		t.compare = append(t.compare, clientv3.Compare(clientv3.ModRevision(t.prefix+layoutKey), "<", t.seen+1))
		t.reading(t.prefix+layoutKey, false)
		t.do = append(t.do, clientv3.OpPut(t.prefix+layoutKey, ""))
		m, _ := json.Marshal(meta{schema, complete}) // cannot fail
		put := clientv3.OpPut(t.prefix+metaKey, string(m))
		if !complete { // a host that does not know yet that the intent is complete must not undo that
			put = clientv3.OpTxn([]clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(t.prefix+metaKey), "=", 0)}, []clientv3.Op{put}, nil)
		}
		t.do = append(t.do, put)
	}
}

// own adds the operations for the keys below own.
func (t *transaction) own(before, after map[string]string) {
	t.absent = make(map[string]bool)
	for _, k := range slices.Sorted(maps.Keys(after)) {
		was, had := before[k]
		switch {
		case !had:
			t.absent[k] = true
			t.unchanged(k, false)
			t.do = append(t.do, clientv3.OpPut(t.prefix+k, after[k]))
		case was != after[k]:
			t.do = append(t.do, clientv3.OpPut(t.prefix+k, after[k]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(before)) {
		if _, has := after[k]; !has {
			t.do = append(t.do, clientv3.OpDelete(t.prefix+k))
		}
	}
}

// taken returns the error for keys that existed although they should not.
func (t *transaction) taken(held map[string][]byte) error {
	for _, k := range slices.Sorted(maps.Keys(held)) {
		if t.absent[k] {
			kind, value, _ := strings.Cut(strings.TrimPrefix(k, ownDir), "/")
			return fmt.Errorf("%s %s is already used by %s, which this host cannot use (ofdvr status): see key %s%s", kind, value, held[k], t.prefix, k)
		}
	}
	return fmt.Errorf("etcd refused the transaction for a reason that is not known: keys %v", slices.Sorted(maps.Keys(held)))
}
