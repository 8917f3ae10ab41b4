package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A disk is a store in memory. Its commits can fail.
type disk struct {
	mu       sync.Mutex
	model    routing.Model
	revision uint64
	complete bool
	commits  int
	fail     error         // the error of the next commits
	anyway   bool          // failing commits are still written
	readOnly error         // reason why writes fail
	hold     chan struct{} // commits wait until it is closed; nil means no wait
}

func (d *disk) Follow(ctx context.Context, _ uint64, _ func(*routing.Model) (routing.Change, error), _ func(ledger.Update) error) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// contents returns the contents of d.
func (d *disk) contents() ledger.Contents {
	c, _ := d.Load(context.Background())
	return c
}

// A file is a declared source that a test changes.
type file struct {
	first    ledger.Contents
	versions chan ledger.Contents
	errs     chan error
	checked  chan error // the result of the function compare for each version
}

func newFile(first ledger.Contents) *file {
	return &file{first, make(chan ledger.Contents), make(chan error), make(chan error, 100)}
}

func (f *file) Name() string      { return "file" }
func (f *file) Role() ledger.Role { return ledger.Declared }

func (f *file) Load(context.Context) (ledger.Contents, error) { return f.first, nil }

func (f *file) Follow(ctx context.Context, _ uint64, compare func(*routing.Model) (routing.Change, error), report func(ledger.Update) error) error {
	for {
		var u ledger.Update
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case u.Err = <-f.errs:
		case c := <-f.versions:
			u.Change, u.Err = compare(c.Model)
			f.checked <- u.Err
		}
		if err := report(u); err != nil {
			return err
		}
	}
}

// A standin is the source of a standby: it has the intent of the leader.
type standin struct{ model routing.Model }

func (s *standin) Name() string      { return "the daemon that leads" }
func (s *standin) Role() ledger.Role { return ledger.Own }

func (s *standin) Load(context.Context) (ledger.Contents, error) {
	return ledger.Contents{Model: &s.model}, nil
}

func (s *standin) Follow(ctx context.Context, _ uint64, _ func(*routing.Model) (routing.Change, error), _ func(ledger.Update) error) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

func (d *disk) Name() string    { return "disk" }
func (d *disk) ReadOnly() error { return d.readOnly }

func (d *disk) Role() ledger.Role { return ledger.Own }

func (d *disk) Load(context.Context) (ledger.Contents, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := routing.Model{Hosts: slices.Clone(d.model.Hosts), Networks: slices.Clone(d.model.Networks), Routers: slices.Clone(d.model.Routers), Ports: slices.Clone(d.model.Ports)}
	return ledger.Contents{Revision: d.revision, Complete: d.complete, Model: &m}, nil
}

func (d *disk) Commit(_ context.Context, b ledger.Base, changes ...routing.Change) (uint64, error) {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold != nil {
		<-hold
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.commits++
	err := errors.Join(d.fail, d.readOnly)
	if err == nil || d.anyway {
		for _, c := range changes {
			d.model = after(d.model, c)
		}
		d.revision, d.complete = b.Revision, b.Complete
	}
	return d.revision, err
}

// after returns the result of applying c to m. Like a store, it does not interpret objects.
func after(m routing.Model, c routing.Change) routing.Model {
	m.Hosts = changed(m.Hosts, c.Put.Hosts, c.Delete.Hosts, func(h routing.Host) string { return h.ID })
	m.Networks = changed(m.Networks, c.Put.Networks, c.Delete.Networks, func(n routing.Network) string { return n.ID })
	m.Routers = changed(m.Routers, c.Put.Routers, c.Delete.Routers, func(r routing.Router) string { return r.ID })
	m.Ports = changed(m.Ports, c.Put.Ports, c.Delete.Ports, func(p routing.Port) string { return p.ID })
	return m
}

func changed[T any](all, put []T, remove []string, id func(T) string) (out []T) {
	gone := make(map[string]bool)
	for _, x := range put {
		gone[id(x)] = true
	}
	for _, x := range remove {
		gone[x] = true
	}
	for _, x := range all {
		if !gone[id(x)] {
			out = append(out, x)
		}
	}
	return append(out, put...)
}

// A desk is a running ledger.
type desk struct {
	*ledger.Ledger
	t *testing.T
	*disk
	file *file

	mu        sync.Mutex
	published []*ledger.Intent
	touched   [][]string
}

// open starts a ledger, which ends with the test.
func open(t *testing.T, d *disk, cfg ledger.Config, first *routing.Model) *desk {
	t.Helper()
	f := newFile(ledger.Contents{Complete: true, Model: first})
	if d != nil {
		cfg.Sources, cfg.Write = append(cfg.Sources, d), d
	}
	if first != nil {
		cfg.Sources = slices.Insert(cfg.Sources, 0, ledger.Source(f))
	}
	cfg.Log = zap.NewNop()
	l, err := ledger.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	k := &desk{Ledger: l, t: t, disk: d, file: f}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		k.Run(ctx, k)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return k
}

// Load implements [ledger.Reader].
func (k *desk) Load(s *ledger.Intent, touched []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.published, k.touched = append(k.published, s), append(k.touched, touched)
}

// declare gives the file another version and returns the result of its check, after the ledger
// has handled it.
func (k *desk) declare(m routing.Model) error {
	k.t.Helper()
	before := k.Intent()
	k.file.versions <- ledger.Contents{Complete: true, Model: &m}
	err := <-k.file.checked
	k.await("update of the file", func(s *ledger.Intent) bool { return s != before })
	return err
}

// await waits until f is true for the intent.
func (k *desk) await(what string, f func(*ledger.Intent) bool) {
	k.t.Helper()
	for begin := time.Now(); !f(k.Intent()); runtime.Gosched() {
		if time.Since(begin) > 20*time.Second {
			k.t.Fatalf("no %s in time", what)
		}
	}
}

// must writes an edit that must succeed.
func (k *desk) must(edit ledger.Edit) ledger.Result {
	k.t.Helper()
	r, err := k.Write(k.t.Context(), edit)
	if err != nil {
		k.t.Fatal(err)
	}
	return r
}

func network(id string) routing.Network { return routing.Network{ID: id, MTU: 1500} }

func port(id, network string, n int) routing.Port {
	return routing.Port{ID: id, Network: network, MAC: ofproto.MAC{2, 0, 0, 1, byte(n >> 8), byte(n)},
		Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})}}
}

func router(id string, networks ...string) routing.Router {
	r := routing.Router{ID: id, Bridge: routing.Bridge{Managed: true}}
	for i, n := range networks {
		r.Interfaces = append(r.Interfaces, routing.Interface{ID: id + n, Network: n, MAC: ofproto.MAC{2, 0, 0, 0, id[0], byte(i)},
			Addresses: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, id[0], byte(i), 1}), 24)}})
	}
	return r
}

// blue returns a router with two networks and a port on each.
func blue() routing.Model {
	return routing.Model{
		Networks: []routing.Network{network("a"), network("b")},
		Routers:  []routing.Router{router("r", "a", "b")},
		Ports:    []routing.Port{port("p", "a", 10), port("q", "b", 11)},
	}
}

func ops(r ledger.Result) string {
	var out []string
	for _, o := range r.Objects {
		out = append(out, fmt.Sprintf("%v %s", o.Object, o.Op))
	}
	return strings.Join(out, ", ")
}

func TestWrites(t *testing.T) {
	k := open(t, new(disk), ledger.Config{}, nil)
	r := k.must(ledger.Put(blue()))
	if want := `network "a" created, network "b" created, router "r" created, port "p" created, port "q" created`; ops(r) != want || r.Intent.Revision != 1 || fmt.Sprint(r.Touched) != "[r]" {
		t.Errorf("revision %d, %s, touches %v", r.Intent.Revision, ops(r), r.Touched)
	}
	commits := k.commits
	if r = k.must(ledger.Put(blue())); r.Changed() || r.Intent.Revision != 1 || len(r.Touched) > 0 || k.commits != commits || len(r.Objects) != 5 {
		t.Errorf("the same write again: revision %d, outcome %s, %d commits", r.Intent.Revision, ops(r), k.commits-commits)
	}
	r = k.must(ledger.Put(routing.Model{Ports: []routing.Port{port("p", "b", 12)}}))
	if ops(r) != `port "p" updated` || r.Intent.Revision != 2 || r.Intent.Layout != 1 {
		t.Errorf("revision %d, layout %d, %s", r.Intent.Revision, r.Intent.Layout, ops(r))
	}
	if _, err := k.Write(t.Context(), ledger.Delete(ledger.Object{Kind: routing.KindPort, ID: "x"}, false)); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("deleting nothing: %v", err)
	}
	var inUse *routing.InUseError
	if _, err := k.Write(t.Context(), ledger.Delete(ledger.Object{Kind: routing.KindNetwork, ID: "b"}, false)); !errors.As(err, &inUse) || len(inUse.By) != 3 {
		t.Errorf("deletion of a network in use: %v", err)
	}
	r = k.must(ledger.Delete(ledger.Object{Kind: routing.KindNetwork, ID: "b"}, true))
	if want := `port "p" deleted, port "q" deleted, router "r" updated, network "b" deleted`; ops(r) != want || len(r.Intent.Index.Router("r").Interfaces) != 1 {
		t.Errorf("cascade: %s", ops(r))
	}
	if _, err := k.Write(t.Context(), ledger.Put(routing.Model{Ports: []routing.Port{port("p", "none", 1)}})); err == nil || k.Intent() != r.Intent {
		t.Errorf("write of an invalid change: %v", err)
	}
	if len(k.published) != 3 || k.published[2] != r.Intent {
		t.Errorf("%d intents were published", len(k.published))
	}
	if _, err := k.Write(t.Context(), ledger.ReplaceAll(routing.Model{}, false)); !errors.Is(err, ledger.ErrEmpty) || k.Intent() != r.Intent {
		t.Errorf("replacement of all objects by none: %v", err)
	}
	before, trial, err := k.Try(ledger.ReplaceAll(routing.Model{}, true))
	if err != nil || before != r.Intent || ops(trial) != `router "r" deleted, network "a" deleted` || k.Intent() != r.Intent {
		t.Errorf("a trial: %v, %s", err, ops(trial))
	}
}

// The plan for a new version of the topology file equals the effect of a reload of the file.
// Planning changes nothing.
func TestTryFile(t *testing.T) {
	m := blue()
	k := open(t, new(disk), ledger.Config{}, &m)
	before := k.Intent()
	next := blue()
	next.Ports = []routing.Port{port("p", "b", 12)}
	at, plan, err := k.TryFile(next)
	if want := `port "q" deleted, port "p" updated, network "a" unchanged, network "b" unchanged, router "r" unchanged`; err != nil || at != before || ops(plan) != want || fmt.Sprint(plan.Touched) != "[r]" {
		t.Errorf("TryFile: error %v, outcome %s, affected routers %v; want %s", err, ops(plan), plan.Touched, want)
	}
	if k.Intent() != before {
		t.Error("TryFile changed the intent")
	}
	next.Ports[0].Network = "none"
	var wrong *routing.PathError
	if _, _, err := k.TryFile(next); !errors.As(err, &wrong) || wrong.Path != "ports[0].network" {
		t.Errorf("a mistake: %v", err)
	}
	if _, _, err := open(t, new(disk), ledger.Config{}, nil).TryFile(next); !errors.Is(err, ledger.ErrNoFile) {
		t.Errorf("without a file: %v", err)
	}
}

// The intent's Since is set after a write or an update of the file, and is zero at the start.
func TestSince(t *testing.T) {
	k := open(t, &disk{}, ledger.Config{}, nil)
	if s := k.Intent(); !s.Since.IsZero() {
		t.Errorf("Since is %v at the start, want zero", s.Since)
	}
	last := time.Now()
	for _, edit := range []ledger.Edit{ledger.Put(blue()), ledger.Complete, ledger.Delete(ledger.Object{Kind: routing.KindPort, ID: "p"}, false)} {
		if s := k.must(edit).Intent; s.Since.Before(last) {
			t.Errorf("revision %d has Since %v, but was written after %v", s.Revision, s.Since, last)
		}
		last = time.Now()
	}
}

// Pending writes share a transaction, but each has its own revision. A refused write does not
// affect the others. No write is answered before it is on disk.
func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers = 100
		d := &disk{hold: make(chan struct{})}
		k := open(t, d, ledger.Config{}, nil)
		var g sync.WaitGroup
		var mu sync.Mutex
		revisions := make(map[uint64]int)
		refused := 0 // refused writes, which may be answered at any time
		for i := range writers {
			g.Go(func() {
				m := routing.Model{Networks: []routing.Network{network(fmt.Sprint("n", i))}}
				if i%10 == 9 {
					m.Networks[0].MTU = 1
				}
				r, err := k.Write(t.Context(), ledger.Put(m))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					refused++
					return
				}
				if _, ok := r.Intent.Index.Network(fmt.Sprint("n", i)); !ok {
					t.Errorf("the intent after write %d does not have the object of the write", i)
				}
				revisions[r.Intent.Revision]++
			})
		}
		synctest.Wait()
		mu.Lock()
		early := len(revisions)
		mu.Unlock()
		if early > 0 || k.Intent().Revision > 0 {
			t.Errorf("%d writes were answered before their commit", early)
		}
		close(d.hold)
		g.Wait()
		if refused != writers/10 || len(revisions) != writers-refused || d.commits > 3 {
			t.Errorf("%d refused writes, %d revisions, %d commits", refused, len(revisions), d.commits)
		}
	})
}

// Writes that could not be committed fail and have no effect. Later writes succeed when the disk
// works again. If a failed write is on disk nevertheless, it takes effect.
func TestDiskFails(t *testing.T) {
	d := new(disk)
	k := open(t, d, ledger.Config{}, nil)
	k.must(ledger.Put(blue()))
	full := errors.New("no space left")
	for _, anyway := range []bool{false, true} {
		d.mu.Lock()
		d.fail, d.anyway = full, anyway
		d.mu.Unlock()
		id := fmt.Sprint("new-", anyway)
		var storeErr *ledger.StoreError
		_, err := k.Write(t.Context(), ledger.Put(routing.Model{Networks: []routing.Network{network(id)}}))
		if !errors.Is(err, full) || !errors.As(err, &storeErr) {
			t.Errorf("error %v", err)
		}
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		r := k.must(ledger.Put(routing.Model{Networks: []routing.Network{network(id + "-next")}}))
		if _, ok := r.Intent.Index.Network(id); ok != anyway {
			t.Errorf("disk that writes in spite of the error: %v; the network exists: %v", anyway, ok)
		}
		c := d.contents()
		if n, _, _ := r.Intent.Index.Len(); len(c.Model.Networks) != n || c.Revision != r.Intent.Revision {
			t.Errorf("the disk has %d networks at revision %d, the ledger has %d at revision %d", len(c.Model.Networks), c.Revision, n, r.Intent.Revision)
		}
	}
}

// A write that changes nothing succeeds even if it is grouped with failing writes, unless it
// depends on them.
func TestUnneededWriteSurvivesFailedGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		k := open(t, d, ledger.Config{}, nil)
		k.must(ledger.Put(blue()))
		d.mu.Lock()
		d.hold, d.fail = make(chan struct{}), errors.New("no space left")
		d.mu.Unlock()
		var g sync.WaitGroup
		write := func(fails bool, ids ...string) {
			g.Go(func() {
				var m routing.Model
				for _, id := range ids {
					m.Networks = append(m.Networks, network(id))
				}
				_, err := k.Write(t.Context(), ledger.Put(m))
				if failed := errors.As(err, new(*ledger.StoreError)); failed != fails || err != nil && !failed {
					t.Errorf("put %v: %v", ids, err)
				}
			})
			synctest.Wait() // the first is being committed, the others are queued in order
		}
		write(true, "first")
		write(false, "a")
		write(true, "new")
		write(false, "a")
		write(true, "a", "new")
		close(d.hold)
		g.Wait()
	})
}

// Objects of a file can be changed only in the file. A newer version of the file replaces only the
// file's objects. If file and store have the same object, it belongs to the file.
func TestFile(t *testing.T) {
	d := new(disk)
	open(t, d, ledger.Config{}, nil).must(ledger.Put(routing.Model{
		Networks: []routing.Network{network("a"), network("s")}, Ports: []routing.Port{port("s", "s", 50)}}))
	m := blue()
	k := open(t, d, ledger.Config{Complete: true}, &m)
	s := k.Intent()
	if n, r, p := s.Index.Len(); n != 3 || r != 1 || p != 3 || s.File().Networks != 2 || s.Store().Networks != 1 || s.Revision != 2 || !s.Complete {
		t.Errorf("%d networks, %d routers, %d ports; file %+v, store %+v", n, r, p, s.File(), s.Store())
	}
	if c := d.contents(); len(c.Model.Networks) != 1 {
		t.Errorf("the store has %d networks, including a network of the file", len(c.Model.Networks))
	}
	var declared *ledger.DeclaredError
	for _, edit := range []ledger.Edit{
		ledger.Put(routing.Model{Ports: []routing.Port{port("p", "a", 77)}}),
		ledger.Delete(ledger.Object{Kind: routing.KindPort, ID: "p"}, false),
		ledger.Delete(ledger.Object{Kind: routing.KindNetwork, ID: "a"}, true),
	} {
		if _, err := k.Write(t.Context(), edit); !errors.As(err, &declared) || !strings.Contains(err.Error(), "declared in file") {
			t.Errorf("error %v", err)
		}
	}
	if r := k.must(ledger.Put(routing.Model{Ports: []routing.Port{port("p", "a", 10), port("t", "a", 51)}})); ops(r) != `port "t" created, port "p" unchanged` {
		t.Errorf("ports on a network of the file: %s", ops(r))
	}
	if r := k.must(ledger.ReplaceAll(routing.Model{Networks: []routing.Network{network("s")}}, false)); ops(r) != `port "s" deleted, port "t" deleted, network "s" unchanged` {
		t.Errorf("everything: %s", ops(r))
	}
	next := blue()
	next.Networks = append(next.Networks, network("c"))
	next.Ports = []routing.Port{port("u", "c", 60), port("p", "a", 61)}
	if err := k.declare(next); err != nil {
		t.Fatal(err)
	}
	s = k.Intent()
	if _, ok := s.Index.Port("q"); ok || !s.Has(ledger.Object{Kind: routing.KindPort, ID: "u"}) || !s.Has(ledger.Object{Kind: routing.KindNetwork, ID: "s"}) {
		t.Error("the new version of the file was not loaded")
	}
	k.must(ledger.Put(routing.Model{Ports: []routing.Port{port("v", "c", 62)}}))
	without := blue()
	without.Ports = nil
	err := k.declare(without)
	var inUse *routing.InUseError
	if !errors.As(err, &inUse) || !errors.As(k.Intent().File().Err, &inUse) {
		t.Errorf("a version of the file without a network that has ports of the store: %v", err)
	}
	bad := errors.New("line 3")
	index := k.Intent().Index
	k.file.errs <- bad
	k.await("error of the file", func(s *ledger.Intent) bool { return s.File().Err == bad })
	if k.Intent().Index != index {
		t.Error("a refused version of the file has changed the intent")
	}
	k.declare(next)
	k.await("end of the error", func(s *ledger.Intent) bool { return s.File().Err == nil })
}

// Without a store, writes fail. A file is loaded even from a read-only disk.
func TestReadOnly(t *testing.T) {
	m := blue()
	k := open(t, nil, ledger.Config{}, &m)
	if _, err := k.Write(t.Context(), ledger.Put(blue())); !errors.Is(err, ledger.ErrNoStore) {
		t.Errorf("error %v", err)
	}
	d := &disk{readOnly: errors.New("read-only file system")}
	k = open(t, d, ledger.Config{}, &m)
	if _, err := k.Write(t.Context(), ledger.Put(routing.Model{Networks: []routing.Network{network("z")}})); err == nil {
		t.Error("a write succeeded")
	}
	m2 := blue()
	m2.Ports = nil
	if err := k.declare(m2); err != nil || k.Intent().Has(ledger.Object{Kind: routing.KindPort, ID: "p"}) {
		t.Errorf("the file was not loaded: %v", err)
	}
}

// A new store is not complete, although it has no objects.
func TestComplete(t *testing.T) {
	d := new(disk)
	k := open(t, d, ledger.Config{}, nil)
	if k.must(ledger.Put(blue())).Intent.Complete {
		t.Error("the intent of a new store is complete")
	}
	if r := k.must(ledger.Complete); !r.Intent.Complete || r.Intent.Revision != 2 {
		t.Errorf("complete %v at revision %d", r.Intent.Complete, r.Intent.Revision)
	}
	if k = open(t, d, ledger.Config{}, nil); !k.Intent().Complete || k.Intent().Revision != 2 {
		t.Error("the store is no longer complete")
	}
	// An empty store is not complete, even if it is marked complete: its objects may have been in a
	// file that is no longer configured.
	empty := &disk{complete: true}
	if k = open(t, empty, ledger.Config{}, nil); k.Intent().Complete {
		t.Error("the intent of an empty store is complete")
	}
	if k = open(t, empty, ledger.Config{Complete: true}, nil); !k.Intent().Complete {
		t.Error("an empty store is not complete although Config.Complete is set")
	}
	if k = open(t, new(disk), ledger.Config{}, nil); !k.must(ledger.ReplaceAll(blue(), false)).Intent.Complete {
		t.Error("the store is not complete although a client declared it complete")
	}
}

// A standby loads the store when it takes over.
func TestAdopt(t *testing.T) {
	d := new(disk)
	leader := open(t, d, ledger.Config{}, nil)
	initial := blue()
	leader.must(ledger.Put(initial))
	k := open(t, nil, ledger.Config{Sources: []ledger.Source{&standin{initial}}}, nil)
	leader.must(ledger.Put(routing.Model{Ports: []routing.Port{port("new", "a", 99)}}))
	leader.must(ledger.Delete(ledger.Object{Kind: routing.KindPort, ID: "q"}, false))
	if err := k.Adopt(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	s := k.Intent()
	if _, _, ports := s.Index.Len(); ports != 2 || !s.Has(ledger.Object{Kind: routing.KindPort, ID: "new"}) || s.Revision < 3 {
		t.Errorf("%d ports at revision %d", ports, s.Revision)
	}
	if len(k.touched) != 1 || fmt.Sprint(k.touched[0]) != "[r]" {
		t.Errorf("published with %v", k.touched)
	}
	k.must(ledger.Put(routing.Model{Ports: []routing.Port{port("later", "a", 98)}}))
	if c := d.contents(); len(c.Model.Ports) != 3 {
		t.Errorf("the store has %d ports", len(c.Model.Ports))
	}
}

// A snapshot replaces one router with its networks and ports, and nothing else.
func TestSnapshot(t *testing.T) {
	k := open(t, new(disk), ledger.Config{}, nil)
	k.must(ledger.Put(blue()))
	k.must(ledger.Put(routing.Model{Networks: []routing.Network{network("c"), network("lonely")}, Routers: []routing.Router{router("s", "c")},
		Ports: []routing.Port{port("x", "c", 20), port("y", "lonely", 21)}}))
	r := k.must(ledger.ReplaceRouter(ledger.Snapshot{Router: router("r", "a", "c"), Ports: []routing.Port{port("p", "a", 10), port("z", "c", 22)}}))
	want := `port "q" deleted, port "x" deleted, router "r" updated, port "z" created, network "b" deleted, port "p" unchanged`
	if ops(r) != want {
		t.Errorf("got  %s\nwant %s", ops(r), want)
	}
	if _, err := k.Write(t.Context(), ledger.ReplaceRouter(ledger.Snapshot{Router: router("r", "a"), Ports: []routing.Port{port("y", "lonely", 1)}})); err == nil ||
		!strings.Contains(err.Error(), "ports[0].network") {
		t.Errorf("a port elsewhere: %v", err)
	}
	// Network c is on another router too, so it stays with its ports.
	if r = k.must(ledger.ReplaceRouter(ledger.Snapshot{Router: router("r", "a")})); ops(r) != `port "p" deleted, router "r" updated` {
		t.Errorf("less: %s", ops(r))
	}
	same := k.must(ledger.ReplaceRouter(ledger.Snapshot{Router: router("r", "a")}))
	if same.Changed() {
		t.Errorf("the same snapshot again: %s", ops(same))
	}
}

// Starting at any revision in the history, a watcher receives every change once, in order. At an
// older revision it has to list everything again.
func TestEvents(t *testing.T) {
	k := open(t, new(disk), ledger.Config{History: 64}, nil)
	k.must(ledger.Put(blue()))
	var seen []uint64
	since := uint64(0)
	for i := range 40 {
		k.must(ledger.Put(routing.Model{Networks: []routing.Network{network(fmt.Sprint("n", i))}}))
		if i%3 == 1 {
			continue // a later read returns several revisions
		}
		for events := k.events(since); len(events) > 0; events = k.events(since) {
			for _, e := range events {
				seen, since = append(seen, e.Revision), e.Revision
			}
		}
	}
	want := slices.Concat([]uint64{1, 1, 1, 1, 1}, span(2, 41))
	if !slices.Equal(seen, want) {
		t.Errorf("events of revisions %v", seen)
	}
	events, more, err := k.Events(since)
	if err != nil || len(events) > 0 {
		t.Errorf("got %d events and error %v after the last revision", len(events), err)
	}
	k.must(ledger.Put(routing.Model{Networks: []routing.Network{network("last")}}))
	select {
	case <-more:
	case <-time.After(10 * time.Second):
		t.Error("watchers were not notified")
	}
	for i := range 60 {
		k.must(ledger.Put(routing.Model{Networks: []routing.Network{network(fmt.Sprint("m", i))}}))
	}
	for _, since := range []uint64{0, 1, 1000} {
		if _, _, err := k.Events(since); !errors.Is(err, ledger.ErrCompacted) {
			t.Errorf("since %d: %v", since, err)
		}
	}
	big := routing.Model{}
	for i := range 100 {
		big.Networks = append(big.Networks, network(fmt.Sprint("big", i)))
	}
	before := k.Intent().Revision
	k.must(ledger.Put(big))
	if _, _, err := k.Events(before); !errors.Is(err, ledger.ErrCompacted) {
		t.Errorf("older than the history: %v", err)
	}
	if events, _, err := k.Events(k.Intent().Revision); err != nil || len(events) > 0 {
		t.Errorf("%d events, %v", len(events), err)
	}
}

// events returns the events of the first revision after since that has events.
func (k *desk) events(since uint64) []ledger.Event {
	k.t.Helper()
	events, _, err := k.Events(since)
	if err != nil {
		k.t.Fatal(err)
	}
	return events
}

func span(from, to uint64) (out []uint64) {
	for i := from; i <= to; i++ {
		out = append(out, i)
	}
	return out
}
