package hosts

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// A Frame is a message to send to each of some hosts.
type Frame struct {
	To   []string
	Data []byte
}

// An outbox has the messages that [Table.Take] returns. Its size is bounded, however many messages a
// host would have to send: messages of the same kind to a host become one, and too many differences
// become all claims.
type outbox struct {
	pending     bool // Take returns something
	differences [][]byte
	probes      []Frame
}

// pending has the messages to one host.
type pending struct {
	hello  bool
	want   bool     // the hello asks for its claims
	all    bool     // all claims
	echoes []uint64 // probes to answer
}

const (
	maxDifferences = 256 // messages
	maxEchoes      = 16  // for each host
	maxProbes      = 16  // for each host
)

// Pending reports whether Take would return messages.
func (t *Table) Pending() bool { return t.outbox.pending }

// Take returns the messages to send now, and forgets them. Equal messages to several hosts are one
// Frame.
func (t *Table) Take(now time.Time) (out []Frame) {
	ids := slices.Sorted(maps.Keys(t.peers))
	some := func(is func(*peer) bool) (to []string) {
		for _, id := range ids {
			if is(t.peers[id]) {
				to = append(to, id)
			}
		}
		return to
	}
	add := func(to []string, messages ...[]byte) {
		for _, data := range messages {
			if len(to) > 0 {
				out = append(out, Frame{to, data})
			}
		}
	}
	add(some(func(p *peer) bool { return !p.send.all }), t.outbox.differences...)
	if to := some(func(p *peer) bool { return p.send.all }); len(to) > 0 && t.own != nil {
		add(to, t.all()...)
	}
	for _, deaf := range []bool{false, true} {
		for _, want := range []bool{false, true} {
			to := some(func(p *peer) bool {
				return (p.send.hello || p.send.want) && p.send.want == want && t.silent(p, now) == deaf
			})
			if len(to) > 0 {
				m := t.hello()
				m.Want, m.Deaf = want, deaf
				add(to, m.frame())
			}
		}
	}
	for _, id := range ids {
		for _, n := range t.peers[id].send.echoes {
			m := t.hello()
			m.Echo, m.Deaf = n, t.silent(t.peers[id], now)
			add([]string{id}, m.frame())
		}
		t.peers[id].send = pending{}
	}
	out = append(out, t.outbox.probes...)
	t.outbox = outbox{}
	return out
}

func (t *Table) message() message {
	return message{Host: t.self, Run: t.run, Claims: t.seq}
}

func (t *Table) hello() message {
	m := t.message()
	m.Version, m.Intent = t.version, t.intent
	return m
}

// all returns the messages with all claims.
func (t *Table) all() [][]byte {
	if t.parts != nil {
		return t.parts
	}
	parts := [][]claim{nil}
	size := 0
	for _, id := range slices.Sorted(maps.Keys(t.own)) {
		last := &parts[len(parts)-1]
		if n := t.own[id].size(); size+n > maxText {
			parts = append(parts, nil)
			last, size = &parts[len(parts)-1], 0
		}
		*last = append(*last, t.own[id])
		size += t.own[id].size()
	}
	for i, part := range parts {
		m := t.message()
		m.Parts, m.Part, m.Ports = len(parts), i+1, part
		t.parts = append(t.parts, m.frame())
	}
	return t.parts
}

// size returns the number of bytes of c in a message.
func (c claim) size() int {
	text, _ := json.Marshal(c) // cannot fail: it has only a string and a number
	return len(text) + 1
}

// sendAll makes the messages with all claims due, to all hosts.
func (t *Table) sendAll() {
	for _, p := range t.peers {
		p.send.all, t.outbox.pending = true, true
	}
	t.outbox.differences = nil
}

// sendDifference makes messages due that change the version of the claims that the other hosts know
// into the present one.
func (t *Table) sendDifference(put []claim, gone []string) {
	for len(put)+len(gone) > 0 {
		t.seq++
		m, size := t.message(), 0
		for len(put) > 0 && size+put[0].size() <= maxText {
			size += put[0].size()
			m.Put, put = append(m.Put, put[0]), put[1:]
		}
		for len(put) == 0 && len(gone) > 0 && size+(claim{Port: gone[0]}).size() <= maxText {
			size += claim{Port: gone[0]}.size()
			m.Gone, gone = append(m.Gone, gone[0]), gone[1:]
		}
		t.parts, t.next = nil, time.Time{} // the hello shows a host that it has missed the difference
		t.outbox.pending, t.outbox.differences = true, append(t.outbox.differences, m.frame())
		if len(t.outbox.differences) > maxDifferences {
			t.sendAll()
		}
	}
}

// Probe makes a message due that asks a host for an echo of n. It has at least size bytes. Probe
// reports whether it has done so: too many are not sent.
func (t *Table) Probe(host string, n uint64, size int) bool {
	if t.peers[host] == nil || len(t.outbox.probes) >= maxProbes*len(t.peers) {
		return false
	}
	m := t.hello()
	m.Probe = n
	data := m.frame()
	t.outbox.pending = true
	t.outbox.probes = append(t.outbox.probes, Frame{[]string{host}, append(data, make([]byte, max(0, size-len(data)))...)})
	return true
}

// Tick makes the hellos due that are sent at an interval, and requests for claims that were not
// answered. It returns the ports that may have another place because a host became silent. It is
// called every second.
func (t *Table) Tick(now time.Time) (changed []string) {
	for _, id := range slices.Sorted(maps.Keys(t.peers)) {
		p := t.peers[id]
		changed = append(changed, t.judge(id, p, now)...)
		if p.alive {
			t.ask(p, now)
		}
	}
	if now.Before(t.next) {
		return changed
	}
	t.next = now.Add(Interval)
	for _, p := range t.peers {
		p.send.hello, t.outbox.pending = true, true
	}
	return changed
}

// ask makes a request for the claims of p due, if a message has mentioned a newer version than the
// known one.
func (t *Table) ask(p *peer, now time.Time) {
	if p.latest.seq == 0 || p.known && !p.latest.newer(p.is) {
		p.asks = 0
		return
	}
	if p.asks > 0 && now.Sub(p.asked) < min(askAgain<<min(p.asks-1, 10), Interval) {
		return
	}
	p.asked, p.asks = now, p.asks+1
	p.send.want, t.outbox.pending = true, true
}
