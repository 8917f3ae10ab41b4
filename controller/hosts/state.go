package hosts

import (
	"maps"
	"slices"
	"time"
)

// A State is the state of another host.
type State struct {
	Host       string
	Heard      time.Time // time of the last message; zero before the first
	Alive      bool      // it is heard
	Silent     bool      // no message has come for Silence, also since Expect, and since the host was added
	Deaf       bool      // it says that it does not receive our messages
	Version    string    // version of its ofdvr; "" if not known
	SameIntent bool      // its digest equals ours, or is not known
	Machines   int       // plugged there
}

// The daemon calls Expect when it begins to receive messages of other hosts. While it stands by, it
// receives none.
func (t *Table) Expect(now time.Time) { t.expected = now }

// silent reports whether no message of p has come for Silence, although it was expected.
func (t *Table) silent(p *peer, now time.Time) bool {
	return !t.expected.IsZero() && !p.alive && min(now.Sub(p.added), now.Sub(t.expected)) > Silence
}

// States returns the states of the other hosts, by ID.
func (t *Table) States(now time.Time) (out []State) {
	for _, id := range slices.Sorted(maps.Keys(t.peers)) {
		p := t.peers[id]
		out = append(out, State{id, p.heard, p.alive, t.silent(p, now), p.alive && p.deaf, p.version, p.intent == "" || p.intent == t.intent, len(p.ports)})
	}
	return out
}
