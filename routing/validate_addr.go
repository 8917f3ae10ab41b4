package routing

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
)

// checkAddr says why no machine can have address a.
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

// checkHost says why no machine in a's subnet can have address a.
func checkHost(a netip.Prefix) error {
	switch {
	case !a.Addr().Is4() || a.Bits() >= 31: // RFC 3021
		return nil
	case a.Addr() == a.Masked().Addr():
		return fmt.Errorf("address %v is the network address of %v", a.Addr(), a.Masked())
	case a.Addr() == lastAddr(a):
		return fmt.Errorf("address %v is the broadcast address of %v", a.Addr(), a.Masked())
	}
	return nil
}

// lastAddr returns the highest address of an IPv4 prefix.
func lastAddr(p netip.Prefix) netip.Addr {
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

// overlaps returns the errors of prefixes that overlap with an earlier one,
// by index of the interface and of the address. Several addresses of one
// subnet on one interface are no overlap, and link-local subnets (RFC 4291
// §2.5.6) are the same on every link.
func overlaps(interfaces []Interface) map[int]map[int]error {
	type subnet struct {
		netip.Prefix
		iface, addr int
	}
	var all []subnet
	for j := range interfaces {
		for k, a := range interfaces[j].Addresses {
			if a.IsValid() && !(a.Addr().Is6() && a.Addr().IsLinkLocalUnicast()) {
				all = append(all, subnet{a.Masked(), j, k})
			}
		}
	}
	slices.SortFunc(all, func(a, b subnet) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()),
			cmp.Compare(a.iface, b.iface), cmp.Compare(a.addr, b.addr))
	})
	var found map[int]map[int]error
	var around []subnet // those that contain the one before, outermost first
	for _, s := range all {
		for len(around) > 0 && !around[len(around)-1].Contains(s.Addr()) {
			around = around[:len(around)-1]
		}
		if len(around) > 0 {
			first, second := around[len(around)-1], s
			if first.Prefix == second.Prefix && first.iface == second.iface {
				continue
			}
			if cmp.Or(cmp.Compare(first.iface, second.iface), cmp.Compare(first.addr, second.addr)) > 0 {
				first, second = second, first
			}
			if found == nil {
				found = make(map[int]map[int]error)
			}
			if found[second.iface] == nil {
				found[second.iface] = make(map[int]error)
			}
			if found[second.iface][second.addr] == nil {
				found[second.iface][second.addr] = fmt.Errorf("subnet %v overlaps with %v of interface %q",
					second.Prefix, first.Prefix, interfaces[first.iface].ID)
			}
		}
		around = append(around, s)
	}
	return found
}
