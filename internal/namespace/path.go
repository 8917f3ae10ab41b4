package namespace

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// PathMTU returns the MTU, in bytes, for packets from this machine to an address, and the name of
// their link. It is the MTU of the route or, if the route has no MTU, that of the link.
func PathMTU(to netip.Addr) (mtu int, link string, err error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return 0, "", fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	routes, err := h.RouteGet(to.AsSlice())
	if err != nil || len(routes) == 0 {
		return 0, "", fmt.Errorf("find the route to %v: %w", to, err)
	}
	l, err := h.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return 0, "", fmt.Errorf("find the link to %v: %w", to, err)
	}
	if mtu = routes[0].MTU; mtu == 0 {
		mtu = l.Attrs().MTU
	}
	return mtu, l.Attrs().Name, nil
}

// LinkMTU returns the MTU, in bytes, of the link called name.
func LinkMTU(name string) (int, error) {
	l, err := linkOf(name)
	if err != nil {
		return 0, err
	}
	return l.Attrs().MTU, nil
}

// HasLink reports whether packets pass by the link called name: it is up, and the other end of its cable
// is too.
func HasLink(name string) (bool, error) {
	l, err := linkOf(name)
	return err == nil && l.Attrs().RawFlags&unix.IFF_RUNNING != 0, err
}

func linkOf(name string) (netlink.Link, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	defer h.Close()
	l, err := h.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("find link %s: %w", name, err)
	}
	return l, nil
}
