package routing_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A row is a flow of the tables that route, as far as destinations matter.
type row struct {
	table, priority int
	inPort          int // 0: any
	to              netip.Prefix
	does            string
}

var rowText = regexp.MustCompile(`table=(\d+), priority=(\d+)([^ ]*) actions=(.*)$`)

func rowsOf(t *rapid.T, flows string) (rows []row) {
	for line := range strings.Lines(flows) {
		m := rowText.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Fatalf("what is this flow? %s", line)
		}
		r := row{to: netip.MustParsePrefix("0.0.0.0/0"), does: m[4]}
		r.table, _ = strconv.Atoi(m[1])
		r.priority, _ = strconv.Atoi(m[2])
		for f := range strings.SplitSeq(m[3], ",") {
			key, value, _ := strings.Cut(f, "=")
			switch key {
			case "in_port":
				r.inPort, _ = strconv.Atoi(value)
			case "nw_dst":
				if !strings.Contains(value, "/") {
					value += "/32"
				}
				r.to = netip.MustParsePrefix(value)
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// routed returns what becomes of a packet that came in by a port and is to be
// routed: the actions of the last flow that it hits.
func routed(t *rapid.T, rows []row, inPort ofproto.PortNo, to netip.Addr) string {
	for table := 1; ; {
		best := row{priority: -1}
		for _, r := range rows {
			if r.table != table || r.inPort != 0 && r.inPort != int(inPort) || !r.to.Contains(to) {
				continue
			}
			if r.priority == best.priority && r.does != best.does {
				t.Fatalf("%v from %v hits both %+v and %+v", to, inPort, r, best)
			}
			if r.priority > best.priority {
				best = r
			}
		}
		next, goes := strings.CutPrefix(best.does, "goto_table:")
		if !goes {
			return best.does
		}
		table, _ = strconv.Atoi(next)
	}
}

// The compiled tables agree with a table of longest prefixes, over connected
// subnets and extra routes in any order: who is reached in the switch, and what
// the kernel has to do.
func TestLongestPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, facts := drawModel(t)
		x := routing.NewIndex(m)
		for i := range m.Routers {
			r := &m.Routers[i]
			rows := rowsOf(t, x.Compile(r, facts).Flows.String())
			for j := range r.Interfaces {
				in := &r.Interfaces[j]
				no := facts.Ports[in.PatchName()]
				if no == 0 {
					continue
				}
				for range 20 {
					to := netip.AddrFrom4([4]byte{10, byte(rapid.SampledFrom([]int{0, 1, 2, 3, 4, 200}).Draw(t, "net")), byte(rapid.IntRange(0, 7).Draw(t, "subnet")), byte(rapid.IntRange(1, 16).Draw(t, "host"))})
					if got, want := routed(t, rows, no, to), reference(m, r, facts, in, to); got != want {
						t.Fatalf("router %s, from %s to %v: %q, want %q\nrouter %+v\nports %+v", r.ID, in.ID, to, got, want, *r, m.Ports)
					}
				}
			}
		}
	})
}

// reference returns what should become of a packet, found by looking through
// everything.
func reference(m *routing.Model, r *routing.Router, facts routing.Facts, in *routing.Interface, to netip.Addr) string {
	kernel := "drop"
	if tap := facts.Ports[in.TapName()]; tap != 0 && r.Fallback == routing.FallbackNamespace {
		kernel = fmt.Sprintf("output:%d", tap)
	}
	mtu := make(map[string]int)
	for _, n := range m.Networks {
		mtu[n.ID] = n.MTU
	}
	deliver := func(out *routing.Interface, addr netip.Addr) string {
		no := facts.Ports[out.PatchName()]
		if no == 0 || out == in || mtu[out.Network] < mtu[in.Network] {
			return kernel
		}
		for _, p := range m.Ports {
			for _, a := range p.Addresses {
				if p.Network == out.Network && a == addr {
					return fmt.Sprintf("set_field:%v->eth_src,set_field:%v->eth_dst,dec_ttl,output:%d", out.MAC, p.MAC, no)
				}
			}
		}
		return kernel
	}
	bits, does := -1, kernel
	for i := range r.Interfaces {
		out := &r.Interfaces[i]
		for _, p := range out.Addresses {
			if p.Contains(to) && p.Bits() > bits && facts.Ports[out.PatchName()] != 0 {
				bits, does = p.Bits(), deliver(out, to)
			}
		}
	}
	for _, route := range r.Routes {
		if route.Destination.Contains(to) && route.Destination.Bits() > bits {
			bits, does = route.Destination.Bits(), deliver(r.Leg(route.NextHops[0].Address), route.NextHops[0].Address)
		}
	}
	return does
}

// What is wrong with a route is said of its key.
func TestRouteMistakes(t *testing.T) {
	for _, tt := range []struct{ to, via, want string }{
		{"10.9.0.0/16", "10.0.1.10", ""},
		{"0.0.0.0/0", "10.0.2.99", ""},
		{"2001:db8:9::/48", "2001:db8::5", ""},
		{"10.0.1.128/25", "10.0.2.10", ""},
		{"10.9.1.0/16", "10.0.1.10", "routers[0].routes[0].destination: destination 10.9.1.0/16 has host bits: write 10.9.0.0/16"},
		{"10.0.1.0/24", "10.0.2.10", `routers[0].routes[0].destination: 10.0.1.0/24 is the subnet of interface "r1-blue"`},
		{"224.0.0.0/4", "10.0.1.10", "routers[0].routes[0].destination: nothing can be routed to 224.0.0.0/4"},
		{"10.9.0.0/16", "10.0.9.1", "routers[0].routes[0].nexthop: next hop 10.0.9.1 is in no subnet of the router's interfaces"},
		{"10.9.0.0/16", "10.0.1.1", `routers[0].routes[0].nexthop: next hop 10.0.1.1 is the router itself: interface "r1-blue" has it`},
		{"10.9.0.0/16", "2001:db8::5", "routers[0].routes[0].nexthop: next hop 2001:db8::5 is not of the family of 10.9.0.0/16"},
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
