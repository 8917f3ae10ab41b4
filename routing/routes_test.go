package routing_test

import (
	"net/netip"
	"testing"

	"github.com/ofdvr/ofdvr/routing"
)

// An error in a route is reported with the path of the wrong key.
func TestRouteMistakes(t *testing.T) {
	for _, tt := range []struct{ to, via, want string }{
		{"10.9.0.0/16", "10.0.1.10", ""},
		{"0.0.0.0/0", "10.0.2.99", ""},
		{"2001:db8:9::/48", "2001:db8::5", ""},
		{"10.0.1.128/25", "10.0.2.10", ""},
		{"10.9.1.0/16", "10.0.1.10", "routers[0].routes[0].destination: destination 10.9.1.0/16 has host bits: write 10.9.0.0/16"},
		{"10.0.1.0/24", "10.0.2.10", `routers[0].routes[0].destination: 10.0.1.0/24 is the subnet of interface "r1-blue"`},
		{"224.0.0.0/4", "10.0.1.10", "routers[0].routes[0].destination: packets cannot be routed to 224.0.0.0/4"},
		{"10.9.0.0/16", "10.0.9.1", "routers[0].routes[0].nexthop: next hop 10.0.9.1 is not in a subnet of the router's interfaces"},
		{"10.9.0.0/16", "10.0.1.1", `routers[0].routes[0].nexthop: next hop 10.0.1.1 is an address of the router itself, on interface "r1-blue"`},
		{"10.9.0.0/16", "10.0.1.255", "routers[0].routes[0].nexthop: next hop 10.0.1.255 is not a machine: it is the broadcast address of 10.0.1.0/24"},
		{"10.9.0.0/16", "10.0.1.0", "routers[0].routes[0].nexthop: next hop 10.0.1.0 is not a machine: it is the network address of 10.0.1.0/24"},
		{"10.9.0.0/16", "10.0.2.1", `routers[0].routes[0].nexthop: next hop 10.0.2.1 is an address of the router itself, on interface "r1-green"`},
		{"10.9.0.0/16", "224.0.0.5", "routers[0].routes[0].nexthop: address 224.0.0.5 is a multicast address"},
		{"10.9.0.0/16", "127.0.0.1", "routers[0].routes[0].nexthop: address 127.0.0.1 is a loopback address"},
		{"10.9.0.0/16", "0.0.0.0", "routers[0].routes[0].nexthop: address 0.0.0.0 is the unspecified address"},
		{"10.9.0.0/16", "255.255.255.255", "routers[0].routes[0].nexthop: address 255.255.255.255 is the broadcast address"},
		{"2001:db8:9::/48", "2001:db8::", "routers[0].routes[0].nexthop: next hop 2001:db8:: is not a machine: it is the anycast address of all routers in 2001:db8::/64"},
		{"2001:db8:9::/48", "2001:db8::1", `routers[0].routes[0].nexthop: next hop 2001:db8::1 is an address of the router itself, on interface "r1-green"`},
		{"2001:db8:9::/48", "fe80::ff:fe00:1", `routers[0].routes[0].nexthop: next hop fe80::ff:fe00:1 is an address of the router itself, on interface "r1-green"`},
		{"2001:db8::/96", "2001:db8::5", "routers[0].routes[0].nexthop: next hop 2001:db8::5 is inside the route to 2001:db8::/96, and Linux refuses such IPv6 routes: use a next hop on a connected network, or exclude it from that route's destination"},
		{"::/0", "2001:db8::5", ""},
		{"10.0.1.0/28", "10.0.1.10", ""},
		{"10.9.0.0/16", "2001:db8::5", "routers[0].routes[0].nexthop: next hop 2001:db8::5 and destination 10.9.0.0/16 have different families"},
	} {
		m := validModel()
		m.Routers[0].Routes = []routing.Route{{Destination: netip.MustParsePrefix(tt.to), NextHops: []routing.NextHop{{Address: netip.MustParseAddr(tt.via), Weight: 1}}}}
		got := ""
		if err := m.Validate(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s via %s:\ngot  %q\nwant %q", tt.to, tt.via, got, tt.want)
		}
	}
	m := validModel()
	r := routing.Route{Destination: netip.MustParsePrefix("10.9.0.0/16"), NextHops: []routing.NextHop{{Address: netip.MustParseAddr("10.0.1.10"), Weight: 1}}}
	m.Routers[0].Routes = []routing.Route{r, r}
	if err := m.Validate(); err == nil || err.Error() != "routers[0].routes[1].destination: there is already a route to 10.9.0.0/16" {
		t.Error(err)
	}
}
