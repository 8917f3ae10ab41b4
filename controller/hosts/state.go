package hosts

import "time"

// A State is the state of another host.
type State struct {
	Host       string
	Heard      time.Time // time of the last message; zero before the first
	Alive      bool      // it is heard
	Silent     bool      // no message has come for Silence, also since Expect, and since the host was added
	Version    string    // version of its ofdvr; "" if not known
	SameIntent bool      // its digest equals ours, or is not known
	Machines   int       // plugged there
}

// The daemon calls Expect when it begins to receive messages of other hosts. While it stands by, it
// receives none.
func (t *Table) Expect(now time.Time) { t.expected = now }

// States returns the states of the other hosts, by ID.
func (t *Table) States(now time.Time) (out []State) {
	for _, id := range t.sorted() {
		p := t.peers[id]
		silent := !t.expected.IsZero() && !p.alive && min(now.Sub(p.added), now.Sub(t.expected)) > Silence
		out = append(out, State{id, p.heard, p.alive, silent, p.version, p.intent == "" || p.intent == t.intent, len(p.ports)})
	}
	return out
}
