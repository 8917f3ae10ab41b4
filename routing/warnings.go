package routing

import (
	"fmt"
	"net/netip"
)

// Warnings returns the parts of m that are valid but probably not intended, in the order of m.
// m must be valid.
func (m *Model) Warnings() []*PathError { return NewIndex(m).Warnings(m) }

// Warnings is [Model.Warnings] for m, a part of the indexed Model. The time depends on the
// size of m and on the number of router interfaces on the networks of m.
func (x *Index) Warnings(m *Model) []*PathError {
	var warnings []*PathError
	warn := func(p path, key, format string, args ...any) {
		where := p.String()
		if key != "" {
			where += "." + key
		}
		warnings = append(warnings, &PathError{where, fmt.Errorf(format, args...)})
	}
	subnets := make(map[string]*subnetTable) // subnets by network; nil if no router has an interface on the network
	subnetsOf := func(network string) *subnetTable {
		t, known := subnets[network]
		if !known {
			if legs := x.Legs(network); len(legs) > 0 {
				t = &subnetTable{has: make(map[netip.Prefix]bool)}
				for _, l := range legs {
					for _, a := range l.Addresses {
						t.add(a)
					}
				}
			}
			subnets[network] = t
		}
		return t
	}
	for i := range m.Hosts {
		if h := &m.Hosts[i]; h.Tunnel == (Tunnel{}) && h.Uplink == "" {
			warn(path{kind: hostPath, i: i}, "", "host %q has neither a tunnel nor an uplink, so no network reaches it", h.ID)
		}
	}
	for i := range m.Networks {
		n, p := &m.Networks[i], path{kind: networkPath, i: i}
		if subnetsOf(n.ID) == nil {
			warn(p, "", "no router has an interface on network %q", n.ID)
		}
		if n.VNI != 0 && x.NumHosts() == 0 {
			warn(p, "vni", "network %q has a vni, but there are no hosts to carry it between", n.ID)
		}
		if r := x.unfit(n.ID); r != nil && n.VNI == 0 && n.VLAN != 0 && x.anyUplink("") != "" {
			warn(p, "vlan", "uplinks do not carry network %q: router %q has an external bridge, or another interface with the same MAC address", n.ID, r.ID)
		}
	}
	for i := range m.Routers {
		r, p := &m.Routers[i], path{kind: routerPath, router: i}
		if len(r.Interfaces) == 0 {
			warn(p, "", "router %q has no interface", r.ID)
		}
		if r.Fallback == FallbackNamespace {
			continue
		}
		if r.Namespace != "" {
			warn(p, "namespace", "the namespace of router %q is not used: its fallback is none", r.ID)
		}
		for j := range r.Interfaces {
			if f := &r.Interfaces[j]; f.TapPort != "" {
				warn(path{kind: ifacePath, router: i, iface: j}, "tap_port",
					"the tap_port of interface %q is not used: the fallback of router %q is none", f.ID, r.ID)
			}
		}
	}
	for i := range m.Ports {
		q, p := &m.Ports[i], path{kind: portPath, i: i}
		if len(q.Addresses)+len(q.Pairs) == 0 {
			warn(p, "", "port %q has no address, so nothing is routed to it", q.ID)
			continue
		}
		t := subnetsOf(q.Network)
		if t == nil { // the network has a warning
			continue
		}
		for k, a := range q.Addresses {
			if s, ok := t.lookup(a); !ok {
				warn(p, elem("addresses", k),
					"address %v is outside the subnets of all router interfaces on network %q, so flows do not route to it", a, q.Network)
			} else if err := checkHost(netip.PrefixFrom(a, s.Bits())); err != nil {
				warn(p, elem("addresses", k), "%w", err)
			}
		}
	}
	return warnings
}

// A subnetTable finds the subnet of an address, in constant time.
type subnetTable struct {
	has  map[netip.Prefix]bool
	bits [129]bool // the prefix lengths of the subnets in has
}

func (t *subnetTable) add(p netip.Prefix) {
	if p.IsValid() {
		t.has[p.Masked()] = true
		t.bits[p.Bits()] = true
	}
}

// lookup returns the longest prefix that contains a.
func (t *subnetTable) lookup(a netip.Addr) (netip.Prefix, bool) {
	for n := a.BitLen(); n >= 0; n-- {
		if !t.bits[n] {
			continue
		}
		if p, err := a.Prefix(n); err == nil && t.has[p] {
			return p, true
		}
	}
	return netip.Prefix{}, false
}
