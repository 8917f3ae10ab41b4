package compile

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/ofdvr/ofdvr/routing"
)

// Table numbers, see rtnetlink(7).
const (
	kernelMain  = 254
	kernelLocal = 255
)

// A KernelRule is a policy rule of a namespace that may apply to forwarded packets.
type KernelRule struct {
	IPv6     bool
	Decides  bool         // the rule looks up no table, so its packets never reach the main table; or it jumps to another rule
	Table    uint32       // if not Decides
	From, To netip.Prefix // selects packets by source and destination; zero selects all
	Partly   bool         // the rule selects only some packets with these addresses, or ignores some routes
}

// A KernelRoute is a route of a namespace.
type KernelRoute struct {
	Table       uint32
	Destination netip.Prefix
	Metric      int
	// Declared means that the route comes from the intent: it is for the subnet of a router
	// address, or an extra route.
	Declared bool
	Partly   bool // the route is for some packets to Destination only, and precedes the routes for all packets
	Throw    bool // the lookup continues with the next rule
}

// A KernelReader makes a [Kernel] from the contents of a namespace. The caller first adds all
// rules, in the order in which the kernel applies them, and then the routes, in the order in
// which the kernel lists them.
type KernelReader struct {
	own       map[netip.Prefix]bool // entries of the local table for interfaces that are up
	served    map[netip.Prefix]bool // connected subnets (true) and extra routes (false)
	lengths   [len(families)][]int  // prefix lengths of served, longest first
	sorted    []netip.Prefix        // the prefixes in served
	past      [len(families)]bool   // the main table has been reached
	choices   map[table][]KernelChoice
	perPrefix map[netip.Prefix]int // number of routes inside a served prefix
	perChoice map[KernelChoice]int // number of routes for a choice

	declared map[netip.Prefix]bool // served prefixes that the kernel has listed
	local    map[netip.Prefix]bool
	rivals   map[netip.Prefix]bool         // served prefixes that other programs also have a route for; true if the kernel prefers that route in any case
	routes   map[netip.Prefix]netip.Prefix // routes inside served prefixes; the value is the served prefix that contains the route
	chosen   map[KernelChoice]KernelChoice // choices; the value replaces a choice if too many routes belong to it
}

type table struct {
	family
	number uint32
}

// NewKernelReader returns a reader for the namespace of r.
func NewKernelReader(r *routing.Router) *KernelReader {
	k := &KernelReader{
		served: make(map[netip.Prefix]bool), own: make(map[netip.Prefix]bool),
		choices: make(map[table][]KernelChoice), perPrefix: make(map[netip.Prefix]int), perChoice: make(map[KernelChoice]int),
		declared: make(map[netip.Prefix]bool), rivals: make(map[netip.Prefix]bool), local: make(map[netip.Prefix]bool),
		routes: make(map[netip.Prefix]netip.Prefix), chosen: make(map[KernelChoice]KernelChoice),
	}
	for i := range r.Routes {
		k.served[r.Routes[i].Destination] = false
	}
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		for _, p := range f.Addresses {
			if !linkLocal(p.Addr()) {
				k.served[p.Masked()] = true
			}
		}
		for _, p := range (&leg{Interface: f}).own() {
			if !f.Down { // a down interface has no flows
				k.own[p] = true
			}
		}
	}
	for p := range k.served {
		k.sorted = append(k.sorted, p)
		if v := familyOf(p.Addr()); !slices.Contains(k.lengths[v], p.Bits()) {
			k.lengths[v] = append(k.lengths[v], p.Bits())
		}
	}
	slices.SortFunc(k.sorted, netip.Prefix.Compare)
	for _, v := range families {
		slices.SortFunc(k.lengths[v], func(a, b int) int { return cmp.Compare(b, a) })
	}
	return k
}

// around returns the longest served prefix that contains p.
func (k *KernelReader) around(p netip.Prefix) (netip.Prefix, bool) {
	for _, n := range k.lengths[familyOf(p.Addr())] {
		if n <= p.Bits() {
			if q, _ := p.Addr().Prefix(n); has(k.served, q) {
				return q, true
			}
		}
	}
	return netip.Prefix{}, false
}

// inside reports whether a served prefix is inside p, or equal to p.
func (k *KernelReader) inside(p netip.Prefix) bool {
	i, _ := slices.BinarySearchFunc(k.sorted, p, func(q, p netip.Prefix) int { return q.Addr().Compare(p.Addr()) })
	for ; i < len(k.sorted) && p.Contains(k.sorted[i].Addr()); i++ {
		if k.sorted[i].Bits() >= p.Bits() {
			return true
		}
	}
	return false
}

func has[K comparable, V any](m map[K]V, key K) bool { _, ok := m[key]; return ok }

// Rule adds a rule.
func (k *KernelReader) Rule(r KernelRule) {
	v := v4
	if r.IPv6 {
		v = v6
	}
	c := KernelChoice{orAll(r.From, v), orAll(r.To, v)}
	all := c == KernelChoice{v.all(), v.all()} && !r.Partly
	switch {
	case k.past[v]:
	case r.Decides:
		k.chosen[c] = c
		k.past[v] = all
	case r.Table == kernelMain: // if the rule is not for all packets, we assume that later rules decide about all packets
		k.past[v] = all
	case r.Table != kernelLocal:
		k.choices[table{v, r.Table}] = append(k.choices[table{v, r.Table}], c)
	}
}

func orAll(p netip.Prefix, v family) netip.Prefix {
	if p.IsValid() {
		return p
	}
	return v.all()
}

// all returns the prefix of the default route: 0.0.0.0/0 or ::/0.
func (v family) all() netip.Prefix {
	if v == v4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

// Route adds a route.
func (k *KernelReader) Route(r KernelRoute) {
	p := r.Destination
	v := familyOf(p.Addr())
	for _, q := range unroutables[v] {
		if q.Bits() <= p.Bits() && q.Contains(p.Addr()) {
			return // the route has no effect on flows, because no flow matches its packets
		}
	}
	if choices := k.choices[table{v, r.Table}]; choices != nil && !r.Throw {
		for _, c := range choices {
			k.choose(c, p)
		}
		return
	}
	around, found := k.around(p)
	inside := k.inside(p)
	switch {
	case r.Table == kernelLocal && k.own[p]:
	case r.Table == kernelLocal && !r.Throw && inside:
		k.local[p] = true
	case !found:
	case r.Table == kernelLocal && !r.Throw:
		if k.perPrefix[around]++; k.perPrefix[around] <= MaxKernelRoutes {
			k.local[p] = true
		}
	case r.Table != kernelMain:
	case r.Declared:
		k.declared[p] = true
	case p == around:
		k.rivals[p] = k.rivals[p] || k.wins(p, r)
	default:
		if k.perPrefix[around]++; k.perPrefix[around] <= MaxKernelRoutes {
			k.routes[p] = around
		}
	}
}

// wins reports whether the kernel prefers r to the intent's route for the same prefix.
func (k *KernelReader) wins(p netip.Prefix, r KernelRoute) bool {
	metric := 0
	switch {
	case p.Addr().Is6() && k.served[p]:
		metric = 256 // IP6_RT_PRIO_ADDRCONF
	case p.Addr().Is6():
		metric = 1024 // IP6_RT_PRIO_USER
	}
	// If metrics are equal, IPv4 uses the first route. IPv6 may use both.
	return r.Partly || r.Metric < metric || r.Metric == metric && (p.Addr().Is6() || !k.declared[p])
}

// choose records that the kernel looks up packets of c to p in another table before main.
func (k *KernelReader) choose(c KernelChoice, p netip.Prefix) {
	if !p.Overlaps(c.To) {
		return
	}
	to := p
	if c.To.Bits() > p.Bits() {
		to = c.To
	}
	if _, found := k.around(to); !found && !k.inside(to) {
		return
	}
	if k.perChoice[c]++; k.perChoice[c] <= MaxKernelRoutes {
		k.chosen[KernelChoice{c.From, to}] = c
	}
}

// Kernel returns the result.
func (k *KernelReader) Kernel() *Kernel {
	out := new(Kernel)
	for v, past := range k.past {
		if len(k.lengths[v]) > 0 && !past { // the rules do not send all packets to the main table
			out.Choices = append(out.Choices, KernelChoice{family(v).all(), family(v).all()})
		}
	}
	for p, n := range k.perPrefix {
		if n > MaxKernelRoutes {
			out.Routes, out.Crowded = append(out.Routes, p), append(out.Crowded, p)
		}
	}
	for c, n := range k.perChoice {
		if n > MaxKernelRoutes {
			out.Choices, out.Crowded = append(out.Choices, c), append(out.Crowded, c.To)
		}
	}
	for p, around := range k.routes {
		if k.perPrefix[around] <= MaxKernelRoutes {
			out.Routes = append(out.Routes, p)
		}
	}
	for p, wins := range k.rivals {
		if wins || !k.declared[p] {
			out.Routes = append(out.Routes, p)
		}
	}
	for p := range k.local {
		if around, found := k.around(p); !found || k.perPrefix[around] <= MaxKernelRoutes || k.inside(p) {
			out.Local = append(out.Local, p)
		}
	}
	for c, of := range k.chosen {
		if k.perChoice[of] <= MaxKernelRoutes {
			out.Choices = append(out.Choices, c)
		}
	}
	for _, s := range []*[]netip.Prefix{&out.Local, &out.Routes, &out.Crowded} {
		slices.SortFunc(*s, netip.Prefix.Compare)
		*s = slices.Compact(*s)
	}
	out.Local = outermost(out.Local)
	slices.SortFunc(out.Choices, func(a, b KernelChoice) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	out.Choices = slices.Compact(out.Choices)
	return out
}

// outermost returns the sorted prefixes without those that another one contains.
func outermost(all []netip.Prefix) (out []netip.Prefix) {
	for _, p := range all {
		if n := len(out); n == 0 || !out[n-1].Overlaps(p) {
			out = append(out, p)
		}
	}
	return out
}
