package namespace

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// tap makes t exist in the namespace and have its attributes.
func (e *ensurer) tap(t *Tap) error {
	l, err := e.fetch(t)
	if err != nil {
		return fmt.Errorf("put tap %s into namespace %s: %w", t.Name, e.d.Name, err)
	}
	for _, step := range []func(*Tap, netlink.Link) error{e.mac, e.mtu, e.conf, e.down, e.addresses, e.up} {
		if err := step(t, l); err != nil {
			return fmt.Errorf("tap %s in namespace %s: %w", t.Name, e.d.Name, err)
		}
	}
	return nil
}

// fetch returns t's link inside, which it brings there if need be.
func (e *ensurer) fetch(t *Tap) (netlink.Link, error) {
	inside, err := find(e.inside, t.Name)
	if err != nil {
		return nil, err
	}
	outside, err := find(e.outside, t.Name)
	if err != nil {
		return nil, err
	}
	foreign := outside != nil && !isTap(outside)
	if foreign {
		outside = nil // whoever's it is, ovs-vswitchd has not made it
	}
	mark := mark{interfaceMark, e.d.Instance, t.Interface}.String()
	if inside != nil && outside != nil && isAlive(inside) {
		outside = nil // a program has the one inside open: the other is another Open vSwitch's
	}
	switch {
	case inside != nil && !e.isOurs(inside) && !(outside == nil && t.is(inside)):
		return nil, fmt.Errorf("a link of that name is there already and is not ours: delete or rename it, or choose another name")
	case inside == nil && foreign:
		return nil, fmt.Errorf("a link of that name that is no tap is in its place, outside: delete or rename it, or choose another name")
	case outside == nil && inside == nil:
		return nil, errNoTap
	case outside == nil:
		if inside.Attrs().Alias != mark {
			if err := e.inside.LinkSetAlias(inside, mark); err != nil {
				return nil, fmt.Errorf("mark it as that of interface %q: %w", t.Interface, err)
			}
			e.did("marked tap %s in %s", t.Name, e.d.Name)
		}
		return inside, nil
	case inside != nil:
		if err := e.inside.LinkDel(inside); err != nil && !isGone(err) {
			return nil, fmt.Errorf("delete the one that was there before: %w", err)
		}
		e.did("deleted the former tap %s in %s", t.Name, e.d.Name)
	}
	// Marked first: what is in there without a mark was never ours.
	if err := e.outside.LinkSetAlias(outside, mark); err != nil {
		return nil, gone(fmt.Errorf("mark it as ours: %w", err))
	}
	if err := e.outside.LinkSetNsFd(outside, int(e.ns.Fd())); err != nil {
		return nil, gone(fmt.Errorf("move it: %w", err))
	}
	e.did("moved tap %s into %s", t.Name, e.d.Name)
	if inside, err = find(e.inside, t.Name); err == nil && inside == nil {
		err = errNoTap // ovs-vswitchd deleted it meanwhile
	}
	return inside, err
}

// isOurs reports whether l has our mark.
func (e *ensurer) isOurs(l netlink.Link) bool { return isOf(l, interfaceMark, e.d.Instance) }

// isAlive reports whether l is a tap that a program has open. (Of the kernel's datapath there is
// but one on a machine.)
func isAlive(l netlink.Link) bool {
	return l.Type() == "tuntap" && l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
}

// is reports whether l, which has no mark of ours, is t nevertheless: somebody has changed its alias.
// ovs-vswitchd has made t, which is of that kind, under that name and with that MAC address.
func (t *Tap) is(l netlink.Link) bool {
	_, marked := markOf(l, interfaceMark) // as another instance's
	return !marked && isTap(l) && bytes.Equal(l.Attrs().HardwareAddr, t.MAC[:])
}

// find returns the link called name, nil if there is none.
func find(h links, name string) (netlink.Link, error) {
	l, err := h.LinkByName(name)
	var none netlink.LinkNotFoundError
	switch {
	case errors.As(err, &none):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look for link %s: %w", name, err)
	}
	return l, nil
}

// isTap reports whether l is what ovs-vswitchd makes of a port of type internal:
// a tap in the userspace datapath, a device of the datapath's own in the kernel's.
func isTap(l netlink.Link) bool { return l.Type() == "tuntap" || l.Type() == "openvswitch" }

// isGone reports whether err comes of a link that was deleted meanwhile.
func isGone(err error) bool { return errors.Is(err, unix.ENODEV) }

// gone makes err wrap errNoTap if it is for want of the link.
func gone(err error) error {
	if isGone(err) {
		return fmt.Errorf("%w: %w", errNoTap, err)
	}
	return err
}

func (e *ensurer) mac(t *Tap, l netlink.Link) error {
	want := net.HardwareAddr(t.MAC[:])
	if bytes.Equal(l.Attrs().HardwareAddr, want) {
		return nil
	}
	err := e.inside.LinkSetHardwareAddr(l, want)
	if errors.Is(err, unix.EBUSY) { // not while it is up; up comes later
		if err = e.inside.LinkSetDown(l); err == nil {
			l.Attrs().RawFlags &^= unix.IFF_UP
			err = e.inside.LinkSetHardwareAddr(l, want)
		}
	}
	if err != nil {
		return gone(fmt.Errorf("set MAC address %v: %w", want, err))
	}
	e.did("set MAC address %v on %s in %s", want, t.Name, e.d.Name)
	return nil
}

func (e *ensurer) mtu(t *Tap, l netlink.Link) error {
	if l.Attrs().MTU == t.MTU {
		return nil
	}
	if err := e.inside.LinkSetMTU(l, t.MTU); err != nil {
		return gone(fmt.Errorf("set MTU %d: %w", t.MTU, err))
	}
	e.did("set MTU %d on %s in %s", t.MTU, t.Name, e.d.Name)
	return nil
}

// addresses adds before it removes: with the last address of a tap the kernel removes all
// routes by it. What cannot be there besides what it replaces, an IPv6 address with another
// length of prefix, is removed first.
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
		if _, err := e.addMissing(t, l, have); err != nil { // what the kernel removed with others, if it does not promote
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
	if p.Addr().Is6() { // the router's address is not to be had by others, and is needed now
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

// primaries makes the first IPv4 address of each subnet its primary one, by which the kernel
// speaks to the machines in it. That is the one that was there first.
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

// down sets t down if it should be, before addresses: with it the kernel
// removes those of IPv6.
func (e *ensurer) down(t *Tap, l netlink.Link) error {
	if !t.Down || l.Attrs().RawFlags&unix.IFF_UP == 0 {
		return nil
	}
	if err := e.inside.LinkSetDown(l); err != nil {
		return gone(fmt.Errorf("set it down: %w", err))
	}
	e.did("set %s in %s down", t.Name, e.d.Name)
	return nil
}

func (e *ensurer) up(t *Tap, l netlink.Link) error {
	if t.Down || l.Attrs().RawFlags&unix.IFF_UP != 0 {
		return nil
	}
	if err := e.inside.LinkSetUp(l); err != nil {
		return gone(fmt.Errorf("set it up: %w", err))
	}
	e.did("set %s in %s up", t.Name, e.d.Name)
	return nil
}

// dump calls list again when the kernel says that the list changed while it
// was being read, a bounded number of times.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		v, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || try == 10 {
			return v, err
		}
	}
}
