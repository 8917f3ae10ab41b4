package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ofdvr/ofdvr/routing"
)

const (
	// maxFindings is the largest number of findings that a [Report] lists.
	maxFindings = 1000
	// maxValue is the number of bytes that a value may have. The API accepts no larger objects.
	maxValue = 1 << 20
	// checkPage is the number of keys in an answer. It is small because values may be large.
	checkPage = 500
)

// A Report is the result of [Store.Check].
type Report struct {
	Revision uint64
	Complete bool
	Keys     int
	// Hosts, Networks, Routers and Ports count the objects that can be read.
	Hosts, Networks, Routers, Ports int
	Findings                        []Finding
	More                            int // number of findings that are not listed

	prefix string
}

// A Finding is a key that is wrong.
type Finding struct {
	Key  string // "" if it concerns no single key
	Text string

	repair []clientv3.Op
	guard  []clientv3.Cmp // conditions of repair: the keys are as they were read
}

// Repairable reports whether [Store.Repair] can correct the finding.
func (f *Finding) Repairable() bool { return len(f.repair) > 0 }

func (f *Finding) String() string {
	if f.Key == "" {
		return f.Text
	}
	return "key " + f.Key + ": " + f.Text
}

func (r *Report) find(f Finding) {
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	if f.Key != "" {
		f.Key = brief(r.prefix + f.Key)
	}
	f.Text = brief(f.Text)
	r.Findings = append(r.Findings, f)
}

// A held key has a value of the own index, and the revision of its last change.
type held struct {
	value    string
	revision int64
}

// An examination has what Check has read.
type examination struct {
	Report
	model   routing.Model
	objects map[string]int64 // the keys of the objects in model, with the revisions of their last change
	ports   map[string]string
	own     map[string]held
	meta    bool
}

// Check reads all keys below the prefix at one revision, and reports each that is wrong. It calls
// progress with the number of keys read so far. It writes nothing.
func (s *Store) Check(ctx context.Context, progress func(keys int)) (*Report, error) {
	x := examination{Report: Report{prefix: s.cfg.Prefix}, objects: make(map[string]int64), ports: make(map[string]string), own: make(map[string]held)}
	end := clientv3.GetPrefixRangeEnd(s.cfg.Prefix)
	for from := s.cfg.Prefix; from != ""; {
		get, cancel := context.WithTimeout(ctx, 4*requestTimeout)
		resp, err := s.client.Get(get, from, clientv3.WithRange(end), clientv3.WithLimit(checkPage), clientv3.WithRev(int64(x.Revision)))
		cancel()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", s.Name(), explained(err))
		}
		if x.Revision == 0 {
			x.Revision = uint64(resp.Header.Revision)
		}
		for _, kv := range resp.Kvs {
			x.read(s.object(string(kv.Key)), kv.Value, kv.ModRevision)
		}
		progress(x.Keys)
		if from = ""; resp.More {
			from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		}
	}
	x.finish()
	return &x.Report, nil
}

// read adds a key.
func (x *examination) read(k key, value []byte, revision int64) {
	x.Keys++
	dir, _, _ := strings.Cut(k.text, "/")
	switch {
	case len(value) > maxValue:
		x.find(Finding{Key: k.text, Text: fmt.Sprintf("the value has %d bytes, more than %d", len(value), maxValue)})
	case k.is(metaKey):
		m, err := parseMeta(value)
		if err != nil {
			x.find(Finding{Key: k.text, Text: err.Error()})
		}
		x.meta, x.Complete = true, m.Complete
	case k.kind != 0:
		x.object(k, value, revision)
	case dir+"/" == ownDir && dir != k.text:
		x.own[k.text] = held{string(value), revision}
	case k.is(layoutKey) || k.is(clusterKey) || k.is(importKey) || slices.Contains([]string{aliveDir, onDir, ackDir, saidDir, syncKey + "/", askKey + "/"}, dir+"/"):
	default:
		x.find(Finding{Key: k.text, Text: "ofdvr has no such key"})
	}
}

func (x *examination) object(k key, value []byte, revision int64) {
	before := x.model
	if err := k.parse(value, &x.model); err != nil {
		x.model = before
		x.find(Finding{Key: k.text, Text: err.Error()})
		return
	}
	if want := last(&x.model, k.kind).key(); k.text != want {
		x.model = before
		x.find(Finding{Key: k.text, Text: fmt.Sprintf("%v %q belongs to the key %s%s", k.kind, k.id, x.prefix, want)})
		return
	}
	if k.kind == routing.KindPort {
		if other, twice := x.ports[k.id]; twice {
			x.model = before
			x.find(Finding{Key: k.text, Text: fmt.Sprintf("port %q also has the key %s%s", k.id, x.prefix, other)})
			return
		}
		x.ports[k.id] = k.text
	}
	x.objects[k.text] = revision
}

// last returns the last object of a kind in m.
func last(m *routing.Model, kind routing.Kind) thing {
	switch kind {
	case routing.KindHost:
		return thing{host: &m.Hosts[len(m.Hosts)-1]}
	case routing.KindNetwork:
		return thing{network: &m.Networks[len(m.Networks)-1]}
	case routing.KindRouter:
		return thing{router: &m.Routers[len(m.Routers)-1]}
	}
	return thing{port: &m.Ports[len(m.Ports)-1]}
}

// all calls do with each object that could be read.
func (x *examination) all(do func(thing)) {
	for i := range x.model.Hosts {
		do(thing{host: &x.model.Hosts[i]})
	}
	for i := range x.model.Networks {
		do(thing{network: &x.model.Networks[i]})
	}
	for i := range x.model.Routers {
		do(thing{router: &x.model.Routers[i]})
	}
	for i := range x.model.Ports {
		do(thing{port: &x.model.Ports[i]})
	}
}

// finish compares the keys with each other.
func (x *examination) finish() {
	m := &x.model
	x.Hosts, x.Networks, x.Routers, x.Ports = len(m.Hosts), len(m.Networks), len(m.Routers), len(m.Ports)
	if !x.meta && x.Keys > 0 {
		x.find(Finding{Key: metaKey, Text: "it is missing, so hosts remove nothing: run 'ofdvr etcd init', and when all objects are there, 'ofdvr complete' on a host"})
	}
	x.references()
	x.index()
}

// references adds the findings of the intent's rules, such as references to missing objects.
func (x *examination) references() {
	joined, ok := x.model.Validate().(interface{ Unwrap() []error })
	if !ok {
		return // nil
	}
	for _, err := range joined.Unwrap() {
		f := Finding{Text: err.Error()}
		if e, ok := errors.AsType[*routing.PathError](err); ok {
			if t := x.at(e.Path); t.exists() {
				_, place, _ := strings.Cut(e.Path, "].")
				f = Finding{Key: t.key(), Text: strings.TrimPrefix(place+": "+e.Err.Error(), ": ")}
			}
		}
		x.find(f)
	}
}

// at returns the object that a path such as ports[3].mac is in.
func (x *examination) at(path string) thing {
	list, rest, _ := strings.Cut(path, "[")
	i := 0
	if _, err := fmt.Sscanf(rest, "%d", &i); err != nil || i < 0 {
		return thing{}
	}
	switch m := &x.model; {
	case list == "hosts" && i < len(m.Hosts):
		return thing{host: &m.Hosts[i]}
	case list == "networks" && i < len(m.Networks):
		return thing{network: &m.Networks[i]}
	case list == "routers" && i < len(m.Routers):
		return thing{router: &m.Routers[i]}
	case list == "ports" && i < len(m.Ports):
		return thing{port: &m.Ports[i]}
	}
	return thing{}
}

// index compares the keys below own with the objects.
func (x *examination) index() {
	want, by := make(map[string]string), make(map[string]string) // values, and keys of objects
	disputed := make(map[string]bool)
	x.all(func(t thing) {
		t.owns(func(k, v string) {
			if other, twice := by[k]; twice && other != t.key() {
				disputed[k] = true // which a rule of the intent reports
			}
			want[k], by[k] = v, t.key()
		})
	})
	for _, k := range slices.Sorted(maps.Keys(want)) {
		have, exists := x.own[k]
		if disputed[k] || have.value == want[k] && exists {
			continue
		}
		object := x.prefix + by[k]
		f := Finding{Key: k, repair: []clientv3.Op{clientv3.OpPut(x.prefix+k, want[k])},
			guard: []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(x.prefix+k), "=", have.revision), clientv3.Compare(clientv3.ModRevision(object), "=", x.objects[by[k]])}}
		if exists {
			f.Text = fmt.Sprintf("it names %q, but %s has %q", have.value, object, want[k])
		} else {
			f.Text = fmt.Sprintf("it is missing, but %s needs it: another object may get the same ID or address", object)
		}
		x.find(f)
	}
	for _, k := range slices.Sorted(maps.Keys(x.own)) {
		if _, wanted := want[k]; wanted {
			continue
		}
		x.find(Finding{Key: k, Text: fmt.Sprintf("it names %q, which does not exist or cannot be read: no other object can get this ID or address", cmp.Or(x.own[k].value, "nothing")),
			repair: []clientv3.Op{clientv3.OpDelete(x.prefix + k)},
			guard:  []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(x.prefix+k), "=", x.own[k].revision)}})
	}
}

// Repair corrects a finding. It returns false if the keys have changed since they were read.
func (s *Store) Repair(ctx context.Context, f *Finding) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := s.client.Txn(ctx).If(f.guard...).Then(f.repair...).Commit()
	if err != nil {
		return false, fmt.Errorf("repair key %s: %w", f.Key, explained(err))
	}
	return resp.Succeeded, nil
}
