package routing

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/ofdvr/ofdvr/ofproto"
)

// checkAddr returns an error if no machine can have address a.
func checkAddr(a netip.Addr) error {
	switch {
	case !a.IsValid():
		return errors.New("no address is given")
	case a.Zone() != "":
		return fmt.Errorf("address %v has a zone", a)
	case a.Is4In6():
		return fmt.Errorf("address %v is an IPv4 address in an IPv6 one: write %v", a, a.Unmap())
	case a.IsUnspecified():
		return fmt.Errorf("address %v is the unspecified address", a)
	case a.IsLoopback():
		return fmt.Errorf("address %v is a loopback address", a)
	case a.IsMulticast():
		return fmt.Errorf("address %v is a multicast address", a)
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("address %v is the broadcast address", a)
	}
	return nil
}

// checkHost returns an error if no machine in a's subnet can have address a.
func checkHost(a netip.Prefix) error {
	switch {
	case !a.Addr().Is4() || a.Bits() >= 31: // RFC 3021
		return nil
	case a.Addr() == a.Masked().Addr():
		return fmt.Errorf("address %v is the network address of %v", a.Addr(), a.Masked())
	case a.Addr() == LastAddr(a):
		return fmt.Errorf("address %v is the broadcast address of %v", a.Addr(), a.Masked())
	}
	return nil
}

// IsHost reports whether a machine in a's subnet can have address a: it is neither the network
// nor the broadcast address.
func IsHost(a netip.Prefix) bool { return checkHost(a) == nil }

// LinkLocalOf returns the link-local address that the kernel gives an interface
// with MAC address m (RFC 4291 appendix A).
func LinkLocalOf(m ofproto.MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: m[0] ^ 2, 9: m[1], 10: m[2], 11: 0xff, 12: 0xfe, 13: m[3], 14: m[4], 15: m[5]})
}

// LastAddr returns the highest address of an IPv4 prefix.
func LastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := range b {
		b[i] |= byte(uint32(math.MaxUint32) >> p.Bits() >> (24 - 8*i))
	}
	return netip.AddrFrom4(b)
}

func (v *validator) checkPrefixes(p path, who owner, f *Interface, overlaps map[int]error) {
	if len(f.Addresses) == 0 {
		v.bad(p, "addresses", "%v has no address", who)
	}
	for k, a := range f.Addresses {
		err := checkAddr(a.Addr())
		switch {
		case err != nil:
		case !a.IsValid():
			err = errors.New("no prefix length is given")
		case a.Addr().Is6() && v.mtu(f.Network) < MinIPv6MTU:
			err = fmt.Errorf("IPv6 needs an MTU of %d, but network %q has %d", MinIPv6MTU, f.Network, v.mtu(f.Network))
		default:
			err = checkHost(a)
		}
		if err != nil {
			v.bad(p, elem("addresses", k), "%w", err)
			continue
		}
		v.claim(p, k, who, f.Network, a.Addr())
		if err := overlaps[k]; err != nil {
			v.bad(p, elem("addresses", k), "%w", err)
		}
	}
}

// checkPairs checks the allowed address pairs of q, which is at p.
func (v *validator) checkPairs(p path, q *Port) {
	for k, pair := range q.Pairs {
		bad := func(key, format string, args ...any) {
			v.bad(p, elem("allowed_address_pairs", k)+"."+key, format, args...)
		}
		a := pair.Addresses
		switch {
		case !a.IsValid():
			bad("address", "no address is given")
		case a != a.Masked():
			bad("address", "prefix %v has host bits: write %v", a, a.Masked())
		case a.Addr().Is4In6():
			bad("address", "%v is IPv4 in IPv6", a)
		case a.IsSingleIP():
			if err := checkAddr(a.Addr()); err != nil {
				bad("address", "%w", err)
			}
		}
		if pair.MAC.IsMulticast() {
			bad("mac", "mac %v is a multicast address", pair.MAC)
		}
	}
}

// has6 reports whether f has an IPv6 address.
func (f *Interface) has6() bool {
	return slices.ContainsFunc(f.Addresses, func(a netip.Prefix) bool { return a.Addr().Is6() })
}

// checkRA checks the router advertisements of an interface of r, which is at p.
func (v *validator) checkRA(p path, r *Router, f *Interface) {
	ra := f.RA
	if ra == nil {
		return
	}
	switch {
	case r.Fallback != FallbackNamespace:
		v.bad(p, "ra", "router advertisements are sent by the namespace, but router %q has no namespace", r.ID)
	case !r.Bridge.Managed:
		v.bad(p, "ra", "ofdvr does not configure the namespace of an external bridge, so it cannot send router advertisements there")
	case !f.has6():
		v.bad(p, "ra", "interface %q has no IPv6 address, so nothing can be advertised", f.ID)
	}
	within := func(key string, n, low, high int) {
		if n < low || n > high {
			v.bad(p, "ra."+key, "%s %d is outside %d–%d", key, n, low, high)
		}
	}
	within("lifetime", ra.Lifetime, 0, MaxRALifetime)
	within("interval", ra.Interval, MinRAInterval, MaxRAInterval)
	if ra.MTU != 0 {
		within("mtu", ra.MTU, MinIPv6MTU, MaxMTU)
	}
	if ra.Lifetime != 0 && ra.Lifetime < ra.Interval {
		v.bad(p, "ra.lifetime", "lifetime %d is less than the interval of %d: machines would forget the router in between", ra.Lifetime, ra.Interval)
	}
	seen := make(map[netip.Prefix]bool)
	for k, q := range ra.Prefixes {
		bad := func(key, format string, args ...any) {
			v.bad(p, elem("ra.prefixes", k)+"."+key, format, args...)
		}
		switch a := q.Prefix; {
		case !a.IsValid():
			bad("prefix", "no prefix is given")
		case !a.Addr().Is6() || a.Addr().Is4In6():
			bad("prefix", "prefix %v is not IPv6", a)
		case a != a.Masked():
			bad("prefix", "prefix %v has host bits: write %v", a, a.Masked())
		case a.Addr().IsLinkLocalUnicast() || a.Addr().IsMulticast():
			bad("prefix", "machines cannot have addresses in prefix %v", a)
		case seen[a]:
			bad("prefix", "prefix %v is given twice", a)
		}
		seen[q.Prefix] = true
		switch {
		case q.Valid < 0 || q.Valid > math.MaxUint32:
			bad("valid_lifetime", "valid_lifetime %d is outside 0–%d", q.Valid, uint32(math.MaxUint32))
		case q.Preferred < 0 || q.Preferred > q.Valid:
			bad("preferred_lifetime", "preferred_lifetime %d is outside 0–%d, the valid_lifetime", q.Preferred, q.Valid)
		}
	}
}

// A subnet is a subnet of a router's interface.
type subnet struct {
	netip.Prefix
	iface, addr int // indices of the interface and the address

	outer, inner *subnet // the first subnet in the model that contains this one, and the first that is inside this one
}

func (s *subnet) compare(t *subnet) int {
	return cmp.Or(cmp.Compare(s.iface, t.iface), cmp.Compare(s.addr, t.addr))
}

// first returns the argument that comes first in the model. Either argument may be nil.
func first(s, t *subnet) *subnet {
	if s == nil || t != nil && t.compare(s) < 0 {
		return t
	}
	return s
}

// overlaps returns an error for each subnet that overlaps with an earlier one in the model.
// The keys of the result are the indices of the interface and of its address. Several
// addresses of one interface in one subnet are no overlap. Link-local subnets (RFC 4291
// §2.5.6) may overlap, because they are the same on every link.
func overlaps(interfaces []Interface) map[int]map[int]error {
	var found map[int]map[int]error
	var around []*subnet // the subnets that contain the previous subnet, outermost first
	pop := func() {
		s := around[len(around)-1]
		around = around[:len(around)-1]
		if len(around) > 0 {
			p := around[len(around)-1]
			p.inner = first(p.inner, first(s, s.inner))
		}
		other := first(s.outer, s.inner)
		if other == nil || s.compare(other) < 0 {
			return
		}
		if found == nil {
			found = make(map[int]map[int]error)
		}
		if found[s.iface] == nil {
			found[s.iface] = make(map[int]error)
		}
		found[s.iface][s.addr] = fmt.Errorf("subnet %v overlaps with %v of interface %q",
			s.Prefix, other.Prefix, interfaces[other.iface].ID)
	}
	for _, s := range sortedSubnets(interfaces) {
		for len(around) > 0 && !around[len(around)-1].Contains(s.Addr()) {
			pop()
		}
		if len(around) > 0 {
			p := around[len(around)-1]
			s.outer = first(p, p.outer)
		}
		around = append(around, s)
	}
	for len(around) > 0 {
		pop()
	}
	return found
}

// sortedSubnets returns the subnets of interfaces. A subnet comes before the subnets that it
// contains.
func sortedSubnets(interfaces []Interface) []*subnet {
	var all []*subnet
	for j := range interfaces {
		for k, a := range interfaces[j].Addresses {
			if a.IsValid() && !(a.Addr().Is6() && a.Addr().IsLinkLocalUnicast()) {
				all = append(all, &subnet{Prefix: a.Masked(), iface: j, addr: k})
			}
		}
	}
	slices.SortFunc(all, func(s, t *subnet) int {
		return cmp.Or(s.Addr().Compare(t.Addr()), cmp.Compare(s.Bits(), t.Bits()), s.compare(t))
	})
	return slices.CompactFunc(all, func(s, t *subnet) bool { return s.Prefix == t.Prefix && s.iface == t.iface })
}

// claim records who as the owner of address k.
func (v *validator) claim(p path, k int, who owner, network string, a netip.Addr) {
	if network == "" {
		return
	}
	key := onNetwork[netip.Addr]{network, a}
	other, used := v.addrs[key]
	if !used {
		var o addrOf
		o, used = v.on(network).addrs.Get(addrOf{addr: a})
		other, used = o.owner, used && !v.gone[o.owner]
	}
	if used {
		v.taken(p, elem("addresses", k), other, "address %v is already used by %v on network %q", a, other, network)
		return
	}
	v.addrs[key] = who
}
