// Package counters adds up the counters of the switches' flows. The sums never decrease, even
// when flows are deleted or daemons restart.
//
// Each connection has a [Reader], which reads the switch on request. A [Book] has the sums,
// and saves them in a file before it reports them.
package counters

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A Tally counts packets and their bytes.
type Tally struct{ Packets, Bytes uint64 }

func (t *Tally) add(u Tally) {
	t.Packets += u.Packets
	t.Bytes += u.Bytes
}

// A Snapshot has the counters of all routers. They never decrease, even when flows are
// installed again or the daemon restarts.
type Snapshot struct {
	At      time.Duration // time of the snapshot, since the start of the daemon
	Routers []Router      // in the order of the sources
	Ports   []Port        // ports with the most packets first, at most [Config.Ports]
	Fabric  *Router       // the fabric bridge; nil if no network spans hosts
}

// A Router has the counters of one router's switch.
type Router struct {
	Router string
	// Known means that the counters are known: the switch was read, or the previous daemon saved
	// them.
	Known      bool
	Read       bool          // the switch was read
	Age        time.Duration // time since the reading; only if Read
	Connected  bool
	Load       ofconn.Load // load of the connection, if Connected
	Total      ByRole      // counters of flows that do not belong to a single interface
	Interfaces []Object    // in the order of the intent
	Routes     []Object    // in the order of the intent
}

// An Object has the counters of one interface or route. The counters of an interface include
// the flows of its ports. Packets that were routed out of the interface have
// [compile.RoleDeliver] or [compile.RoleExtra].
type Object struct {
	ID     string // the ID; for a route, its destination
	ByRole ByRole
}

// ByRole has a Tally for each role of flows.
type ByRole map[compile.Role]Tally

// Sum returns the sum of roles.
func (b ByRole) Sum(roles ...compile.Role) (t Tally) {
	for _, role := range roles {
		t.add(b[role])
	}
	return t
}

// Routed returns the packets that the switch routed out of an interface.
func (b ByRole) Routed() Tally { return b.Sum(compile.RoleDeliver, compile.RoleExtra) }

// fallbackReasons maps a reason in metrics and texts to the roles of flows that hand packets to the
// kernel for this reason.
var fallbackReasons = map[string][]compile.Role{
	"ttl":       {compile.RoleTTL},
	"mtu":       {compile.RoleLarger},
	"exception": {compile.RoleException, compile.RoleKernel},
	"no_route":  {compile.RoleNoRoute},
	"unknown":   {compile.RoleUnknown},
	"other":     {compile.RoleFallback},
}

// LimitedKinds maps a kind of limit in metrics and texts to the role of packets that meters of this
// kind have dropped.
var LimitedKinds = map[string]compile.Role{
	"resolution": compile.RoleLimitedResolution,
	"echo":       compile.RoleLimitedEcho,
	"ttl":        compile.RoleLimitedTTL,
	"unknown":    compile.RoleLimitedUnknown,
}

// lost has the roles of packets that the fabric bridge has dropped, by the reason in metrics.
var lost = map[string]compile.Role{
	"unknown":   compile.RoleUnreached,
	"broadcast": compile.RoleConfined,
	"elsewhere": compile.RoleAstray,
	"crowded":   compile.RoleCrowded,
	"imposter":  compile.RoleImposter,
	"forged":    compile.RoleForged,
	"unmatched": compile.RoleDrop,
	"flood":     compile.RoleLimitedFlood,
	"hello":     compile.RoleLimitedHello,
}

// Carried returns the packets that the fabric bridge sent to other hosts, and received from them,
// through tunnels.
func (b ByRole) Carried() (sent, received Tally) {
	return b.Sum(compile.RoleTunnelOut, compile.RoleFlood), b[compile.RoleTunnel]
}

// Lost returns the number of packets that the fabric bridge has dropped, by reason: unknown,
// broadcast, elsewhere, crowded, imposter, forged, unmatched, flood and hello.
func (b ByRole) Lost() map[string]uint64 {
	out := make(map[string]uint64, len(lost))
	for reason, role := range lost {
		out[reason] = b[role].Packets
	}
	return out
}

// Limited returns the number of packets of an interface that meters have dropped, by kind:
// resolution, echo, ttl and unknown.
func (b ByRole) Limited() map[string]uint64 {
	out := make(map[string]uint64, len(LimitedKinds))
	for kind, role := range LimitedKinds {
		out[kind] = b[role].Packets
	}
	return out
}

// Fallback returns the number of packets of an interface that were handed to the kernel, or dropped
// for lack of a namespace. The keys are the reasons: ttl, mtu, exception, no_route, unknown and
// other.
func (b ByRole) Fallback() map[string]uint64 {
	out := make(map[string]uint64, len(fallbackReasons))
	for reason, roles := range fallbackReasons {
		out[reason] = b.Sum(roles...).Packets
	}
	return out
}

// A Port counts the packets that were routed to a port.
type Port struct {
	Router, Interface, Port string
	Tally
}

const (
	// budget is the time that [Book.Snapshot] waits for switches.
	budget = 30 * time.Millisecond
	// timeout is the time that a switch may take to answer one request.
	timeout = 5 * time.Second
)

// Config configures a [Book].
type Config struct {
	// File keeps the counters while no daemon runs. If it is "", they are lost.
	File string
	// Ports is the number of ports in a snapshot. Ports with the most packets come first. 0
	// means no ports, and a negative number means all ports.
	Ports int
	// Refused is called when counters of a router were not added, because they grew by an
	// implausible amount.
	Refused func(router string, j *Jump)
	// Limited is called with the number of packets of an interface that meters have dropped since
	// the previous reading. kind is a key of [LimitedKinds]. For broadcasts that the fabric bridge
	// dropped, kind is flood, and iface is "".
	Limited func(router, iface, kind string, packets int)
	// SaveFailed is called when the file could not be written.
	SaveFailed func(error)
	Log        *zap.Logger
}

// A Book has the sums. Its methods are safe for concurrent use.
type Book struct {
	cfg   Config
	began time.Time

	mu      sync.Mutex // guards the fields below, and the values that they refer to
	loaded  bool       // the file has been read
	routers map[string]*routerCounters
	news    bool // packets were counted that are not in the file yet
}

// NewBook returns an empty Book. It reads the file at the first Snapshot or reading.
func NewBook(cfg Config) *Book { return &Book{cfg: cfg, began: time.Now()} }

// A Source is a router for a [Book.Snapshot].
type Source struct {
	Router *routing.Router
	Reader *Reader // reads the router's switch; nil if not connected
}

// Snapshot requests readings of the connected switches and returns the counters. It waits for a
// short time only (budget). Usually this is enough for current values (maxAge). If a switch has
// very many flows, its counters come from its latest reading.
func (b *Book) Snapshot(ctx context.Context, sources []Source) Snapshot {
	await(ctx, sources, (*Reader).ask)
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.snapshot(sources)
	for _, src := range sources {
		out.Ports = append(out.Ports, b.routers[src.Router.ID].top...)
	}
	slices.SortFunc(out.Ports, mostPackets)
	if b.cfg.Ports >= 0 && len(out.Ports) > b.cfg.Ports {
		out.Ports = out.Ports[:b.cfg.Ports]
	}
	for _, p := range out.Ports {
		if reported := b.routers[p.Router].reported; !reported[p.subject()] {
			reported[p.subject()], b.news = true, true
		}
	}
	if b.news { // counters must be saved before they are reported
		b.save()
		b.news = false
	}
	return out
}

// Glance is like Snapshot, but without ports. It is for a caller that polls permanently and needs
// only differences, so it writes no file. It reads a slow switch during at most 1/glanceShare of
// the time.
func (b *Book) Glance(ctx context.Context, sources []Source) Snapshot {
	await(ctx, sources, (*Reader).glance)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snapshot(sources)
}

// await requests readings with ask. It waits for them, but not longer than budget.
func await(ctx context.Context, sources []Source, ask func(*Reader) <-chan struct{}) {
	var reading []<-chan struct{}
	for _, src := range sources {
		if src.Reader != nil {
			if done := ask(src.Reader); done != nil {
				reading = append(reading, done)
			}
		}
	}
	enough, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	for _, done := range reading {
		select {
		case <-done:
		case <-enough.Done():
		}
	}
}

// snapshot returns the sums of routers, and forgets other routers. The caller holds mu.
func (b *Book) snapshot(sources []Source) (out Snapshot) {
	b.load()
	all := make(map[string]*routerCounters, len(sources))
	for _, src := range sources {
		id := src.Router.ID
		rc := b.of(id)
		all[id] = rc
		r := rc.snapshot(src.Router)
		if src.Reader != nil {
			r.Connected, r.Load = true, src.Reader.conn.Load()
		}
		if id == routing.FabricBridge {
			out.Fabric = &r
			continue
		}
		out.Routers = append(out.Routers, r)
	}
	b.routers = all
	out.At = time.Since(b.began)
	return out
}

// of returns the counters of a router.
func (b *Book) of(router string) *routerCounters {
	rc := b.routers[router]
	if rc == nil {
		rc = newRouterCounters(router)
		b.routers[router] = rc
	}
	return rc
}

// snapshot returns the counters of r.
func (rc *routerCounters) snapshot(r *routing.Router) Router {
	out := Router{Router: r.ID, Read: !rc.taken.IsZero(), Total: make(ByRole)}
	out.Known = out.Read || rc.kept != nil
	if out.Read {
		out.Age = time.Since(rc.taken)
	}
	interfaces, routes := make(map[string]ByRole), make(map[string]ByRole)
	interfaces[""] = out.Total
	list := func(ids map[string]ByRole, to *[]Object, id string) {
		ids[id] = make(ByRole)
		*to = append(*to, Object{id, ids[id]})
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

// mostPackets orders ports by descending number of packets, and then by name.
func mostPackets(a, b Port) int {
	return cmp.Or(cmp.Compare(b.Packets, a.Packets), strings.Compare(a.Router, b.Router), strings.Compare(a.Port, b.Port), strings.Compare(a.Interface, b.Interface))
}
