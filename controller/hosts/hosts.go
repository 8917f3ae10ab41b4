// Package hosts finds the host of each machine. Each host sends messages through the tunnels to all
// other hosts, and claims the machines that are plugged into its integration bridge. The same messages
// show whether the tunnels work, and whether the hosts have the same intent.
//
// A machine is on the host that claims it. If no host claims it, it is on the host that the intent
// names. If several hosts claim it, a host that is heard wins over a silent host. Among equals, these
// win in this order: the host where it was plugged in last, the host that the intent names, the host
// with the lowest ID. Clocks are not used. When a machine is plugged in, its host gives the claim a
// number, the turn, that is higher than those of all known claims for the machine. If a host is silent
// and no other host claims its machines, they stay there.
package hosts

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

const (
	// Interval is the time between two hellos.
	Interval = 5 * time.Second
	// Silence is the time after its last message at which a host counts as silent.
	Silence = 3*Interval + time.Second
	// askAgain is the least time between two requests for a host's claims.
	askAgain = time.Second
)

// A Frame is a message to send to a host.
type Frame struct {
	To   string
	Data []byte
}

// A Table is the knowledge of this host about all hosts. It has no clock and does no I/O. One
// goroutine owns it.
type Table struct {
	self    string
	version string
	intent  string
	run     uint64

	own   map[string]claim // by port; nil before the first SetOwn
	seq   uint64           // of own
	parts [][]claim        // own, divided into messages
	peers map[string]*peer
	next  time.Time // the next hello

	claims   map[string]map[string]claim // claims of the peers, by port and host
	recalled map[string]string           // see Recall
	expected time.Time                   // the time of the last Expect; zero before the first
}

// A peer is another host.
type peer struct {
	run   uint64
	seq   uint64
	ports map[string]claim // all claims of the version given by run and seq
	known bool             // ports is known

	parts   map[int][]claim // received parts of a newer version of the claims
	of      int             // number of parts of that version; 0 if not known
	newer   [2]uint64       // run and seq of that version
	asked   time.Time
	heard   time.Time // zero: never
	version string
	intent  string
	alive   bool // heard, as of the last call of Tick or Received
	added   time.Time
}

// New returns the Table of a host without peers. run is a random number.
func New(self, version string, run uint64) *Table {
	t := &Table{self: self, version: version, run: run, peers: make(map[string]*peer), claims: make(map[string]map[string]claim)}
	t.split()
	return t
}

// SetPeers sets the other hosts. It returns the ports that may have another place now.
func (t *Table) SetPeers(ids []string, now time.Time) (changed []string) {
	was := t.peers
	t.peers = make(map[string]*peer, len(ids))
	for _, id := range ids {
		p := was[id]
		if p == nil {
			p = &peer{added: now}
		}
		delete(was, id)
		t.peers[id] = p
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
// call were perhaps plugged in long ago, so their turn is 0. SetOwn returns the ports that may
// have another place now, and the messages to send.
func (t *Table) SetOwn(ports []string) (changed []string, send []Frame) {
	first := t.own == nil
	own := make(map[string]claim, len(ports))
	for _, id := range ports {
		c, known := t.own[id]
		if !known {
			c.Port = id
			if !first {
				c.Turn = t.turn(id)
			}
			changed = append(changed, id)
		}
		own[id] = c
	}
	for id := range t.own {
		if _, there := own[id]; !there {
			changed = append(changed, id)
		}
	}
	t.own = own
	if len(changed) == 0 && !first {
		return nil, nil
	}
	if first {
		changed = append(changed, t.reported(t.self)...)
	}
	t.seq++
	t.split()
	for _, id := range t.sorted() {
		send = append(send, t.all(id)...)
	}
	return changed, send
}

// turn returns a number that is higher than those of all known claims for a port.
func (t *Table) turn(port string) uint64 {
	n := uint64(0)
	for _, c := range t.claims[port] {
		n = max(n, c.Turn)
	}
	return n + 1
}

// split divides own into parts.
func (t *Table) split() {
	t.parts = [][]claim{nil}
	size := 0
	for _, id := range slices.Sorted(maps.Keys(t.own)) {
		c := t.own[id]
		text, _ := json.Marshal(c) // cannot fail: it has only a string and a number
		if size += len(text) + 1; size > maxText {
			t.parts, size = append(t.parts, nil), len(text)+1
		}
		last := &t.parts[len(t.parts)-1]
		*last = append(*last, c)
	}
}

func (t *Table) sorted() []string { return slices.Sorted(maps.Keys(t.peers)) }

func (t *Table) message() message {
	return message{Host: t.self, Run: t.run, Claims: t.seq, Parts: len(t.parts)}
}

// all returns the messages with all claims. It returns none while the claims are not known.
func (t *Table) all(to string) (out []Frame) {
	if t.own == nil {
		return nil
	}
	for i, part := range t.parts {
		m := t.message()
		m.Part, m.Ports = i+1, part
		out = append(out, Frame{to, m.frame()})
	}
	return out
}

func (t *Table) hello() message {
	m := t.message()
	m.Version, m.Intent = t.version, t.intent
	return m
}

// Probe returns a message that asks a host for an echo of n. It has at least size bytes.
func (t *Table) Probe(host string, n uint64, size int) Frame {
	m := t.hello()
	m.Probe = n
	data := m.frame()
	return Frame{host, append(data, make([]byte, max(0, size-len(data)))...)}
}

// Tick returns the messages that are due, the time of the next call, and the ports that may
// have another place because a host became silent.
func (t *Table) Tick(now time.Time) (send []Frame, next time.Time, changed []string) {
	for _, id := range t.sorted() {
		changed = append(changed, t.judge(t.peers[id], now)...)
	}
	if now.Before(t.next) {
		return nil, t.next, changed
	}
	t.next = now.Add(Interval)
	for _, id := range t.sorted() {
		send = append(send, Frame{id, t.hello().frame()})
	}
	return send, t.next, changed
}

// judge updates p.alive. If it has changed, judge returns the ports that p claims.
func (t *Table) judge(p *peer, now time.Time) (changed []string) {
	alive := !p.heard.IsZero() && now.Sub(p.heard) < Silence
	if alive == p.alive {
		return nil
	}
	p.alive = alive
	return slices.Collect(maps.Keys(p.ports))
}

// Received handles a frame. from is the ID of the host at the other end of the tunnel.
// Received returns the messages to send, the ports that may have another place now, and the
// number of the answered probe, or 0. If it ignores the frame, the error has the reason.
func (t *Table) Received(from string, frame []byte, now time.Time) (send []Frame, changed []string, echo uint64, err error) {
	m, err := parse(frame)
	if err != nil {
		return nil, nil, 0, err
	}
	p := t.peers[from]
	if p == nil || m.Host != from {
		return nil, nil, 0, errNotAMessage
	}
	p.heard = now
	changed = t.judge(p, now)
	if m.Part > 0 {
		return nil, append(changed, t.part(from, p, m)...), 0, nil
	}
	p.version, p.intent = m.Version, m.Intent
	if m.Want {
		send = append(send, t.all(from)...)
	}
	answer := t.hello()
	answer.Want = (!p.known || p.run != m.Run || p.seq != m.Claims) && now.Sub(p.asked) >= askAgain
	answer.Echo = m.Probe
	if answer.Want {
		p.asked = now
	}
	if answer.Want || answer.Echo != 0 {
		send = append(send, Frame{from, answer.frame()})
	}
	return send, changed, m.Echo, nil
}

// part handles a part of a host's claims. It returns the ports that may have another place
// now.
func (t *Table) part(id string, p *peer, m message) (changed []string) {
	is := [2]uint64{m.Run, m.Claims}
	if p.known && p.run == m.Run && p.seq >= m.Claims || is[0] == p.newer[0] && is[1] < p.newer[1] {
		return nil // known, or late
	}
	if is != p.newer || p.parts == nil {
		p.newer, p.parts = is, make(map[int][]claim)
	}
	if p.of = m.Parts; m.Part > p.of {
		return nil
	}
	p.parts[m.Part] = m.Ports
	if len(p.parts) < p.of {
		return nil
	}
	ports := make(map[string]claim)
	for _, part := range p.parts {
		for _, c := range part {
			ports[c.Port] = c
		}
	}
	p.run, p.seq, p.known, p.parts = m.Run, m.Claims, true, nil
	return append(t.replace(id, p, ports), t.reported(id)...)
}

// replace replaces the claims of a peer. It returns the ports with changed claims.
func (t *Table) replace(id string, p *peer, ports map[string]claim) (changed []string) {
	for port := range p.ports {
		if _, there := ports[port]; !there {
			if delete(t.claims[port], id); len(t.claims[port]) == 0 {
				delete(t.claims, port)
			}
			changed = append(changed, port)
		}
	}
	for port, c := range ports {
		if p.ports[port] == c {
			continue
		}
		if t.claims[port] == nil {
			t.claims[port] = make(map[string]claim)
		}
		t.claims[port][id] = c
		changed = append(changed, port)
	}
	p.ports = ports
	return changed
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
	own, here := t.own[port]
	others := t.claims[port]
	if len(others) == 0 && !here {
		return nil
	}
	type claimant struct {
		host  string
		alive bool
		turn  uint64
	}
	var all []claimant
	if here {
		all = append(all, claimant{t.self, true, own.Turn})
	}
	for host, c := range others {
		all = append(all, claimant{host, t.peers[host].alive, c.Turn})
	}
	rank := func(is bool) int {
		if is {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b claimant) int {
		return cmp.Or(cmp.Compare(rank(a.alive), rank(b.alive)), cmp.Compare(b.turn, a.turn),
			cmp.Compare(rank(a.host == intended), rank(b.host == intended)), cmp.Compare(a.host, b.host))
	})
	out := make([]string, len(all))
	for i := range all {
		out[i] = all[i].host
	}
	return out
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
