package counters

import (
	"encoding/json"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Packets are counted for subjects. A subject stands for the flows of one role that belong to an
// interface and its ports, to a route, or to a port. If id is "", the flows belong to the router.
type subject struct {
	kind  routing.Kind
	id    string
	iface string // the interface of a port; "" for other kinds
	role  compile.Role
}

// subjects returns the subjects of a flow.
func subjects(o routing.Object, r compile.Role, ports bool) []subject {
	out := make([]subject, 1, 2)
	out[0] = subject{routing.KindInterface, o.Interface, "", r}
	switch {
	case o.Kind == routing.KindRoute:
		out = append(out, subject{routing.KindRoute, o.ID, "", r})
	case o.Kind == routing.KindPort && r == compile.RoleDeliver && ports:
		out = append(out, subject{routing.KindPort, o.ID, o.Interface, r})
	}
	return out
}

func (p Port) subject() subject {
	return subject{routing.KindPort, p.Port, p.Interface, compile.RoleDeliver}
}

// sums has a Tally for each subject.
type sums map[subject]Tally

func (s sums) add(about subject, t Tally) {
	sum := s[about]
	sum.add(t)
	s[about] = sum
}

// name returns the key in the file for the subject, without its role. For an interface it is the
// ID, which has no control characters.
func (s subject) name() string {
	if s.kind == routing.KindInterface {
		return s.id
	}
	return s.kind.String() + "\x00" + s.id + "\x00" + s.iface
}

// namedSubject is the inverse of [subject.name].
func namedSubject(name string, r compile.Role) subject {
	for _, kind := range []routing.Kind{routing.KindRoute, routing.KindPort} {
		if rest, ok := strings.CutPrefix(name, kind.String()+"\x00"); ok {
			id, iface, _ := strings.Cut(rest, "\x00")
			return subject{kind, id, iface, r}
		}
	}
	return subject{routing.KindInterface, name, "", r}
}

// MarshalJSON writes a JSON object with a key for each name. Each value is a JSON object with a key
// for each role.
func (s sums) MarshalJSON() ([]byte, error) {
	out := make(map[string]ByRole)
	for about, t := range s {
		name := about.name()
		if out[name] == nil {
			out[name] = make(ByRole)
		}
		out[name][about.role] = t
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *sums) UnmarshalJSON(b []byte) error {
	var in map[string]ByRole
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*s = make(sums)
	for name, byRole := range in {
		for role, t := range byRole {
			(*s)[namedSubject(name, role)] = t
		}
	}
	return nil
}

// counts are sums. The sums of ports are in a separate map, because there may be very many.
type counts struct{ few, ports sums }

func newCounts() counts { return counts{make(sums), make(sums)} }

func (c counts) of(about subject) sums {
	if about.kind == routing.KindPort {
		return c.ports
	}
	return c.few
}

func (c counts) add(about subject, t Tally) { c.of(about).add(about, t) }

// all yields every subject.
func (c counts) all() iter.Seq2[subject, Tally] {
	return func(yield func(subject, Tally) bool) {
		for _, s := range []sums{c.few, c.ports} {
			for about, t := range s {
				if !yield(about, t) {
					return
				}
			}
		}
	}
}

// raise makes every sum at least as large as in least.
func (c counts) raise(least sums) {
	for about, t := range least {
		now := c.of(about)[about]
		c.of(about)[about] = Tally{max(t.Packets, now.Packets), max(t.Bytes, now.Bytes)}
	}
}

// routerCounters has the sums of one router. The holder of turn may read the fields guarded by
// Book.mu. Only the holder replaces them.
type routerCounters struct {
	router string
	turn   chan struct{}    // capacity 1; full while the switch is being read
	last   map[uint64]Tally // flows with a nonzero counter at the last reading, by their hash; guarded by turn

	sums     counts
	there    sums             // the part of sums that was counted by the flows of the last reading; it has only the ports in reported and in the next report
	kept     *keptCounters    // values of the previous daemon, until the first reading
	taken    time.Time        // start of the last reading; zero before the first
	at       time.Duration    // start of the last reading, as the time since the start of the machine
	top      []Port           // the ports with the most packets, at most [Config.Ports]
	reported map[subject]bool // ports that have been reported, so the file must have them
}

func newRouterCounters(router string) *routerCounters {
	return &routerCounters{router: router, turn: make(chan struct{}, 1), sums: newCounts(), reported: make(map[subject]bool)}
}

// A reading is one reading of a switch, which comes in several parts.
type reading struct {
	began   time.Time
	last    map[uint64]Tally
	there   counts
	counted counts        // since the previous reading
	at      time.Duration // start of the reading, as the time since the start of the machine
	elapsed time.Duration // time since the previous reading; for the first reading, since the start of the machine
	jump    *Jump         // describes counters that were not added; nil if all were added

	// Computed by [routerCounters.sum].
	sums counts
	top  []Port
}

func (rc *routerCounters) begin() *reading {
	at := sinceBoot()
	elapsed := at
	if !rc.taken.IsZero() {
		elapsed = time.Since(rc.taken)
	}
	return &reading{began: time.Now(), at: at, elapsed: elapsed, last: make(map[uint64]Tally, len(rc.last)), there: newCounts(), counted: newCounts()}
}

// Flows are identified by a hash. Among a million flows, the probability that two have the
// same hash is one in ten million.
var flowSeed = maphash.MakeSeed()

// add adds a part of a reading. A flow with a smaller counter than before was installed again
// in the meantime. Implausible growth is not added. Later growth of the flow is counted from
// its new value.
func (rc *routerCounters) add(r *reading, stats []ofproto.FlowStats, objects compile.Objects, ports int) {
	limit := carried(r.elapsed + time.Since(r.began))
	for i := range stats {
		fs := &stats[i]
		role, ours := compile.RoleOf(fs.Cookie)
		if !ours {
			continue
		}
		now := Tally{fs.Packets, fs.Bytes}
		since := now
		if now != (Tally{}) {
			key := maphash.Comparable(flowSeed, fs.FlowKey)
			r.last[key] = now
			if before := rc.last[key]; before.Packets <= now.Packets && before.Bytes <= now.Bytes {
				since = Tally{now.Packets - before.Packets, now.Bytes - before.Bytes}
			}
		} else if ports >= 0 || role != compile.RoleDeliver { // a negative number means that all ports are reported, even without packets
			continue
		}
		object, known := objects.Get(fs.Cookie)
		if !known {
			continue
		}
		if rc.kept == nil && !since.within(limit) { // the first reading is checked by resume instead

			r.implausible(fs.Flow, since)
			since = Tally{}
		}
		for _, about := range subjects(object, role, ports != 0) {
			r.there.add(about, now)
			r.counted.add(about, since)
		}
	}
}

// sum computes the sums of a complete reading. The function exists reports whether the intent
// has a port or a route.
func (rc *routerCounters) sum(r *reading, ports int, exists func(subject) bool) {
	r.sums = counts{maps.Clone(rc.sums.few), maps.Clone(rc.sums.ports)}
	if rc.kept != nil {
		r.sums = newCounts()
		r.sums.raise(rc.kept.Before)
	}
	for about, t := range r.counted.all() {
		r.sums.add(about, t)
	}
	if rc.kept != nil {
		r.resume(rc.kept)
	}
	for about := range r.sums.all() {
		if _, there := r.there.of(about)[about]; about.kind != routing.KindInterface && !there && !exists(about) {
			delete(r.sums.of(about), about)
		}
	}
	r.top = r.sums.ports.most(rc.router, ports)
}

// settle makes r the last reading. It is called after sum.
func (rc *routerCounters) settle(r *reading) {
	rc.last, rc.taken, rc.at, rc.kept, rc.sums, rc.top = r.last, r.began, r.at, nil, r.sums, r.top
	rc.there = r.there.few
	for about := range rc.reported {
		if _, ok := rc.sums.ports[about]; !ok {
			delete(rc.reported, about)
		} else if t, ok := r.there.ports[about]; ok {
			rc.there[about] = t
		}
	}
	for _, p := range rc.top {
		if t, ok := r.there.ports[p.subject()]; ok {
			rc.there[p.subject()] = t
		}
	}
}

// most returns the n ports with the most packets, or all ports if n < 0.
func (s sums) most(router string, n int) (best []Port) {
	if n == 0 {
		return nil
	}
	cut := func() {
		slices.SortFunc(best, mostPackets)
		if n > 0 {
			best = best[:min(n, len(best))]
		}
	}
	for about, t := range s {
		best = append(best, Port{router, about.iface, about.id, t})
		if n > 0 && len(best) >= 4*n { // limits memory and sorting
			cut()
		}
	}
	cut()
	return slices.Clip(best)
}
