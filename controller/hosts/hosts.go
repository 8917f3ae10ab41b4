// Package hosts finds the host of each machine. Each host sends messages through the tunnels to all
// other hosts, and claims the machines that are plugged into its integration bridge. The same messages
// show whether the tunnels work, and whether the hosts have the same intent.
//
// A machine is on the host that claims it. If no host claims it, it is on the host that the intent
// names. If several hosts claim it, a host that is heard wins over a silent host. Among equals, these
// win in this order: the host where it was plugged in last, the host that the intent names, the host
// with the lowest ID. Clocks are not used. When a machine is plugged in, its host gives the claim a
// number, the turn, that is higher than those of all known claims for the machine. The turn of a machine
// that other hosts claim too outlives the daemon, see [Table.Turns]. If a host is silent and no other
// host claims its machines, they stay there.
//
// A host numbers the versions of its claims. It sends the differences between versions to all other
// hosts. A host that has missed a difference notices it by the number of the next message, and asks for
// all claims.
package hosts

import (
	"cmp"
	"slices"
	"time"
)

const (
	// Interval is the time between two hellos.
	Interval = 5 * time.Second
	// Silence is the time after its last message at which a host counts as silent.
	Silence = 3*Interval + time.Second
	// askAgain is the least time between two requests for a host's claims. It doubles with each request
	// that remains without an answer, up to Interval.
	askAgain = time.Second
)

// A Table is the knowledge of this host about all hosts. It has no clock and does no I/O. One
// goroutine owns it.
type Table struct {
	self    string
	version string
	intent  string
	run     uint64

	own   map[string]claim // by port; nil before the first SetOwn
	kept  map[string]bool  // ports of own whose turns outlive the daemon, see Turns
	seq   uint64           // version of own; 0 before the first SetOwn
	parts [][]byte         // the messages with all claims; nil if they must be made again
	peers map[string]*peer
	next  time.Time // the next hello

	outbox outbox

	claims   map[string]map[string]claim // claims of the peers, by port and host
	recalled map[string]string           // see Recall
	stored   Stored                      // see Share
	expected time.Time                   // the time of the last Expect; zero before the first
}

// A peer is another host.
type peer struct {
	known bool             // its claims of version have been received
	is    version          // the version of ports
	ports map[string]claim // all claims of that version

	latest  version         // the newest version of its claims that a message mentions
	parts   map[int][]claim // received parts of version newer
	of      int             // number of parts of that version; 0 if not known
	newer   version
	asked   time.Time // the last request for its claims
	asks    int       // number of requests since its claims were last known
	heard   time.Time // zero: never
	deaf    bool      // its last hello says that it does not hear this host
	version string    // of its ofdvr
	intent  string
	alive   bool            // heard, as of the last call of Tick or Received
	left    map[string]bool // ports whose claims it has removed from the store, but which its messages have
	added   time.Time

	send pending // messages to it
}

// A version identifies a version of a host's claims.
type version struct {
	run uint64 // a random number of the daemon
	seq uint64 // 0 while the daemon does not know its claims
}

// newer reports whether v comes after w. Versions of different daemons have no order: then the one
// that was received later counts as newer.
func (v version) newer(w version) bool { return v.run != w.run || v.seq > w.seq }

// New returns the Table of a host without peers. run is a random number.
func New(self, version string, run uint64) *Table {
	return &Table{self: self, version: version, run: run, peers: make(map[string]*peer), claims: make(map[string]map[string]claim), kept: make(map[string]bool)}
}

// SetPeers sets the other hosts. It returns the ports that may have another place now.
func (t *Table) SetPeers(ids []string, now time.Time) (changed []string) {
	was := t.peers
	t.peers = make(map[string]*peer, len(ids))
	for _, id := range ids {
		p := was[id]
		if p == nil {
			p = &peer{added: now}
			p.send.hello, t.outbox.pending = true, true
		}
		t.peers[id] = p
		if was[id] == nil {
			for port, c := range t.stored[id] {
				changed = t.put(changed, id, p, c.claim(port))
			}
		}
		delete(was, id)
	}
	for id, p := range was {
		changed = append(append(changed, t.replace(id, p, nil)...), t.reported(id)...)
	}
	t.next = time.Time{}
	return changed
}

// Greet makes a hello due.
func (t *Table) Greet() { t.next = time.Time{} }

// SetIntent sets the digest of this host's intent. If the digest has changed, a hello is due.
func (t *Table) SetIntent(digest string) {
	if t.intent != digest {
		t.intent, t.next = digest, time.Time{}
	}
}

// SetOwn sets the ports with machines that are plugged in on this host. Machines in the first
// call were perhaps plugged in long ago, so their turn is the kept one, or 0. turns has the kept turns,
// by port, see [Table.Turns]. SetOwn returns the ports that may have another place now.
func (t *Table) SetOwn(ports []string, turns map[string]uint64) (changed []string) {
	first := t.own == nil
	own := make(map[string]claim, len(ports))
	var put []claim
	for _, id := range ports {
		c, known := t.own[id]
		if !known {
			c.Port = id
			if first {
				c.Turn = t.stored[t.self][id].Turn
			} else {
				c.Turn = t.turn(id)
			}
		}
		if turn := turns[id]; turn > 0 {
			c.Turn, t.kept[id] = max(c.Turn, turn), true
		}
		if !known || c != t.own[id] {
			c.seq = t.seq + 1
			put, changed = append(put, c), append(changed, id)
		}
		own[id] = c
	}
	var gone []string
	for id := range t.own {
		if _, there := own[id]; !there {
			delete(t.kept, id)
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	changed = append(changed, gone...)
	t.own = own
	if first {
		t.seq, t.parts = 1, nil
		t.sendAll()
		changed = append(changed, t.reported(t.self)...)
	} else {
		t.sendDifference(put, gone)
	}
	t.keep(changed)
	return changed
}

// turn returns a number that is higher than those of all known claims for a port.
func (t *Table) turn(port string) uint64 {
	n := uint64(0)
	for _, c := range t.claims[port] {
		n = max(n, c.Turn)
	}
	return n + 1
}

// Place returns the host where the machine of a port is. intended is the host that the intent
// names, or "".
func (t *Table) Place(port, intended string) string {
	if claimants := t.claimants(port, intended); len(claimants) > 0 {
		return claimants[0]
	}
	if host := t.recalled[port]; host != "" {
		return host
	}
	return intended
}

// Here reports whether the machine of a port is plugged in on this host. Before the first SetOwn, this
// is so if the recalled place says it.
func (t *Table) Here(port string) bool {
	_, plugged := t.own[port]
	return plugged || t.recalled[port] == t.self
}

// Reporters returns the hosts that report the machine of a port; the first has it. intended is the
// host that the intent names, "" for none.
func (t *Table) Reporters(port, intended string) []string { return t.claimants(port, intended) }

// Elsewhere returns the ports with machines that another host claims and has, and the host of
// each. intended returns the host that the intent names for a port.
func (t *Table) Elsewhere(intended func(port string) string) map[string]string {
	out := make(map[string]string, len(t.claims))
	for port := range t.claims {
		if at := t.Place(port, intended(port)); at != t.self {
			out[port] = at
		}
	}
	return out
}

// claimants returns the hosts that claim a port. The machine counts as being on the first of
// them.
func (t *Table) claimants(port, intended string) []string {
	all := t.ranked(port, intended)
	if len(all) == 0 {
		return nil
	}
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].host
	}
	return out
}

// A claimant is a host that claims a machine.
type claimant struct {
	host     string
	alive    bool
	turn     uint64
	intended bool // the intent names it
}

// ranked returns the hosts that claim a port, the host that wins first.
func (t *Table) ranked(port, intended string) (all []claimant) {
	if own, here := t.own[port]; here {
		all = append(all, claimant{t.self, true, own.Turn, t.self == intended})
	}
	for host, c := range t.claims[port] {
		all = append(all, claimant{host, t.peers[host].alive, c.Turn, host == intended})
	}
	rank := func(is bool) int {
		if is {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b claimant) int {
		return cmp.Or(cmp.Compare(rank(a.alive), rank(b.alive)), cmp.Compare(b.turn, a.turn),
			cmp.Compare(rank(a.intended), rank(b.intended)), cmp.Compare(a.host, b.host))
	})
	return all
}

// A Reason is why a host wins a machine that several hosts claim.
type Reason uint8

const (
	OnlyClaim   Reason = iota // no other host claims it
	OthersQuiet               // the others are silent
	LastPlugged               // the machine was plugged in there last
	Intended                  // the intent names the host
	LowestID
)

// Why returns why the first of [Table.Reporters] has the machine of a port.
func (t *Table) Why(port, intended string) Reason {
	all := t.ranked(port, intended)
	switch {
	case len(all) < 2:
		return OnlyClaim
	case all[0].alive != all[1].alive:
		return OthersQuiet
	case all[0].turn != all[1].turn:
		return LastPlugged
	case all[0].intended:
		return Intended
	}
	return LowestID
}

// Conflicts returns the sorted IDs of ports that this host and at least one other host claim.
func (t *Table) Conflicts() (ports []string) {
	for port := range t.own {
		if len(t.claims[port]) > 0 {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return ports
}
