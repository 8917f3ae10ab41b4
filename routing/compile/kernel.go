package compile

import (
	"net/netip"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A Kernel is what has been observed of a router's namespace: where its kernel
// routes packets in another way than the intent says, and flows would take them.
// It is immutable. A [KernelReader] makes one.
type Kernel struct {
	// Local are the destinations in the local table besides what interfaces of the
	// router that are up have: other addresses of the namespace, on whatever link, and
	// broadcast and anycast addresses. None contains another.
	Local []netip.Prefix
	// Routes are destinations of others' routes in the main table that win over
	// connected subnets and extra routes: longer prefixes, and the same where
	// their metric is smaller.
	Routes []netip.Prefix
	// Choices are what policy rules decide before the main table is consulted.
	Choices []KernelChoice
	// Crowded are the prefixes of Routes and Choices that stand for more routes
	// than [MaxKernelRoutes].
	Crowded []netip.Prefix
}

// A KernelChoice selects packets by their addresses.
type KernelChoice struct{ From, To netip.Prefix }

// MaxKernelRoutes is how many routes of the namespace inside one connected subnet
// or extra route get a flow each. If there are more, the whole of it is handed to
// the kernel.
const MaxKernelRoutes = 1000

// Equal reports whether k and l are the same; either may be nil.
func (k *Kernel) Equal(l *Kernel) bool {
	if k == nil || l == nil || k == l {
		return k == l
	}
	return slices.Equal(k.Local, l.Local) && slices.Equal(k.Routes, l.Routes) &&
		slices.Equal(k.Choices, l.Choices) && slices.Equal(k.Crowded, l.Crowded)
}

// Others returns how many addresses, routes and policy rules of k are not those
// that r brings.
func (k *Kernel) Others(r *routing.Router) (addresses, routes, rules int) {
	own := make(map[netip.Prefix]bool)
	for i := range r.Interfaces {
		for _, p := range (&leg{Interface: &r.Interfaces[i]}).own() {
			own[p] = true
		}
	}
	for _, p := range k.Local {
		if !own[p] {
			addresses++
		}
	}
	return addresses, len(k.Routes), len(k.Choices)
}

// kernelRoles are the roles of flows that depend on the Kernel.
var kernelRoles = [...]Role{RoleOwn, RoleForeign}

// FromKernel reports whether flows of role r depend on what has been observed of
// the namespace: as long as that is not known, nobody can say that one is wrong.
func (r Role) FromKernel() bool { return slices.Contains(kernelRoles[:], r) }

// kernel emits what hands to the kernel what it routes in another way.
func (c *compiler) kernel() {
	if c.source.kernel == nil {
		return
	}
	k, toKernel := c.source.kernel, ofproto.GotoTable(tableKernel)
	own := c.ownPrefixes()
	for _, p := range k.Local {
		if !own[p] {
			c.emit(c.about(), RoleOwn, tableLocal, prioLocal-1, familyOf(p.Addr()).match(dst(p)), toKernel)
		}
	}
	for _, p := range k.Routes {
		c.emit(c.about(), RoleForeign, tableRoute, prio(p, prioForeign), familyOf(p.Addr()).match(dst(p)), toKernel)
	}
	for _, r := range k.Choices {
		c.emit(c.about(), RoleForeign, tableRoute, r.prio(), familyOf(r.To.Addr()).match(src(r.From), dst(r.To)), toKernel)
	}
}

// prio returns the priority of the flow for c. Two that overlap have different
// ones.
func (c KernelChoice) prio() uint16 { return uint16(prioChoice + 129*c.From.Bits() + c.To.Bits()) }

// ownPrefixes returns what all interfaces take for themselves.
func (c *compiler) ownPrefixes() map[netip.Prefix]bool {
	own := make(map[netip.Prefix]bool)
	for i := range c.legs {
		for _, p := range c.legs[i].own() {
			own[p] = true
		}
	}
	return own
}

// own returns the addresses that the kernel takes for itself because l has its
// addresses: these, the broadcast addresses of IPv4 subnets (which Linux before
// 5.14 takes the lowest for, too), and the anycast address that all routers of an
// IPv6 subnet have (RFC 4291 §2.6.1), but for those of RFC 6164.
func (l *leg) own() (out []netip.Prefix) {
	add := func(a netip.Addr) {
		if p := alone(a); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, p := range l.Addresses {
		switch a := p.Addr(); {
		case linkLocal(a): // all of these are the kernel's
		case a.Is6() && p.Bits() < 127:
			add(a)
			add(p.Masked().Addr())
		case a.Is4() && p.Bits() < 31:
			add(a)
			add(p.Masked().Addr())
			add(routing.LastAddr(p))
		default:
			add(a)
		}
	}
	return out
}
