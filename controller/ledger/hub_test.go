package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// A hub is a shared store in memory that keeps its history.
type hub struct {
	mu       sync.Mutex
	model    routing.Model
	revision uint64
	complete bool
	sick     bool // the hub cannot be read
	steps    []ledger.Update
	floor    uint64        // the steps after this revision are kept
	more     chan struct{} // closed when something has changed
}

func newHub(m routing.Model) *hub {
	return &hub{model: m, revision: 1, floor: 1, complete: true, more: make(chan struct{})}
}

func (h *hub) Name() string      { return "hub" }
func (h *hub) Role() ledger.Role { return ledger.Shared }
func (h *hub) ReadOnly() error   { return nil }

func (h *hub) Load(context.Context) (ledger.Contents, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sick {
		return ledger.Contents{Model: new(routing.Model), Err: errors.New("no quorum")}, nil
	}
	m := after(h.model, routing.Change{})
	return ledger.Contents{Revision: h.revision, Complete: h.complete, Model: &m}, nil
}

func (h *hub) Follow(ctx context.Context, since uint64, _ func(*routing.Model) (routing.Change, error), report func(ledger.Update) error) error {
	for {
		h.mu.Lock()
		more, known, sick := h.more, since >= h.floor, h.sick
		var next *ledger.Update
		for i := range h.steps {
			if h.steps[i].Revision > since {
				next = &h.steps[i]
				break
			}
		}
		h.mu.Unlock()
		switch {
		case !known && !sick:
			return ledger.ErrCompacted
		case next != nil && !sick:
			if err := report(*next); err != nil {
				return err
			}
			since = next.Revision
		default:
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-more:
			}
		}
	}
}

func (h *hub) Commit(_ context.Context, b ledger.Base, changes ...routing.Change) (uint64, error) {
	return h.write(b.Complete, changes...), nil
}

// write applies changes, and returns their revision.
func (h *hub) write(complete bool, changes ...routing.Change) uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.complete = complete
	h.revision++
	var u ledger.Update
	for _, c := range changes {
		h.model = after(h.model, c)
		u.Change = merged(u.Change, c)
	}
	u.Revision, u.Complete = h.revision, complete
	h.steps = append(h.steps, u)
	h.wake()
	return h.revision
}

// merged returns one change with the effect of applying a and then b.
func merged(a, b routing.Change) routing.Change {
	a.Put = after(a.Put, b)
	deleted := routing.IDs{
		Hosts:    append(a.Delete.Hosts[:len(a.Delete.Hosts):len(a.Delete.Hosts)], b.Delete.Hosts...),
		Networks: append(a.Delete.Networks[:len(a.Delete.Networks):len(a.Delete.Networks)], b.Delete.Networks...),
		Routers:  append(a.Delete.Routers[:len(a.Delete.Routers):len(a.Delete.Routers)], b.Delete.Routers...),
		Ports:    append(a.Delete.Ports[:len(a.Delete.Ports):len(a.Delete.Ports)], b.Delete.Ports...),
	}
	return routing.Change{Put: a.Put, Delete: deleted}
}

// set changes the hub without a history of the change.
func (h *hub) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	h.revision++
	h.steps, h.floor = nil, h.revision
	h.wake()
}

func (h *hub) wake() {
	close(h.more)
	h.more = make(chan struct{})
}

func (h *hub) at() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.revision
}

// followed waits until the ledger has all changes of the hub.
func (k *desk) followed(h *hub) *ledger.Intent {
	k.t.Helper()
	k.await("the hub's latest revision", func(s *ledger.Intent) bool {
		for _, src := range s.Sources {
			if src.Name == h.Name() {
				return src.Revision == h.at()
			}
		}
		return false
	})
	return k.Intent()
}

// Changes of a shared store by other hosts are joined with the file, and cause events. If the
// ledger has missed changes, the events are the difference between the intent before and after.
func TestSharedStore(t *testing.T) {
	h := newHub(routing.Model{})
	m := routing.Model{Networks: []routing.Network{network("f")}}
	k := open(t, nil, ledger.Config{Complete: true, Sources: []ledger.Source{h}, Write: h}, &m)
	k.must(ledger.Put(blue()))
	before := k.followed(h)
	object := func(id string) ledger.Object { return ledger.Object{Kind: routing.KindPort, ID: id} }
	theirs := routing.Change{Put: routing.Model{Ports: []routing.Port{port("theirs", "f", 12)}}, Delete: routing.IDs{Ports: []string{"q"}}}
	revision := h.write(true, theirs)
	s := k.followed(h)
	if !s.Has(object("theirs")) || s.Has(object("q")) || s.Revision < revision || s.Revision <= before.Revision || s.Since.IsZero() || s.Layout != before.Layout {
		t.Errorf("after a change: %+v", s)
	}
	events, _, err := k.Events(before.Revision)
	if err != nil || len(events) != 2 || fmt.Sprintf("%v %v", events[0].Object, events[0].Op) != `port "q" deleted` || fmt.Sprintf("%v %v", events[1].Object, events[1].Op) != `port "theirs" created` {
		t.Errorf("events %v, error %v", events, err)
	}
	h.set(func() {
		h.model = after(h.model, routing.Change{Put: routing.Model{Ports: []routing.Port{port("late", "f", 13)}}, Delete: routing.IDs{Ports: []string{"theirs"}}})
	})
	before, s = s, k.followed(h)
	if !s.Has(object("late")) || s.Has(object("theirs")) {
		t.Error("no event after the gap")
	}
	if events, _, err := k.Events(before.Revision); err != nil || len(events) != 2 {
		t.Errorf("events %v, error %v", events, err)
	}
}

// A shared store may report older changes of an object after this host has written the object.
// The older changes do not undo the write.
func TestOlderChangesDoNotUndoAWrite(t *testing.T) {
	h := newHub(blue())
	k := open(t, nil, ledger.Config{Sources: []ledger.Source{h}, Write: h}, nil)
	for i := range 20 {
		h.write(true, routing.Change{Put: routing.Model{Ports: []routing.Port{port("p", "a", 100+i)}}})
		r := k.must(ledger.Put(routing.Model{Ports: []routing.Port{port("p", "a", 200+i)}}))
		last := r.Intent.Revision
		k.followed(h)
		for since := r.Intent.Revision; ; {
			events, _, err := k.Events(since)
			if err != nil {
				t.Fatal(err)
			}
			if len(events) == 0 {
				break
			}
			since = events[0].Revision
			for _, e := range events {
				t.Errorf("an event after the write of revision %d: %v %v in revision %d", last, e.Object, e.Op, e.Revision)
			}
		}
	}
}

// An object of the file shadows the object of a shared store. The ledger would delete such an
// object only from the host's own store. When the file drops the object, the shared store's object
// is used again.
func TestShadowedObjectsComeBack(t *testing.T) {
	shared, own := routing.Model{Networks: []routing.Network{network("a")}}, routing.Model{Networks: []routing.Network{network("b")}}
	shared.Networks[0].MTU, own.Networks[0].MTU = 1400, 1400
	h, d := newHub(shared), stored(own)
	file := routing.Model{Networks: []routing.Network{network("a"), network("b")}}
	k := open(t, d, ledger.Config{Complete: true, Sources: []ledger.Source{h}}, &file)
	mtu := func(id string) int { n, _ := k.Intent().Index.Network(id); return n.MTU }
	if mtu("a") != 1500 || mtu("b") != 1500 || len(h.model.Networks) != 1 || d.contents().Model.Len() > 0 {
		t.Errorf("MTUs %d and %d, want 1500; the hub has %d networks, want 1; the disk has %d objects, want 0", mtu("a"), mtu("b"), len(h.model.Networks), d.contents().Model.Len())
	}
	var declared *ledger.DeclaredError
	if _, err := k.Write(t.Context(), ledger.Put(routing.Model{Networks: []routing.Network{{ID: "a", MTU: 1300}}})); !errors.As(err, &declared) {
		t.Errorf("error %v", err)
	}
	if err := k.declare(routing.Model{Networks: []routing.Network{network("c")}}); err != nil {
		t.Fatal(err)
	}
	if s := k.Intent(); mtu("a") != 1400 || s.Has(ledger.Object{Kind: routing.KindNetwork, ID: "b"}) || s.DeclaredBy(ledger.Object{Kind: routing.KindNetwork, ID: "a"}) != "hub" {
		t.Errorf("after the file has dropped the network: MTU %d, want 1400", mtu("a"))
	}
}

// A file can drop a network with ports of another source, if another source has the network
// too.
func TestFileDropsNetworkOfOtherSource(t *testing.T) {
	h := newHub(routing.Model{Networks: []routing.Network{network("a")}, Ports: []routing.Port{port("p", "a", 10)}})
	file := routing.Model{Networks: []routing.Network{network("a")}}
	k := open(t, nil, ledger.Config{Sources: []ledger.Source{h}}, &file)
	if err := k.declare(routing.Model{Networks: []routing.Network{network("c")}}); err != nil {
		t.Errorf("refused: %v", err)
	}
	if s := k.Intent(); s.File().Err != nil || !s.Has(ledger.Object{Kind: routing.KindPort, ID: "p"}) || len(s.Quarantined()) > 0 {
		t.Errorf("file: %v, quarantined %s", s.File().Err, quarantined(s))
	}
}

// A write is refused if one of its objects would be quarantined. Here the network in the write
// makes a port of the file usable, and that port takes precedence over the port in the write.
func TestWriteThatWouldBeQuarantinedIsRefused(t *testing.T) {
	d := new(disk)
	file := routing.Model{Ports: []routing.Port{port("late", "nowhere", 20)}}
	k := open(t, d, ledger.Config{Complete: true}, &file)
	m := routing.Model{Networks: []routing.Network{network("nowhere")}, Ports: []routing.Port{port("new", "nowhere", 20)}}
	want := `ports[0]: mac: mac 02:00:00:01:00:14 is already used by port "late" on network "nowhere"`
	if _, err := k.Write(t.Context(), ledger.Put(m)); err == nil || err.Error() != want || d.contents().Model.Len() > 0 {
		t.Errorf("error %v, want %s", err, want)
	}
	m.Ports[0] = port("new", "nowhere", 21)
	if r := k.must(ledger.Put(m)); !r.Intent.Has(ledger.Object{Kind: routing.KindPort, ID: "late"}) || ops(r) != `network "nowhere" created, port "new" created` {
		t.Errorf("%s; quarantined %s", ops(r), quarantined(r.Intent))
	}
}
