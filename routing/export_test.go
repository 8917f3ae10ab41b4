package routing

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Homes returns how many ports x knows the network of.
func Homes(x *Index) int { return x.homes.Len() }

// Beyond returns the route of r that keeps the kernel from taking via as an IPv6
// next hop; nil if none does.
func Beyond(r *Router, via netip.Addr) *Route { return r.beyond(via) }

// Dump returns all that x knows, one thing a line.
func Dump(x *Index) string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for n := range x.networks.All() {
		add("network %+v", n.Network)
		for p := range n.ports.All() {
			add("%s has port %+v", n.ID, p)
		}
		for m := range n.macs.All() {
			add("%s has %v of %v", n.ID, m.mac, m.owner)
		}
		for a := range n.addrs.All() {
			add("%s has %v of %v", n.ID, a.addr, a.owner)
		}
		for _, l := range n.legs {
			add("%s has interface %+v of %s, which is the router's: %v", n.ID, *l.Interface, l.Router.ID, x.Router(l.Router.ID) == l.Router)
		}
	}
	for r := range x.routers.All() {
		add("router %+v", *r)
	}
	for h := range x.homes.All() {
		add("home %+v", h)
	}
	for c := range x.names.All() {
		add("claim %+v", c)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
