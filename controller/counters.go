package controller

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
)

// A Tally counts packets and their bytes.
type Tally struct{ Packets, Bytes uint64 }

func (t *Tally) add(u Tally) {
	t.Packets += u.Packets
	t.Bytes += u.Bytes
}

// Counters are what the switches have counted. What is there at all never goes
// back, also when flows are installed anew or the daemon restarts.
type Counters struct {
	At      time.Duration    // when they were told, since the daemon began
	Routers []RouterCounters // by ID
	Ports   []PortCounters   // those with the most packets first, as many as [Config.Ports] says
}

// RouterCounters are what the switch of one router has counted.
type RouterCounters struct {
	Router string
	// Known says that there are counters: its switch was read, or the daemon
	// before this one has left some.
	Known      bool
	Read       bool          // the switch was read
	Age        time.Duration // since then, if it was
	Connected  bool
	Load       ofconn.Load    // of the connection, if there is one
	Total      ByRole         // of flows that belong to no single interface
	Interfaces []RoleCounters // in the order of the intent
	Routes     []RoleCounters // in the order of the intent
}

// RoleCounters count the packets that hit the flows of one object: of an
// interface also those of what is behind it, so that packets which are routed out of
// it have [routing.RoleDeliver] or [routing.RoleExtra].
type RoleCounters struct {
	ID     string // of a route: its destination
	ByRole ByRole
}

// ByRole counts by the role of flows.
type ByRole map[routing.Role]Tally

// Sum returns the sum of roles.
func (b ByRole) Sum(roles ...routing.Role) (t Tally) {
	for _, role := range roles {
		t.add(b[role])
	}
	return t
}

// Routed returns what the switch routed out of an interface.
func (b ByRole) Routed() Tally { return b.Sum(routing.RoleDeliver, routing.RoleExtra) }

// fallbackReasons are the roles of flows that hand packets to the kernel, by
// the reason that people are told.
var fallbackReasons = map[string][]routing.Role{
	"ttl":       {routing.RoleTTL},
	"mtu":       {routing.RoleTooBig},
	"exception": {routing.RoleException, routing.RoleKernel},
	"no_route":  {routing.RoleNoRoute},
	"unknown":   {routing.RoleUnknown},
	"other":     {routing.RoleFallback},
}

// limitedKinds are the roles of what meters have dropped, by the kind that people
// are told.
var limitedKinds = map[string]routing.Role{
	"resolution": routing.RoleLimitedResolution,
	"echo":       routing.RoleLimitedEcho,
	"ttl":        routing.RoleLimitedTTL,
	"unknown":    routing.RoleLimitedUnknown,
}

// Limited returns how many packets of an interface meters have dropped, by kind:
// resolution, echo, ttl and unknown.
func (b ByRole) Limited() map[string]uint64 {
	out := make(map[string]uint64, len(limitedKinds))
	for kind, role := range limitedKinds {
		out[kind] = b[role].Packets
	}
	return out
}

// Fallback returns how many packets of an interface were handed to the kernel, or
// dropped where the router has no namespace, by reason: ttl, mtu, exception,
// no_route, unknown and other.
func (b ByRole) Fallback() map[string]uint64 {
	out := make(map[string]uint64, len(fallbackReasons))
	for reason, roles := range fallbackReasons {
		out[reason] = b.Sum(roles...).Packets
	}
	return out
}

// PortCounters count the packets that were routed to a port.
type PortCounters struct {
	Router, Interface, Port string
	Tally
}

const (
	// countersBudget is how long [Controller.Counters] waits for switches.
	countersBudget = 30 * time.Millisecond
	// countersTimeout is how long a switch may take to answer one request.
	countersTimeout = 5 * time.Second
)

// counters turn the counters of flows, which come and go, into sums that only
// grow.
type counters struct {
	file  string // keeps them while no daemon runs; "" means that nothing does
	ports int    // how many ports are told; negative: all

	mu      sync.Mutex // protects what follows, and what is in it
	loaded  bool       // the file was read
	routers map[string]*routerCounters
	news    bool // something was counted that the file does not have
}

// Counters returns what the connected switches have counted: up to a second ago
// where that can be found out at once, as it can unless there are very many
// flows; else as of the last time that a switch was read. It sees to it that they
// are read, and never waits for long.
func (c *Controller) Counters(ctx context.Context) (Counters, error) {
	type source struct {
		router  *routing.Router
		session *session
	}
	sources, err := ask(ctx, c, func(w *world) (all []source) {
		for _, st := range w.sorted() {
			all = append(all, source{st.router, st.session})
		}
		return all
	})
	if err != nil {
		return Counters{}, err
	}
	var reading []<-chan struct{}
	for _, src := range sources {
		if src.session != nil {
			if done := src.session.reads.ask(); done != nil {
				reading = append(reading, done)
			}
		}
	}
	enough, cancel := context.WithTimeout(ctx, countersBudget)
	defer cancel()
	for _, done := range reading {
		select {
		case <-done:
		case <-enough.Done():
		}
	}
	t := &c.counters
	t.mu.Lock()
	defer t.mu.Unlock()
	c.loadCounters()
	all := make(map[string]*routerCounters, len(sources))
	var out Counters
	for _, src := range sources {
		id := src.router.ID
		rc := t.of(id)
		all[id] = rc
		r := rc.tell(src.router)
		if src.session != nil {
			r.Connected, r.Load = true, src.session.conn.Load()
		}
		out.Routers = append(out.Routers, r)
		out.Ports = append(out.Ports, rc.top...)
	}
	t.routers = all
	out.At = time.Since(c.began)
	slices.SortFunc(out.Ports, mostPackets)
	if t.ports >= 0 && len(out.Ports) > t.ports {
		out.Ports = out.Ports[:t.ports]
	}
	for _, p := range out.Ports {
		if told := all[p.Router].told; !told[p.subject()] {
			told[p.subject()], t.news = true, true
		}
	}
	if t.news { // before anybody sees them
		c.keepCounters()
		t.news = false
	}
	return out, nil
}

// of returns the counters of a router.
func (t *counters) of(router string) *routerCounters {
	rc := t.routers[router]
	if rc == nil {
		rc = newRouterCounters(router)
		t.routers[router] = rc
	}
	return rc
}

// tell returns what there is of r.
func (rc *routerCounters) tell(r *routing.Router) RouterCounters {
	out := RouterCounters{Router: r.ID, Read: !rc.taken.IsZero(), Total: make(ByRole)}
	out.Known = out.Read || rc.kept != nil
	if out.Read {
		out.Age = time.Since(rc.taken)
	}
	interfaces, routes := make(map[string]ByRole), make(map[string]ByRole)
	interfaces[""] = out.Total
	list := func(ids map[string]ByRole, to *[]RoleCounters, id string) {
		ids[id] = make(ByRole)
		*to = append(*to, RoleCounters{id, ids[id]})
	}
	for i := range r.Interfaces {
		list(interfaces, &out.Interfaces, r.Interfaces[i].ID)
	}
	for i := range r.Routes {
		list(routes, &out.Routes, r.Routes[i].Destination.String())
	}
	for about, n := range rc.sums.few {
		ids := interfaces
		if about.kind == routing.KindRoute {
			ids = routes
		}
		if byRole := ids[about.id]; byRole != nil {
			byRole[about.role] = n
		}
	}
	return out
}

// mostPackets orders ports by what they were sent, and then by name.
func mostPackets(a, b PortCounters) int {
	return cmp.Or(cmp.Compare(b.Packets, a.Packets), strings.Compare(a.Router, b.Router), strings.Compare(a.Port, b.Port), strings.Compare(a.Interface, b.Interface))
}
