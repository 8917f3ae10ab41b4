package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// stored returns a store with the objects of m.
func stored(m routing.Model) *disk {
	return &disk{model: m, complete: true, revision: 7}
}

// quarantined describes the quarantined objects of s.
func quarantined(s *ledger.Intent) string {
	var out []string
	for _, q := range s.Quarantined() {
		out = append(out, fmt.Sprintf("%v of %s: %v", q.Object, q.Source, q.Err))
	}
	return strings.Join(out, "; ")
}

// When the ledger starts, it joins the objects of the file and the store in one
// intent. An object of one may refer to an object of the other.
func TestSourcesAreJoinedBeforeValidation(t *testing.T) {
	networks := routing.Model{Networks: []routing.Network{network("a"), network("b")}}
	rest := blue()
	rest.Networks = nil
	for _, c := range []struct {
		name        string
		file, store routing.Model
	}{
		{"the store's objects are on the file's networks", networks, rest},
		{"the file's objects are on the store's networks", rest, networks},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := stored(c.store)
			k := open(t, d, ledger.Config{Complete: true}, &c.file)
			s := k.Intent()
			if n, r, p := s.Index.Len(); n != 2 || r != 1 || p != 2 || !s.Complete || len(s.Quarantined()) > 0 {
				t.Errorf("%d networks, %d routers, %d ports, complete %v, quarantined %s", n, r, p, s.Complete, quarantined(s))
			}
			standby := open(t, nil, ledger.Config{Complete: true, Sources: []ledger.Source{&standin{c.store}}}, &c.file)
			if err := standby.Adopt(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			if n, r, p := standby.Intent().Index.Len(); n != 2 || r != 1 || p != 2 {
				t.Errorf("after the standby has adopted the store: %d networks, %d routers, %d ports", n, r, p)
			}
		})
	}
}

// If an object of the file and an object of the store are in conflict, the file's object is used.
// The store's object is quarantined. It stays in the store, and is used when the conflict has
// ended.
func TestQuarantine(t *testing.T) {
	file, d := blue(), stored(routing.Model{
		Networks: []routing.Network{network("c")},
		Ports:    []routing.Port{port("clash", "a", 10), port("lost", "gone", 30), port("fine", "c", 31)}})
	k := open(t, d, ledger.Config{Complete: true}, &file)
	s := k.Intent()
	want := `port "clash" of disk: mac: mac 02:00:00:01:00:0a is already used by port "p" on network "a"; port "lost" of disk: network: unknown network "gone"`
	if got := quarantined(s); got != want {
		t.Errorf("quarantined\n%s\nwant\n%s", got, want)
	}
	if _, _, ports := s.Index.Len(); ports != 3 || !s.Complete {
		t.Errorf("%d ports, complete %v", ports, s.Complete)
	}
	if n := len(d.contents().Model.Ports); n != 3 {
		t.Errorf("the store has %d ports left", n)
	}
	r := k.must(ledger.Put(routing.Model{Networks: []routing.Network{network("gone")}}))
	if got := quarantined(k.Intent()); strings.Contains(got, "lost") || !k.Intent().Has(ledger.Object{Kind: routing.KindPort, ID: "lost"}) {
		t.Errorf("the port is quarantined although its network exists: outcome %s; quarantined %s", ops(r), got)
	}
	clash := ledger.Object{Kind: routing.KindPort, ID: "clash"}
	k.must(ledger.Put(routing.Model{Ports: []routing.Port{port("clash", "a", 40)}}))
	if got := k.Intent(); len(got.Quarantined()) > 0 || !got.Has(clash) {
		t.Errorf("the port is quarantined although a valid version was put: %s", quarantined(got))
	}
	if again := open(t, d, ledger.Config{Complete: true}, &file).Intent(); len(again.Quarantined()) > 0 || !again.Has(clash) {
		t.Errorf("after a restart: %s", quarantined(again))
	}
}

// A quarantined object can be deleted, and can be replaced by an object of the file.
func TestQuarantinedObjectsGo(t *testing.T) {
	file := blue()
	lost := ledger.Object{Kind: routing.KindPort, ID: "lost"}
	d := stored(routing.Model{Ports: []routing.Port{port("lost", "gone", 30)}})
	k := open(t, d, ledger.Config{Complete: true}, &file)
	if r := k.must(ledger.Delete(lost, false)); ops(r) != `port "lost" deleted` || len(k.Intent().Quarantined()) > 0 || d.contents().Model.Len() > 0 {
		t.Errorf("%s; quarantined %s", ops(r), quarantined(k.Intent()))
	}
	d = stored(routing.Model{Ports: []routing.Port{port("lost", "gone", 30), port("other", "gone", 31)}})
	k = open(t, d, ledger.Config{Complete: true}, &file)
	next := blue()
	next.Ports = append(next.Ports, port("lost", "a", 30))
	if err := k.declare(next); err != nil {
		t.Fatal(err)
	}
	if s := k.Intent(); len(s.Quarantined()) != 1 || !s.Has(lost) || len(d.contents().Model.Ports) != 1 {
		t.Errorf("after the file has declared one of the ports: quarantined %s", quarantined(s))
	}
	k.must(ledger.ReplaceAll(routing.Model{}, true))
	if s := k.Intent(); len(s.Quarantined()) > 0 || d.contents().Model.Len() > 0 {
		t.Errorf("everything was replaced: quarantined %s", quarantined(s))
	}
}

// While a network or router is quarantined, or a source cannot be read, the intent is not
// complete. Then nothing is removed.
func TestGapsAreNotComplete(t *testing.T) {
	unreadable := errors.New("line 3")
	bad := router("r", "a", "nowhere")
	cases := []struct {
		name  string
		file  ledger.Contents
		store routing.Model
		whole bool
	}{
		{"a port", ledger.Contents{Unusable: []ledger.Unusable{{Object: ledger.Object{Kind: routing.KindPort, ID: "p"}, Err: unreadable}}}, blue(), true},
		{"a router", ledger.Contents{Unusable: []ledger.Unusable{{Object: ledger.Object{Kind: routing.KindRouter, ID: "x"}, Err: unreadable}}}, blue(), false},
		{"an object without an ID", ledger.Contents{Unusable: []ledger.Unusable{{Object: ledger.Object{Kind: routing.KindPort}, Err: unreadable}}}, blue(), false},
		{"the file", ledger.Contents{Err: unreadable}, blue(), false},
		{"a router of the store", ledger.Contents{}, routing.Model{Networks: []routing.Network{network("a")}, Routers: []routing.Router{bad}}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.file.Model = new(routing.Model)
			l, err := ledger.Open(t.Context(), ledger.Config{Sources: []ledger.Source{newFile(c.file), stored(c.store)}, Complete: true, Log: zap.NewNop()})
			if err != nil {
				t.Fatal(err)
			}
			if s := l.Intent(); s.Complete != c.whole || !s.Whole {
				t.Errorf("complete %v, whole %v, quarantined %s", s.Complete, s.Whole, quarantined(s))
			}
		})
	}
}

// A quarantined object of the file can be changed only in the file.
func TestQuarantinedObjectOfFileIsReadOnly(t *testing.T) {
	file := blue()
	file.Ports = append(file.Ports, port("late", "nowhere", 20))
	k := open(t, new(disk), ledger.Config{Complete: true}, &file)
	late := ledger.Object{Kind: routing.KindPort, ID: "late"}
	var declared *ledger.DeclaredError
	for _, edit := range []ledger.Edit{ledger.Put(routing.Model{Ports: []routing.Port{port("late", "a", 21)}}), ledger.Delete(late, false)} {
		if _, err := k.Write(t.Context(), edit); !errors.As(err, &declared) {
			t.Errorf("error %v", err)
		}
	}
	k.must(ledger.Put(routing.Model{Networks: []routing.Network{network("nowhere")}}))
	if s := k.Intent(); !s.Has(late) || len(s.Quarantined()) > 0 || s.DeclaredBy(late) != "file" {
		t.Errorf("after its network was created: quarantined %s", quarantined(s))
	}
}

// If a store could not be read, it is not written to, because this could destroy its contents. It
// is used as soon as it can be read.
func TestUnreadableStore(t *testing.T) {
	d := &sick{disk: stored(blue()), err: errors.New("input/output error")}
	l, err := ledger.Open(t.Context(), ledger.Config{Sources: []ledger.Source{d}, Write: d, Complete: true, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx, new(desk)) }()
	defer func() { cancel(); <-done }()
	if s := l.Intent(); s.Complete || !s.Store().Partial || s.Index.Router("r") != nil {
		t.Errorf("complete %v, partial %v", s.Complete, s.Store().Partial)
	}
	put := ledger.Put(routing.Model{Networks: []routing.Network{network("z")}})
	var failed *ledger.StoreError
	if _, err := l.Write(t.Context(), put); !errors.As(err, &failed) || d.commits > 0 {
		t.Errorf("%d commits, error %v", d.commits, err)
	}
	d.mu.Lock()
	d.err = nil
	d.mu.Unlock()
	if _, err := l.Write(t.Context(), put); err != nil {
		t.Fatal(err)
	}
	if s := l.Intent(); !s.Complete || s.Store().Partial || s.Index.Router("r") == nil {
		t.Errorf("after the store was read: complete %v, partial %v", s.Complete, s.Store().Partial)
	}
}

// A sick store cannot be read.
type sick struct {
	*disk
	err error
}

func (s *sick) Load(ctx context.Context) (ledger.Contents, error) {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return ledger.Contents{Model: new(routing.Model), Err: err}, nil
	}
	return s.disk.Load(ctx)
}

// With any contents of two sources, the daemon starts with a valid intent. Each object is used
// or quarantined. Objects without a conflict are used, and each quarantined object conflicts
// with a used object.
func TestJoinLaws(t *testing.T) {
	draw := func(t *rapid.T, label string) (m routing.Model) {
		ids := []string{"a", "b", "c"}
		for _, id := range ids {
			if rapid.Bool().Draw(t, label+" network "+id) {
				n := network(id)
				n.VLAN = uint16(rapid.IntRange(0, 3).Draw(t, "vlan"))
				m.Networks = append(m.Networks, n)
			}
		}
		for _, id := range []string{"r", "s"} {
			if rapid.Bool().Draw(t, label+" router "+id) {
				m.Routers = append(m.Routers, router(id, rapid.SliceOfNDistinct(rapid.SampledFrom(ids), 1, 2, rapid.ID[string]).Draw(t, "networks")...))
			}
		}
		for _, id := range []string{"p", "q", "t"} {
			if rapid.Bool().Draw(t, label+" port "+id) {
				m.Ports = append(m.Ports, port(id, rapid.SampledFrom(ids).Draw(t, "network"), rapid.IntRange(10, 12).Draw(t, "number")))
			}
		}
		return m
	}
	rapid.Check(t, func(t *rapid.T) {
		file, store := draw(t, "file"), draw(t, "store")
		d := &disk{model: store, complete: true}
		l, err := ledger.Open(context.Background(), ledger.Config{Sources: []ledger.Source{newFile(ledger.Contents{Complete: true, Model: &file}), d}, Write: d, Complete: true, Log: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		s := l.Intent()
		if err := s.Index.Model().Validate(); err != nil {
			t.Fatalf("the intent is not valid: %v", err)
		}
		both := file
		for _, c := range []routing.Model{store} {
			both.Networks = append(slices.Clone(both.Networks), c.Networks...)
			both.Routers = append(slices.Clone(both.Routers), c.Routers...)
			both.Ports = append(slices.Clone(both.Ports), c.Ports...)
		}
		check := func(o ledger.Object) {
			held := slices.ContainsFunc(s.Quarantined(), func(q ledger.Quarantined) bool { return q.Object == o })
			if held == s.Has(o) {
				t.Fatalf("%v: used %v, quarantined %v", o, s.Has(o), held)
			}
		}
		for _, n := range both.Networks {
			check(ledger.Object{Kind: routing.KindNetwork, ID: n.ID})
		}
		for _, r := range both.Routers {
			check(ledger.Object{Kind: routing.KindRouter, ID: r.ID})
		}
		for _, p := range both.Ports {
			check(ledger.Object{Kind: routing.KindPort, ID: p.ID})
		}
	})
}

// After any change of quarantined objects, the number of the store's objects is right.
func TestQuarantinedObjectsAreCountedOnce(t *testing.T) {
	file := blue()
	ports := routing.Model{Ports: []routing.Port{port("lost", "gone", 30), port("other", "gone", 31)}}
	lost := ledger.Object{Kind: routing.KindPort, ID: "lost"}
	for _, c := range []struct {
		name string
		edit ledger.Edit
		want int
	}{
		{"it is corrected", ledger.Put(routing.Model{Ports: []routing.Port{port("lost", "a", 30)}}), 2},
		{"it is deleted", ledger.Delete(lost, false), 1},
		{"all can be used", ledger.Put(routing.Model{Networks: []routing.Network{network("gone")}}), 2},
		{"one is corrected and another deleted", ledger.Apply(routing.Change{Put: routing.Model{Ports: []routing.Port{port("lost", "a", 30)}}, Delete: routing.IDs{Ports: []string{"other"}}}), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := stored(ports)
			k := open(t, d, ledger.Config{Complete: true}, &file)
			k.must(c.edit)
			if n, has := k.Intent().Store().Ports, len(d.contents().Model.Ports); n != c.want || has != c.want {
				t.Errorf("the status has %d ports and the store %d; want %d", n, has, c.want)
			}
		})
	}
}

// A standby reports the source of quarantined objects.
func TestQuarantineOfAStandby(t *testing.T) {
	file := blue()
	s := open(t, nil, ledger.Config{Complete: true, Sources: []ledger.Source{&standin{routing.Model{Ports: []routing.Port{port("lost", "gone", 30)}}}}}, &file).Intent()
	if got, want := quarantined(s), `port "lost" of the daemon that leads: network: unknown network "gone"`; got != want {
		t.Errorf("quarantined %s, want %s", got, want)
	}
}

// The answer to a request for a quarantined object has the reason of the quarantine.
func TestNotFoundHasReason(t *testing.T) {
	file := blue()
	d := stored(routing.Model{Ports: []routing.Port{port("lost", "gone", 30)}})
	s := open(t, d, ledger.Config{Complete: true}, &file).Intent()
	for id, want := range map[string]string{
		"lost":  `there is no such object in use: port "lost" of disk is not used: network: unknown network "gone"`,
		"never": `there is no such object: port "never"`,
	} {
		if err := s.NotFound(ledger.Object{Kind: routing.KindPort, ID: id}); !errors.Is(err, ledger.ErrNotFound) || err.Error() != want {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// The cost of quarantining objects is linear. So a daemon starts even if thousands of ports are on
// a missing network.
func TestQuarantineOfMany(t *testing.T) {
	takes := func(n int) uint64 { // allocated bytes
		var m routing.Model
		for i := range n {
			m.Ports = append(m.Ports, port(fmt.Sprintf("p%05d", i), "gone", 30))
		}
		file, d := blue(), stored(m)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		k := open(t, d, ledger.Config{Complete: true}, &file)
		k.must(ledger.Put(routing.Model{Networks: []routing.Network{network("another")}}))
		runtime.ReadMemStats(&after)
		if got := len(k.Intent().Quarantined()); got != n {
			t.Fatalf("%d are quarantined, want %d", got, n)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	if few, many := takes(500), takes(4000); many > 16*few {
		t.Errorf("8 times as many objects took %d times as much memory: %d bytes, then %d", many/few, few, many)
	}
}
