package namespace

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Route is an extra route of a router.
type Route struct {
	Destination netip.Prefix
	Type        RouteType
	Hops        []Hop // of a [RouteVia]
}

// RouteType is the effect of a route on packets.
type RouteType uint8

const (
	// RouteVia sends them to one of the hops.
	RouteVia RouteType = iota
	// RouteBlackhole drops them silently.
	RouteBlackhole
	// RouteReject drops them and replies that the host is unreachable.
	RouteReject
)

// A Hop is a next hop of a route. A hop through a tap that is missing or down is left out.
type Hop struct {
	NextHop netip.Addr
	Tap     string // the tap to the next hop
	Weight  int    // share of the traffic, 1–256; ignored for a single hop
}

// protocol marks our routes (rtnetlink(7), rtm_protocol). The number 253 is unassigned
// (/etc/iproute2/rt_protos). Routes with other protocols belong to other programs.
const protocol netlink.RouteProtocol = 253

// A routeKey identifies a route for the kernel. Routes with the same key can exist side by side
// only if they differ in other attributes.
type routeKey struct {
	to       netip.Prefix
	priority int
}

func keyOf(to netip.Prefix) routeKey {
	if to.Addr().Is6() {
		return routeKey{to, 1024} // IP6_RT_PRIO_USER, which the kernel uses for 0
	}
	return routeKey{to, 0}
}

// A kernelRoute has the kernel's routes with the same key.
type kernelRoute struct {
	Route          // ours
	entries int    // number of our entries; several only for IPv6, or if odd
	odd     bool   // our route in the kernel differs from the route that we would make
	foreign *Route // another program's route; or nil
}

// served reports whether another program has made the desired route and we have not. For example,
// an agent that owns the namespace may add the same routes.
func (k *kernelRoute) served(want Route) bool {
	return k != nil && k.entries == 0 && k.foreign != nil && k.foreign.String() == want.String()
}

// routes makes the routes with our mark match the desired routes. It changes a route by replacing
// it, so that the route never is missing.
func (e *ensurer) routes() error {
	links, names, err := e.links()
	if err != nil {
		return fmt.Errorf("list the links in namespace %s: %w", e.d.Name, err)
	}
	want := make(map[routeKey]Route)
	for _, r := range e.d.Routes {
		if r = r.by(links); r.Type != RouteVia || len(r.Hops) > 0 {
			want[keyOf(r.Destination)] = r
		}
	}
	have, err := e.kernelRoutes(names, want)
	if err != nil {
		return fmt.Errorf("list the routes in namespace %s: %w", e.d.Name, err)
	}
	var errs []error
	for _, key := range sortedKeys(have) {
		w, wanted := want[key]
		h := have[key]
		text := h.String()
		switch {
		case h.entries == 0, wanted && !h.odd && text == w.String():
			continue
		case wanted && !h.odd && h.foreign == nil:
			if err := e.inside.RouteReplace(w.netlink(links)); err != nil {
				errs = append(errs, gone(fmt.Errorf("change route %s in namespace %s to %v: %w", text, e.d.Name, w, err)))
				continue
			}
			e.did("changed route %s in %s to %v", text, e.d.Name, w)
			continue
		}
		if err := e.removeRoute(key, h.entries); err != nil {
			errs = append(errs, fmt.Errorf("remove route %s from namespace %s: %w", text, e.d.Name, err))
			continue
		}
		e.did("removed route %s from %s", text, e.d.Name)
		h.entries = 0
	}
	for _, key := range sortedKeys(want) {
		r := want[key]
		if h := have[key]; h != nil && h.entries > 0 || h.served(r) {
			continue
		}
		err := e.inside.RouteAdd(r.netlink(links))
		if errors.Is(err, unix.EEXIST) {
			err = errors.New("another program has a route to that destination: remove it, or the router's route")
		}
		if err != nil {
			errs = append(errs, gone(fmt.Errorf("add route %v to namespace %s: %w", r, e.d.Name, err)))
			continue
		}
		e.did("added route %v to %s", r, e.d.Name)
	}
	return errors.Join(errs...)
}

// removeRoute removes our routes with a key, at most n.
func (e *ensurer) removeRoute(key routeKey, n int) error {
	for range n {
		// The request has no next hops, so the kernel removes a route without comparing its next
		// hops.
		err := e.inside.RouteDel(&netlink.Route{Dst: ipNet(key.to), Priority: key.priority, Protocol: protocol})
		if errors.Is(err, unix.ESRCH) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// links returns the indices of the links that are up, by name, and the names of all links, by index.
func (e *ensurer) links() (up map[string]int, names map[int]string, err error) {
	links, err := dump(e.inside.LinkList)
	if err != nil {
		return nil, nil, err
	}
	up, names = make(map[string]int, len(links)), make(map[int]string, len(links))
	for _, l := range links {
		a := l.Attrs()
		names[a.Index] = a.Name
		if a.RawFlags&unix.IFF_UP != 0 {
			up[a.Name] = a.Index
		}
	}
	return up, names, nil
}

// by returns r with sorted hops. It leaves out hops through links that are not in links.
func (r Route) by(links map[string]int) Route {
	hops := r.Hops
	r.Hops = nil
	for _, h := range hops {
		if links[h.Tap] != 0 {
			r.Hops = append(r.Hops, h)
		}
	}
	r.sort()
	return r
}

func (r *Route) sort() {
	slices.SortFunc(r.Hops, func(a, b Hop) int {
		return cmp.Or(a.NextHop.Compare(b.NextHop), cmp.Compare(a.Tap, b.Tap))
	})
}

// String returns r in the syntax of ip-route(8).
func (r Route) String() string {
	switch r.Type {
	case RouteBlackhole:
		return fmt.Sprintf("blackhole %v", r.Destination)
	case RouteReject:
		return fmt.Sprintf("unreachable %v", r.Destination)
	}
	if len(r.Hops) == 1 {
		return fmt.Sprintf("%v via %v dev %s", r.Destination, r.Hops[0].NextHop, r.Hops[0].Tap)
	}
	var b strings.Builder
	b.WriteString(r.Destination.String())
	for _, h := range r.Hops {
		fmt.Fprintf(&b, " nexthop via %v dev %s weight %d", h.NextHop, h.Tap, h.Weight)
	}
	return b.String()
}

func (r *Route) netlink(links map[string]int) *netlink.Route {
	out := &netlink.Route{Dst: ipNet(r.Destination), Protocol: protocol, Type: kernelTypes[r.Type]}
	if len(r.Hops) == 1 {
		out.Gw, out.LinkIndex = r.Hops[0].NextHop.AsSlice(), links[r.Hops[0].Tap]
		return out
	}
	for _, h := range r.Hops {
		out.MultiPath = append(out.MultiPath, &netlink.NexthopInfo{Gw: h.NextHop.AsSlice(), LinkIndex: links[h.Tap], Hops: h.Weight - 1})
	}
	return out
}

var kernelTypes = [...]int{RouteVia: unix.RTN_UNICAST, RouteBlackhole: unix.RTN_BLACKHOLE, RouteReject: unix.RTN_UNREACHABLE}

// kernelRoutes returns the kernel's routes that have our mark or a desired key.
func (e *ensurer) kernelRoutes(names map[int]string, want map[routeKey]Route) (map[routeKey]*kernelRoute, error) {
	have := make(map[routeKey]*kernelRoute)
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := dump(func() ([]netlink.Route, error) {
			var some []netlink.Route
			err := e.inside.RouteListFilteredIter(family, new(netlink.Route), 0, func(r netlink.Route) bool {
				if _, wanted := want[routeKey{destination(&r), r.Priority}]; wanted || r.Protocol == protocol {
					some = append(some, r)
				}
				return true
			})
			return some, err
		})
		if err != nil {
			return nil, err
		}
		for i := range routes {
			r := &routes[i]
			key := routeKey{destination(r), r.Priority}
			if have[key] == nil {
				have[key] = &kernelRoute{Route: Route{Destination: key.to}, odd: key != keyOf(key.to)}
			}
			have[key].add(r, names)
		}
	}
	for _, h := range have {
		h.sort()
		if h.foreign != nil {
			h.foreign.sort()
		}
	}
	return have, nil
}

// add adds r. For IPv6, the kernel reports several hops as one route or as several.
func (k *kernelRoute) add(r *netlink.Route, names map[int]string) {
	t := slices.Index(kernelTypes[:], r.Type)
	if r.Protocol != protocol {
		if k.foreign == nil {
			k.foreign = &Route{Destination: k.Destination}
		}
		k.foreign.Type = RouteType(max(t, 0)) // a route of another type has no hops and never equals a desired route
		k.foreign.Hops = append(k.foreign.Hops, hopsOf(r, names)...)
		return
	}
	first := k.entries == 0
	k.entries++
	if t < 0 || !first && (k.Type != RouteVia || RouteType(t) != RouteVia || k.Destination.Addr().Is4()) {
		k.odd = true
		return
	}
	k.Type = RouteType(t)
	k.Hops = append(k.Hops, hopsOf(r, names)...)
}

func hopsOf(r *netlink.Route, names map[int]string) (out []Hop) {
	hops := r.MultiPath
	if len(hops) == 0 {
		hops = []*netlink.NexthopInfo{{Gw: r.Gw, LinkIndex: r.LinkIndex}}
	}
	for _, h := range hops {
		via, _ := netip.AddrFromSlice(h.Gw)
		out = append(out, Hop{via, names[h.LinkIndex], h.Hops + 1})
	}
	return out
}

// destination returns the destination of r.
func destination(r *netlink.Route) netip.Prefix {
	switch {
	case r.Dst != nil:
		a, _ := netip.AddrFromSlice(r.Dst.IP)
		if r.Family == netlink.FAMILY_V4 {
			a = a.Unmap()
		}
		bits, _ := r.Dst.Mask.Size()
		return netip.PrefixFrom(a, bits)
	case r.Family == netlink.FAMILY_V6:
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func sortedKeys[V any](m map[routeKey]V) []routeKey {
	return slices.SortedFunc(maps.Keys(m), func(a, b routeKey) int {
		return cmp.Or(a.to.Compare(b.to), cmp.Compare(a.priority, b.priority))
	})
}
