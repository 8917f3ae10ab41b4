package routing

import (
	"fmt"
	"slices"
	"strings"
)

// Dump returns the contents of x, one item per line.
func Dump(x *Index) string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for h := range x.hosts.All() {
		add("host %+v", *h)
	}
	for g := range x.guests.All() {
		add("guest %+v", g)
	}
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
