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
	// peerBudget is the memory, in bytes, for reports of all switches about flows and ports
	// that are not in the intent.
	peerBudget = 32 << 20
	// portBytes is the memory that one port takes.
	portBytes = 256
	// ownPorts is the number of unused ports that each bridge may have without using
	// peerBudget.
	ownPorts = 64
)

// A portTable holds the ports of a switch. It always holds the ports that the router uses. It
// holds other ports only while the shared budget has memory. Its methods are safe for
// concurrent use.
type portTable struct {
	mu      sync.Mutex
	byNo    map[ofproto.PortNo]ofproto.Port       // nil before the first request of a description
	early   map[ofproto.PortNo]ofproto.PortStatus // the latest updates received during a description; nil at other times
	names   []string                              // sorted names of the ports that the bridge needs
	partial bool                                  // some ports did not fit into byNo
	changed chan struct{}                         // capacity 1: byNo has changed since the last numbers
	wants   chan struct{}                         // capacity 1: the router uses other ports than before, and some of these may not be in byNo

	share *ofconn.Share // nil means no limit
	taken int           // ports in byNo that are charged to share
}

func newPortTable() portTable {
	return portTable{changed: make(chan struct{}, 1), wants: make(chan struct{}, 1)}
}

// use sets the sorted names of the ports that the bridge needs.
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

// expect prepares for a description of all ports. The caller requests it after this call.
// Updates are recorded until the call of described.
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

// described ends a description. It applies the updates received in the meantime again, because
// parts of the description may be older.
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
		own += 2 * len(t.names) // while a port's number changes, the port may be in the table twice
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
