package namespace

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addresses adds addresses before it removes others, because the kernel removes all routes through
// a tap together with the tap's last address. There is one exception: an IPv6 address cannot exist
// with two prefix lengths, so the old one is removed first.
func (e *ensurer) addresses(t *Tap, l netlink.Link) error {
	have, err := e.list(l)
	if err != nil {
		return err
	}
	unwanted := slices.DeleteFunc(slices.SortedFunc(maps.Keys(have), netip.Prefix.Compare), func(p netip.Prefix) bool {
		return slices.Contains(t.Addresses, p) || p.Addr().Is6() && p.Addr().IsLinkLocalUnicast()
	})
	remove := func(p netip.Prefix) error {
		a := have[p]
		if err := e.inside.AddrDel(l, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return gone(fmt.Errorf("remove address %v: %w", p, err))
		}
		e.did("removed address %v from %s in %s", p, t.Name, e.d.Name)
		return nil
	}
	replaced := func(p netip.Prefix) bool {
		return p.Addr().Is6() && slices.ContainsFunc(t.Addresses, func(w netip.Prefix) bool { return w.Addr() == p.Addr() })
	}
	for _, p := range unwanted {
		if replaced(p) {
			if err := remove(p); err != nil {
				return err
			}
		}
	}
	changed, err := e.addMissing(t, l, have)
	if err != nil {
		return err
	}
	for _, p := range unwanted {
		if replaced(p) {
			continue
		}
		if err := remove(p); err != nil {
			return err
		}
		changed = true
	}
	if changed && !e.dry {
		if have, err = e.list(l); err != nil {
			return err
		}
		if _, err := e.addMissing(t, l, have); err != nil { // again, because the kernel may have removed secondary addresses with their primary address
			return err
		}
	}
	return e.primaries(t, l, have)
}

// addMissing adds the addresses of t that are not in have.
func (e *ensurer) addMissing(t *Tap, l netlink.Link, have map[netip.Prefix]netlink.Addr) (added bool, err error) {
	for _, p := range t.Addresses {
		if _, ok := have[p]; ok {
			continue
		}
		if err := e.addAddress(t, l, p); err != nil {
			return added, err
		}
		e.did("added address %v to %s in %s", p, t.Name, e.d.Name)
		added = true
	}
	return added, nil
}

func (e *ensurer) addAddress(t *Tap, l netlink.Link, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() { // turns off duplicate address detection, because the address belongs to the router and is needed immediately
		a.Flags = unix.IFA_F_NODAD
	}
	err := e.inside.AddrAdd(l, a)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("add address %v: %w", p, err)
	if p.Addr().Is6() && t.MTU < 1280 {
		err = fmt.Errorf("%w; IPv6 needs an MTU of 1280, not %d", err, t.MTU)
	}
	return gone(err)
}

// primaries makes the first IPv4 address of t in each subnet the primary address. The kernel uses
// the primary address as the source towards machines in the subnet. It is the address that was
// added first.
func (e *ensurer) primaries(t *Tap, l netlink.Link, have map[netip.Prefix]netlink.Addr) error {
	seen := make(map[netip.Prefix]bool)
	for _, first := range t.Addresses {
		subnet := first.Masked()
		if seen[subnet] || first.Addr().Is6() {
			continue
		}
		seen[subnet] = true
		if have[first].Flags&unix.IFA_F_SECONDARY == 0 {
			continue
		}
		for _, p := range t.Addresses {
			if a, ok := have[p]; ok && p != first && p.Masked() == subnet {
				if err := e.inside.AddrDel(l, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
					return gone(fmt.Errorf("make %v the primary address of its subnet: remove address %v: %w", first, p, err))
				}
				if err := e.addAddress(t, l, p); err != nil {
					return err
				}
			}
		}
		e.did("made %v the primary address of its subnet on %s in %s", first, t.Name, e.d.Name)
	}
	return nil
}

// list returns l's addresses.
func (e *ensurer) list(l netlink.Link) (map[netip.Prefix]netlink.Addr, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return e.inside.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, gone(fmt.Errorf("list its addresses: %w", err))
	}
	m := make(map[netip.Prefix]netlink.Addr, len(addrs))
	for _, a := range addrs {
		if a.IPNet == nil {
			continue
		}
		ip, ok := netip.AddrFromSlice(a.IP)
		bits, _ := a.Mask.Size()
		if ok {
			m[netip.PrefixFrom(ip.Unmap(), bits)] = a
		}
	}
	return m, nil
}
