package controller

import (
	"maps"
	"slices"
	"sync"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing/compile"
)

const (
	// peerBudget is the memory for the reports of all switches beyond the intent, in bytes.
	peerBudget = 32 << 20
	// portBytes is the memory that one port takes.
	portBytes = 256
	// ownPorts is the number of unused ports that each bridge may have without using
	// peerBudget.
	ownPorts = 64
)

// A portTable holds the ports of a switch: the ports that its router uses, and other ports as
// long as the shared budget has memory. Its methods are safe for concurrent use.
type portTable struct {
	mu      sync.Mutex
	byNo    map[ofproto.PortNo]ofproto.Port       // nil if no description was requested yet
	early   map[ofproto.PortNo]ofproto.PortStatus // the latest updates received during a description; nil if none is under way
	names   []string                              // of the ports that the bridge needs, sorted
	partial bool                                  // some ports did not fit into byNo
	changed chan struct{}                         // capacity 1: byNo has changed since the last numbers
	wants   chan struct{}                         // capacity 1: the router uses other ports, which may be among those that did not fit

	share *ofconn.Share // nil means no limit
	taken int           // ports in byNo that are charged to share
}

func newPortTable() portTable {
	return portTable{changed: make(chan struct{}, 1), wants: make(chan struct{}, 1)}
}

// use sets the names, sorted, of the ports that the bridge needs.
func (t *portTable) use(names []string) {
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

// expect prepares for a description, which the caller requests next. Updates are recorded
// until the call of described.
func (t *portTable) expect() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byNo == nil {
		t.byNo = make(map[ofproto.PortNo]ofproto.Port)
	}
	t.early, t.partial = make(map[ofproto.PortNo]ofproto.PortStatus), false
}

// describe adds a part of the switch's description.
func (t *portTable) describe(ports []ofproto.Port) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range ports {
		t.set(p)
	}
}

// described ends a description. The updates received meanwhile are applied again, because the
// description may be older than they are.
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

// set adds or replaces a port if there is memory for it.
func (t *portTable) set(p ofproto.Port) {
	own := ownPorts
	if _, used := slices.BinarySearch(t.names, p.Name); used {
		own += 2 * len(t.names) // a port whose number has changed may be in the table twice for a moment
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

// all returns the ports, in no particular order.
func (t *portTable) all() []ofproto.Port {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Values(t.byNo))
}
