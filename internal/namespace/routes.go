package namespace

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Route is an extra route of a router.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
	Tap         string // by which the next hop is reached
}

// protocol marks our routes (rtnetlink(7), rtm_protocol): 253 is nobody's
// (/etc/iproute2/rt_protos). All others are somebody else's.
const protocol netlink.RouteProtocol = 253

// routes makes the routes with our mark those that are wanted, but for those by
// way of taps that are not there.
func (e *ensurer) routes() error {
	taps := make(map[string]int) // index of each link
	want := make(map[Route]bool)
	var errs []error
	for _, r := range e.d.Routes {
		if _, known := taps[r.Tap]; !known {
			l, err := find(e.inside, r.Tap)
			if err != nil {
				return fmt.Errorf("route in namespace %s: %w", e.d.Name, err)
			}
			if l != nil {
				taps[r.Tap] = l.Attrs().Index
			}
		}
		if taps[r.Tap] != 0 {
			want[r] = true
		}
	}
	have, err := e.ourRoutes(taps)
	if err != nil {
		return fmt.Errorf("list the routes in namespace %s: %w", e.d.Name, err)
	}
	for _, r := range sortedRoutes(have) {
		if want[r] {
			continue
		}
		route := have[r]
		if err := e.inside.RouteDel(&route); err != nil && !errors.Is(err, unix.ESRCH) {
			errs = append(errs, fmt.Errorf("remove route %v from namespace %s: %w", r, e.d.Name, err))
			continue
		}
		e.did("removed route %v from %s", r, e.d.Name)
	}
	for _, r := range sortedRoutes(want) {
		if _, there := have[r]; there {
			continue
		}
		err := e.inside.RouteAdd(&netlink.Route{
			Dst: ipNet(r.Destination), Gw: r.NextHop.AsSlice(), LinkIndex: taps[r.Tap], Protocol: protocol,
		})
		if errors.Is(err, unix.EEXIST) {
			err = errors.New("somebody else has a route there: remove it, or that of the router")
		}
		if err != nil {
			errs = append(errs, gone(fmt.Errorf("add route %v to namespace %s: %w", r, e.d.Name, err)))
			continue
		}
		e.did("added route %v to %s", r, e.d.Name)
	}
	return errors.Join(errs...)
}

// String returns r in the words of ip-route(8).
func (r Route) String() string {
	return fmt.Sprintf("%v via %v dev %s", r.Destination, r.NextHop, r.Tap)
}

// ourRoutes returns the routes with our mark. taps are the indices of links by
// name.
func (e *ensurer) ourRoutes(taps map[string]int) (map[Route]netlink.Route, error) {
	names := make(map[int]string, len(taps))
	for name, index := range taps {
		names[index] = name
	}
	out := make(map[Route]netlink.Route)
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		all, err := dump(func() ([]netlink.Route, error) {
			return e.inside.RouteListFiltered(family, &netlink.Route{Protocol: protocol}, netlink.RT_FILTER_PROTOCOL)
		})
		if err != nil {
			return nil, err
		}
		for _, r := range all {
			to := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			if family == netlink.FAMILY_V6 {
				to = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
			if r.Dst != nil {
				a, _ := netip.AddrFromSlice(r.Dst.IP)
				bits, _ := r.Dst.Mask.Size()
				to = netip.PrefixFrom(a.Unmap(), bits)
			}
			via, _ := netip.AddrFromSlice(r.Gw)
			out[Route{to, via.Unmap(), names[r.LinkIndex]}] = r
		}
	}
	return out, nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func sortedRoutes[V any](m map[Route]V) []Route {
	out := make([]Route, 0, len(m))
	for r := range m {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Route) int {
		return cmp.Or(a.Destination.Compare(b.Destination), a.NextHop.Compare(b.NextHop), cmp.Compare(a.Tap, b.Tap))
	})
	return out
}
