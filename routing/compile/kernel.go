package compile

import (
	"net/netip"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A Kernel describes how a router's namespace differs from the intent. It selects the packets
// that flows would match but that the kernel routes differently. It is immutable. A
// [KernelReader] makes a Kernel.
type Kernel struct {
	// Local has the destinations in the local table: addresses of the namespace on any link,
	// and broadcast and anycast addresses. It does not include those of the router's
	// interfaces that are up. The prefixes do not overlap.
	Local []netip.Prefix
	// Routes has the destinations of other programs' routes in the main table that the kernel
	// prefers to connected subnets and extra routes. Such a route has a longer prefix, or the
	// same prefix and a smaller metric.
	Routes []netip.Prefix
	// Choices selects the packets for which policy rules decide before the main table.
	Choices []KernelChoice
	// Crowded has the prefixes in Routes and Choices that stand for more than
	// [MaxKernelRoutes] routes.
	Crowded []netip.Prefix
}

// A KernelChoice selects packets by their addresses.
type KernelChoice struct{ From, To netip.Prefix }

// MaxKernelRoutes limits the flows for routes of the namespace inside one connected subnet or
// extra route. Up to this number, each route gets a flow. Beyond it, one flow sends all
// packets for the subnet or extra route to the kernel.
const MaxKernelRoutes = 1000

// Equal reports whether k and l are equal; either may be nil.
func (k *Kernel) Equal(l *Kernel) bool {
	if k == nil || l == nil || k == l {
		return k == l
	}
	return slices.Equal(k.Local, l.Local) && slices.Equal(k.Routes, l.Routes) &&
		slices.Equal(k.Choices, l.Choices) && slices.Equal(k.Crowded, l.Crowded)
}

// Others returns how many addresses, routes and policy rules of k do not come from r.
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

// FromKernel reports whether flows of role r depend on the namespace. Until the namespace has
// been read, these flows must not be deleted.
func (r Role) FromKernel() bool { return slices.Contains(kernelRoles[:], r) }

// kernel emits the flows that send packets to the kernel if it routes them differently.
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

// prio returns the priority of the flow for c. Overlapping choices have different priorities.
func (c KernelChoice) prio() uint16 { return uint16(prioChoice + 129*c.From.Bits() + c.To.Bits()) }

// ownPrefixes returns the results of [leg.own] for all interfaces.
func (c *compiler) ownPrefixes() map[netip.Prefix]bool {
	own := make(map[netip.Prefix]bool)
	for i := range c.legs {
		for _, p := range c.legs[i].own() {
			own[p] = true
		}
	}
	return own
}

// own returns the entries of the kernel's local table for l's addresses. These are the addresses
// themselves, the broadcast addresses of IPv4 subnets, and the subnet-router anycast addresses of
// IPv6 subnets (RFC 4291 §2.6.1). An IPv6 subnet with two addresses has no anycast address (RFC
// 6164). Before 5.14, Linux treats the lowest address of an IPv4 subnet as a broadcast address too.
func (l *leg) own() (out []netip.Prefix) {
	add := func(a netip.Addr) {
		if p := alone(a); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, p := range l.Addresses {
		switch a := p.Addr(); {
		case linkLocal(a): // all link-local addresses go to the kernel
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
