package controller

import (
	"maps"
	"slices"
	"sync"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

const (
	// peerBudget is what all switches share for what they tell of and no router wants, in bytes.
	peerBudget = 32 << 20
	// portBytes is what a port takes, with what is made of it.
	portBytes = 256
	// ownPorts is how many ports a bridge may have besides.
	ownPorts = 64
)

// A portTable holds the ports of a switch: those that its router uses, and others while there is
// memory in what all switches share. Its methods may be called from any goroutine.
type portTable struct {
	mu      sync.Mutex
	byNo    map[ofproto.PortNo]ofproto.Port       // nil: the switch was not asked yet
	early   map[ofproto.PortNo]ofproto.PortStatus // the latest that came while the switch describes its ports; nil: it does not
	names   []string                              // of the ports that the router uses, sorted
	partial bool                                  // there are ports that are not in byNo
	changed chan struct{}                         // capacity 1: byNo differs from what facts returned last
	wants   chan struct{}                         // capacity 1: the router uses a port that may be one of those

	share *ofconn.Share // nil has no bounds
	taken int           // ports in byNo that it has memory for
}

func newPortTable() portTable {
	return portTable{changed: make(chan struct{}, 1), wants: make(chan struct{}, 1)}
}

// use notes which ports the router of the bridge uses.
func (t *portTable) use(r *routing.Router) {
	names := make([]string, 0, 2*len(r.Interfaces))
	for i := range r.Interfaces {
		names = append(names, r.Interfaces[i].PatchName(), r.Interfaces[i].TapName())
	}
	slices.Sort(names)
	t.mu.Lock()
	defer t.mu.Unlock()
	if slices.Equal(t.names, names) {
		return
	}
	t.names = names
	if t.partial {
		wake(t.wants)
	}
}

func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// expect begins to remember what comes before the end of the description, which is asked for next.
func (t *portTable) expect() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byNo == nil {
		t.byNo = make(map[ofproto.PortNo]ofproto.Port)
	}
	t.early, t.partial = make(map[ofproto.PortNo]ofproto.PortStatus), false
}

// describe takes in a part of what the switch describes.
func (t *portTable) describe(ports []ofproto.Port) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range ports {
		t.set(p)
	}
}

// described ends a description. Messages that arrived before that are applied again, which
// changes nothing.
func (t *portTable) described() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.early {
		t.apply(s)
	}
	t.share.Give(max(0, len(t.early)-ownPorts) * portBytes)
	t.early = nil
}

func (t *portTable) update(s ofproto.PortStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.byNo == nil:
		return
	case t.early == nil:
		wake(t.changed)
	default:
		if _, there := t.early[s.Port.No]; there || len(t.early) < ownPorts || t.share.Take(portBytes) {
			t.early[s.Port.No] = s
		}
	}
	t.apply(s)
}

func (t *portTable) apply(s ofproto.PortStatus) {
	if s.Reason != ofproto.PortDeleted {
		t.set(s.Port)
	} else if _, there := t.byNo[s.Port.No]; there {
		delete(t.byNo, s.Port.No)
		if t.taken > 0 {
			t.taken--
			t.share.Give(portBytes)
		}
	}
}

// set keeps a port if there is room for it.
func (t *portTable) set(p ofproto.Port) {
	own := ownPorts
	if _, used := slices.BinarySearch(t.names, p.Name); used {
		own += 2 * len(t.names) // one that has got another number may be there twice for a moment
	}
	if _, there := t.byNo[p.No]; !there && len(t.byNo)-t.taken >= own {
		if !t.share.Take(portBytes) {
			t.partial = true
			return
		}
		t.taken++
	}
	t.byNo[p.No] = p
}

func (t *portTable) numbers() compile.Ports {
	t.mu.Lock()
	defer t.mu.Unlock()
	ports := make(compile.Ports, len(t.byNo))
	for no, p := range t.byNo {
		if no <= ofproto.PortMax {
			ports[p.Name] = no
		}
	}
	return ports
}

// all returns the ports, in no order.
func (t *portTable) all() []ofproto.Port {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.byNo))
}
