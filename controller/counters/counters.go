// Package counters adds up what the flows of switches have counted. Flows come
// and go and daemons restart; what is told here only grows.
//
// A [Reader] for each connection reads its switch on request; a [Book]
// has the sums, and keeps them in a file before anybody sees them.
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

// A Snapshot is what the switches have counted. What is there at all never goes
// back, also when flows are installed anew or the daemon restarts.
type Snapshot struct {
	At      time.Duration // when it was taken, since the daemon began
	Routers []Router      // in the order of the sources
	Ports   []Port        // those with the most packets first, as many as [Config.Ports] says
}

// A Router is what the switch of one router has counted.
type Router struct {
	Router string
	// Known says that there are counters: its switch was read, or the daemon
	// before this one has left some.
	Known      bool
	Read       bool          // the switch was read
	Age        time.Duration // since then, if it was
	Connected  bool
	Load       ofconn.Load // of the connection, if there is one
	Total      ByRole      // of flows that belong to no single interface
	Interfaces []Object    // in the order of the intent
	Routes     []Object    // in the order of the intent
}

// An Object counts the packets that hit the flows of one interface, including
// those of what is behind it, so that packets which are routed out of it have
// [compile.RoleDeliver] or [compile.RoleExtra]; or those of one route.
type Object struct {
	ID     string // of a route: its destination
	ByRole ByRole
}

// ByRole counts by the role of flows.
type ByRole map[compile.Role]Tally

// Sum returns the sum of roles.
func (b ByRole) Sum(roles ...compile.Role) (t Tally) {
	for _, role := range roles {
		t.add(b[role])
	}
	return t
}

// Routed returns what the switch routed out of an interface.
func (b ByRole) Routed() Tally { return b.Sum(compile.RoleDeliver, compile.RoleExtra) }

// fallbackReasons are the roles of flows that hand packets to the kernel, by
// the reason that people are told.
var fallbackReasons = map[string][]compile.Role{
	"ttl":       {compile.RoleTTL},
	"mtu":       {compile.RoleTooBig},
	"exception": {compile.RoleException, compile.RoleKernel},
	"no_route":  {compile.RoleNoRoute},
	"unknown":   {compile.RoleUnknown},
	"other":     {compile.RoleFallback},
}

// LimitedKinds are the roles of what meters have dropped, by the kind that people
// are told.
var LimitedKinds = map[string]compile.Role{
	"resolution": compile.RoleLimitedResolution,
	"echo":       compile.RoleLimitedEcho,
	"ttl":        compile.RoleLimitedTTL,
	"unknown":    compile.RoleLimitedUnknown,
}

// Limited returns how many packets of an interface meters have dropped, by kind:
// resolution, echo, ttl and unknown.
func (b ByRole) Limited() map[string]uint64 {
	out := make(map[string]uint64, len(LimitedKinds))
	for kind, role := range LimitedKinds {
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

// A Port counts the packets that were routed to a port.
type Port struct {
	Router, Interface, Port string
	Tally
}

const (
	// budget is how long [Book.Snapshot] waits for switches.
	budget = 30 * time.Millisecond
	// timeout is how long a switch may take to answer one request.
	timeout = 5 * time.Second
)

// Config is what a [Book] is told at its start.
type Config struct {
	// File keeps what was counted while no daemon runs; "" means that nothing does.
	File string
	// Ports is how many ports, those with the most packets, a snapshot has; 0
	// means none, less than 0 all.
	Ports int
	// Refused is called when counters of a router were not added, because they
	// have grown by more than is possible.
	Refused func(router string, j *Jump)
	// Limited is called with how many packets of an interface meters have dropped since
	// the reading before, by one of the words of [LimitedKinds].
	Limited func(router, iface, kind string, packets int)
	// Unkept is called when the file could not be written.
	Unkept func(error)
	Log    *zap.Logger
}

// A Book has the sums. Its methods may be called from any goroutine.
type Book struct {
	cfg   Config
	began time.Time

	mu      sync.Mutex // protects what follows, and what is in it
	loaded  bool       // the file was read
	routers map[string]*routerCounters
	news    bool // something was counted that the file does not have
}

// NewBook returns a Book without sums: it reads the file when it is first asked.
func NewBook(cfg Config) *Book { return &Book{cfg: cfg, began: time.Now()} }

// A Source is a router whose counters are wanted.
type Source struct {
	Router *routing.Router
	Reader *Reader // of its switch; nil: it is not connected
}

// Snapshot returns what the connected switches have counted: up to a second ago
// where that can be found out at once, as it can unless there are very many
// flows; else as of the last time that a switch was read. It sees to it that they
// are read, and never waits for long.
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
		if told := b.routers[p.Router].told; !told[p.subject()] {
			told[p.subject()], b.news = true, true
		}
	}
	if b.news { // before they are shown
		b.keep()
		b.news = false
	}
	return out
}

// Glance returns what Snapshot does, without ports, for a caller that looks all day and
// shows only differences. It writes no file, and requests readings of switches that take
// long at most for one part in glanceShare of the time.
func (b *Book) Glance(ctx context.Context, sources []Source) Snapshot {
	await(ctx, sources, (*Reader).glance)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snapshot(sources)
}

// await requests readings with ask, and waits for them, but not for long.
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
		r := rc.tell(src.Router)
		if src.Reader != nil {
			r.Connected, r.Load = true, src.Reader.conn.Load()
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

// tell returns what there is of r.
func (rc *routerCounters) tell(r *routing.Router) Router {
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

// mostPackets orders ports by what they were sent, and then by name.
func mostPackets(a, b Port) int {
	return cmp.Or(cmp.Compare(b.Packets, a.Packets), strings.Compare(a.Router, b.Router), strings.Compare(a.Port, b.Port), strings.Compare(a.Interface, b.Interface))
}
