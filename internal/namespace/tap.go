package namespace

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// tap ensures that t exists in the namespace with its attributes.
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

// fetch returns t's link in the namespace. It moves the link there if needed.
func (e *ensurer) fetch(t *Tap) (netlink.Link, error) {
	inside, err := find(e.inside, t.Name)
	if err != nil {
		return nil, err
	}
	outside, err := find(e.outside, t.Name)
	if err != nil {
		return nil, err
	}
	mark := mark{interfaceMark, e.d.Instance, t.Interface}.String()
	foreign, left := false, false // left: the tap remained when ovs-vswitchd was killed
	if outside != nil {
		ours, err := e.isVswitchds(outside)
		if err != nil {
			return nil, err
		}
		foreign = !ours
		if inside != nil && inside.Type() == "tuntap" {
			open, err := isOpen(inside)
			if err != nil {
				return nil, err
			}
			if left = !open; open {
				outside = nil // the link outside belongs to another Open vSwitch
			}
		}
		if foreign {
			outside = nil
		}
	}
	switch {
	case inside != nil && !e.isOurs(inside) && !(outside == nil && t.is(inside)):
		return nil, fmt.Errorf("a link with that name exists already and does not belong to ofdvr: delete or rename it, or choose another name")
	case foreign && (inside == nil || left):
		return nil, fmt.Errorf("another program's link has that name outside of the namespace, and was left unchanged: delete or rename it, or choose another name")
	case outside == nil && inside == nil:
		return nil, errNoTap
	case outside == nil:
		if inside.Attrs().Alias != mark {
			if err := e.inside.LinkSetAlias(inside, mark); err != nil {
				return nil, fmt.Errorf("mark it as the tap of interface %q: %w", t.Interface, err)
			}
			e.did("marked tap %s in %s", t.Name, e.d.Name)
		}
		return inside, nil
	case inside != nil:
		if err := e.inside.LinkDel(inside); err != nil && !isGone(err) {
			return nil, fmt.Errorf("delete the previous tap: %w", err)
		}
		e.did("deleted the previous tap %s in %s", t.Name, e.d.Name)
	}
	// The link is marked before it is moved, so that a link in the namespace without a mark is
	// never ours.
	if err := e.outside.LinkSetAlias(outside, mark); err != nil {
		return nil, gone(fmt.Errorf("set the mark of ofdvr on it: %w", err))
	}
	if err := e.outside.LinkSetNsFd(outside, int(e.ns.Fd())); err != nil {
		return nil, gone(fmt.Errorf("move it: %w", err))
	}
	e.did("moved tap %s into %s", t.Name, e.d.Name)
	if inside, err = find(e.inside, t.Name); err == nil && inside == nil {
		err = errNoTap // ovs-vswitchd deleted it in the meantime
	}
	return inside, err
}

// isOurs reports whether l has our mark.
func (e *ensurer) isOurs(l netlink.Link) bool { return isOf(l, interfaceMark, e.d.Instance) }

// is reports whether l is t, although another program has changed the alias and so removed our
// mark. It recognizes t by the kind, name and MAC address with which ovs-vswitchd created it.
func (t *Tap) is(l netlink.Link) bool {
	_, marked := markOf(l, interfaceMark) // by another instance
	return !marked && isTap(l) && bytes.Equal(l.Attrs().HardwareAddr, t.MAC[:])
}

// find returns the link called name, or nil if it does not exist.
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

// isVswitchds reports whether l, a link outside, may be a tap that ovs-vswitchd has just created.
// Such a tap is open and not [claimed]. Both are checked, because ovs-vswitchd may also have opened
// another program's tap.
func (e *ensurer) isVswitchds(l netlink.Link) (bool, error) {
	switch {
	case !isTap(l), e.d.Kind != "" && l.Type() != e.d.Kind:
		return false, nil
	case l.Type() != "tuntap":
		return true, nil
	}
	if claimed, err := claimed(e.outside, l); claimed || err != nil {
		return false, err
	}
	open, done := false, make(chan error)
	go func() { // use a thread outside of the namespace
		var err error
		open, err = isOpen(l)
		done <- err
	}()
	err := <-done
	return open, err
}

// claimed reports whether the tuntap l belongs to another program. Then it has a configuration that
// ovs-vswitchd never makes: another mode, a user, a bridge or an address.
func claimed(h links, l netlink.Link) (bool, error) {
	tap, ok := l.(*netlink.Tuntap)
	if !ok || tap.Mode != netlink.TUNTAP_MODE_TAP || tap.Owner != 0 || tap.Group != 0 || tap.MasterIndex != 0 {
		return true, nil
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return false, gone(fmt.Errorf("list its addresses: %w", err))
	}
	return slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.IP.IsGlobalUnicast() }), nil
}

// ForeignLink returns a description of another program's link called name in the caller's
// namespace, or "". given means that the user has chosen the name. If ofdvr has derived it, a tap
// with that name that no program claims is ignored: ovs-vswitchd left it behind, or will remove it.
func ForeignLink(name string, given bool) string {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return "" // the name cannot be checked
	}
	defer h.Close()
	l, err := find(h, name)
	if l == nil && err == nil || err == nil && l.Type() == "openvswitch" { // a port of the kernel's datapath; ovs-vswitchd never uses other programs' links for these
		return ""
	}
	if err == nil && l.Type() == "tuntap" && !given {
		var taken bool
		if taken, err = claimed(h, l); err == nil && !taken || errors.Is(err, errNoTap) {
			return ""
		}
	}
	if err != nil {
		return fmt.Sprintf("perhaps a link of another program (%v)", err)
	}
	return fmt.Sprintf("link %s of another program (kind %s)", name, cmp.Or(l.Type(), "device"))
}

// HostAddresses returns the addresses of a link in the caller's namespace, except link-local ones, as
// text; "" if it has none, or they cannot be read.
func HostAddresses(name string) string {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return ""
	}
	defer h.Close()
	l, err := find(h, name)
	if l == nil || err != nil {
		return ""
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(l, netlink.FAMILY_ALL) })
	if err != nil {
		return ""
	}
	var out []string
	for _, a := range addrs {
		if !a.IP.IsLinkLocalUnicast() {
			out = append(out, a.IPNet.String())
		}
	}
	return strings.Join(out, ", ")
}

// isOpen reports whether a program has the tap l open. l is in the thread's namespace. A tap has a
// carrier if and only if a program has it open, whether or not it is up.
func isOpen(l netlink.Link) (bool, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(l.Attrs().Index)
	req.AddData(msg)
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return false, gone(fmt.Errorf("check whether a program has link %s open: %w", l.Attrs().Name, err))
	}
	for _, m := range answers {
		attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfInfomsg:])
		if err != nil {
			return false, fmt.Errorf("check whether a program has link %s open: %w", l.Attrs().Name, err)
		}
		for _, a := range attrs {
			if a.Attr.Type == unix.IFLA_CARRIER {
				return len(a.Value) > 0 && a.Value[0] != 0, nil
			}
		}
	}
	return true, nil // the kernel does not report the carrier
}

// isTap reports whether l is a link that ovs-vswitchd creates for a port of type internal. In
// the userspace datapath such a link is a tap. In the kernel's datapath it is a device of the
// datapath.
func isTap(l netlink.Link) bool { return l.Type() == "tuntap" || l.Type() == "openvswitch" }

// isGone reports whether err means that a link was deleted in the meantime.
func isGone(err error) bool { return errors.Is(err, unix.ENODEV) }

// gone makes err wrap errNoTap if it means that the link was deleted.
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
	if errors.Is(err, unix.EBUSY) { // the kernel refuses this while the link is up; e.up sets the link up later
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

// down sets t down if it should be down. It comes before addresses, because the kernel removes IPv6
// addresses when a link goes down.
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

// dump calls list again, a limited number of times, if the kernel reports that the list changed while
// it was read.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		v, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || try == 10 {
			return v, err
		}
	}
}
