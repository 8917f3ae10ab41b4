package differential

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A mac is an Ethernet address.
type mac [6]byte

func (m mac) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// A network has the router's address 10.0.N.1/24 and fd00:N::1/64, where N is
// its VLAN.
type network struct {
	name string
	vlan byte
	mtu  int
}

func (n *network) router() mac             { return mac{2, 0, 0, 0, n.vlan, 1} }
func (n *network) host4(h byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, n.vlan, h}) }
func (n *network) host6(h byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 3: n.vlan, 15: h})
}

// linkLocal returns the address that a kernel gives an interface with the MAC address.
func linkLocal(m mac) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// A machine has the addresses 10.0.N.H and fd00:N::H. It sends only the test's packets, and
// answers nothing.
type machine struct {
	name       string
	net        *network
	host       byte
	undeclared bool // has no port in ofdvr's topology
}

func (m *machine) mac() mac        { return mac{2, 0, 0, 0, m.net.vlan, m.host} }
func (m *machine) ip4() netip.Addr { return m.net.host4(m.host) }
func (m *machine) ip6() netip.Addr { return m.net.host6(m.host) }
func (m *machine) String() string  { return m.name }

var (
	blue  = &network{"blue", 1, 1500}
	green = &network{"green", 2, 1500}
	red   = &network{"red", 3, 1400}
	jumbo = &network{"jumbo", 4, 9000}

	networks = []*network{blue, green, red, jumbo}

	// via is the next hop to 10.9.0.0/16 and fd09::/32. viaUndeclared is the next hop to
	// 10.8.0.0/16 and fd08::/32, and viaRed to 10.7.0.0/16 and fd07::/32.
	via           = &machine{name: "green10", net: green, host: 10}
	viaUndeclared = &machine{name: "green99", net: green, host: 99, undeclared: true}
	viaRed        = &machine{name: "red10", net: red, host: 10}

	machines = []*machine{
		{name: "blue10", net: blue, host: 10},
		{name: "blue11", net: blue, host: 11},
		{name: "blue99", net: blue, host: 99, undeclared: true},
		via,
		{name: "green11", net: green, host: 11},
		viaUndeclared,
		viaRed,
		{name: "red99", net: red, host: 99, undeclared: true},
		{name: "jumbo10", net: jumbo, host: 10},
		{name: "jumbo11", net: jumbo, host: 11},
	}

	routes = []struct {
		destination, destination6 netip.Prefix
		hop                       *machine
	}{
		{netip.MustParsePrefix("10.9.0.0/16"), netip.MustParsePrefix("fd09::/32"), via},
		{netip.MustParsePrefix("10.8.0.0/16"), netip.MustParsePrefix("fd08::/32"), viaUndeclared},
		{netip.MustParsePrefix("10.7.0.0/16"), netip.MustParsePrefix("fd07::/32"), viaRed},
	}
)

// around has extra routes to prefixes with only addresses of the router.
var around = []string{"10.0.2.0/29 via 10.0.3.10", "fd00:2::/125 via fd00:3::a"}

// others has foreign routes, an address and policy rules inside the prefixes of extra routes. The
// kernels of both routers have them.
var others = []struct{ what, prefix string }{
	{"route add 10.9.0.32/27 via 10.0.3.10", "10.9.0.32/27"}, {"-6 route add fd09::20/123 via fd00:3::a", "fd09::20/123"},
	{"route add unreachable 10.9.0.64/27", "10.9.0.64/27"}, {"-6 route add unreachable fd09::40/123", "fd09::40/123"},
	{"route add blackhole 10.8.0.64/27", "10.8.0.64/27"}, {"-6 route add blackhole fd08::40/123", "fd08::40/123"},
	{"route add prohibit 10.7.0.64/27", "10.7.0.64/27"}, {"-6 route add prohibit fd07::40/123", "fd07::40/123"},
	{"addr add 10.7.0.5/32 dev lo", "10.7.0.5"}, {"-6 addr add fd07::5/128 dev lo", "fd07::5"},
	{"rule add pref 100 to 10.9.0.128/28 prohibit", "10.9.0.128/28"}, {"-6 rule add pref 100 to fd09::80/124 prohibit", "fd09::80/124"},
}

// Hosts without a machine.
const (
	ghosts      = 101 // first number of the hosts on green that have a port in ofdvr's topology
	absent      = 200 // first number of the addresses that no machine has
	absentHosts = 48  // number of such addresses on each network
	absentFrom  = 180 // addresses that no machine has, used only as source addresses
)

func isGhost(a netip.Addr) bool {
	for h := byte(ghosts); h < ghosts+absentHosts; h++ {
		if a == green.host4(h) || a == green.host6(h) {
			return true
		}
	}
	return false
}

// unresolved reports whether no machine has the address a, so that its MAC address stays unknown.
func unresolved(a netip.Addr) bool {
	for _, n := range networks {
		for h := byte(absent); h < absent+absentHosts; h++ {
			if a == n.host4(h) || a == n.host6(h) {
				return true
			}
		}
		if a == n.host4(0) || a == n.host4(absentFrom) || a == n.host6(absentFrom) {
			return true
		}
	}
	return isGhost(a)
}

// topology returns ofdvr's topology.
func topology() string {
	var ns, is, ps, rs strings.Builder
	for _, n := range networks {
		fmt.Fprintf(&ns, "  - {id: %s, vlan: %d, mtu: %d}\n", n.name, n.vlan, n.mtu)
		fmt.Fprintf(&is, "      - {id: r1-%s, network: %[1]s, mac: %q, addresses: [%s/24, \"%s/64\"]}\n", n.name, n.router(), n.host4(1), n.host6(1))
	}
	port := func(name string, n *network, from, hosts byte) {
		fmt.Fprintf(&ps, "  - {id: %s, network: %s, mac: %q, addresses: [", name, n.name, mac{2, 0, 0, 0, n.vlan, from})
		for h := from; h < from+hosts; h++ {
			fmt.Fprintf(&ps, "%s, \"%s\", ", n.host4(h), n.host6(h))
		}
		ps.WriteString("]}\n")
	}
	for _, m := range machines {
		if !m.undeclared {
			port(m.name, m.net, m.host, 1)
		}
	}
	port("ghost", green, ghosts, absentHosts)
	for _, r := range routes {
		fmt.Fprintf(&rs, "      - {destination: %s, nexthop: %s}\n", r.destination, r.hop.ip4())
		fmt.Fprintf(&rs, "      - {destination: \"%s\", nexthop: \"%s\"}\n", r.destination6, r.hop.ip6())
	}
	for _, r := range around {
		to, hop, _ := strings.Cut(r, " via ")
		fmt.Fprintf(&rs, "      - {destination: %q, nexthop: %q}\n", to, hop)
	}
	// The limits of the flows are never reached, like those of the kernel, see tuning.
	return "networks:\n" + ns.String() + "routers:\n  - id: r1\n    answer_rate: 1000000\n    unknown_rate: 1000000\n    interfaces:\n" + is.String() + "    routes:\n" + rs.String() + "ports:\n" + ps.String()
}

// A world has the packets that are sent on both sides.
type world struct {
	packets  []*packet
	detected map[detection]int
}

// respite is the number of packets between two packets to unresolvable
// addresses. With fewer, a packet could arrive just when Linux gives up
// resolving the address. Then Linux silently drops some of the waiting packets.
const respite = 1000

func newWorld(seed uint64, packets int) *world {
	w := &world{detected: make(map[detection]int)}
	used := make(map[netip.Addr]int)
	spent := func(a netip.Addr, n int) bool {
		return unresolved(a) && used[a] != 0 && n-used[a] < respite
	}
	refusals := make(map[netip.Addr]int)
	for n := 1; n <= packets; n++ {
		p := newPacket(seed, n)
		if refused(p.ip.dst) {
			if refusals[p.ip.src] += len(p.frames); refusals[p.ip.src] > maxRefusals {
				continue
			}
		}
		if spent(p.ip.src, n) || spent(p.ip.dst, n) {
			continue
		}
		used[p.ip.src], used[p.ip.dst] = n, n
		if p.detects.IsValid() {
			d := detection{p.machine().net, p.detects}
			if w.detected[d] != 0 {
				continue // the replies could not be distinguished
			}
			w.detected[d] = n
		}
		w.packets = append(w.packets, p)
	}
	return w
}

// maxRefusals is the number of packets that the kernel refuses without a pause with an answer to their
// source. After them, it answers one packet a second, and this cannot be turned off for a namespace
// (Linux, net/ipv4/route.c, ip_error).
const maxRefusals = 5

// refused reports whether the kernel refuses packets to an IPv4 address, because there is no route to it or
// because the route says so.
func refused(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	for _, o := range others {
		if p, err := netip.ParsePrefix(o.prefix); err == nil && p.Contains(a) && (strings.Contains(o.what, "unreachable") || strings.Contains(o.what, "prohibit")) {
			return true
		}
	}
	for _, r := range routes {
		if r.destination.Contains(a) {
			return false
		}
	}
	return !slices.ContainsFunc(networks, func(n *network) bool { return netip.PrefixFrom(n.host4(1), 24).Masked().Contains(a) })
}

// A side is a host with the machines and one of the two routers.
type side struct {
	*lab.Host
	name     string         // of the router
	netns    string         // the namespace in which the kernel routes
	nic      string         // prefix of the router's interfaces in netns, before the network's name
	port     string         // prefix of the router's ports on br-int
	senders  []io.Writer    // sockets on each machine's interface
	captures []*lab.Capture // on each machine's interface
	inbox    *inbox
}

// boot makes a host with the machines. They have no network stack, because a stack would answer
// packets, and resolve and announce addresses.
func (w *world) boot(t *testing.T, name string) *side {
	t.Helper()
	s := &side{Host: lab.Boot(t), name: name, inbox: newInbox(w.detected)}
	s.sh(t, "", "cd /proc/sys/net/ipv6/conf; echo 1 >all/disable_ipv6; echo 1 >default/disable_ipv6") // otherwise the host would send packets to the machines
	for _, m := range machines {
		lab.Plug(t, s.Host, lab.MachineConfig{Name: m.name, VLAN: uint16(m.net.vlan), MAC: m.mac().String(), MTU: m.net.mtu})
		s.sh(t, m.name, "echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; ip link set eth0 arp off")
	}
	return s
}

// sh runs a shell script in a network namespace of the host.
func (s *side) sh(t *testing.T, netns, script string) {
	t.Helper()
	if _, err := s.RunIn(t.Context(), netns, "sh", "-ec", script); err != nil {
		t.Fatal(err)
	}
}

// ofdvrSide returns the side on which ofdvr routes.
func (w *world) ofdvrSide(t *testing.T) *side {
	s := w.boot(t, "ofdvr")
	s.netns, s.nic, s.port = "qrouter-r1", "qr-r1-", "pi-r1-"
	file, err := s.WriteFile("topology.yaml", topology())
	if err != nil {
		t.Fatal(err)
	}
	daemon := lab.Serve(t, s.Host, "serve", "--topology", file)
	lab.Eventually(t, patience, "the daemon to answer", func() error {
		conn, err := s.Dial(t.Context(), "unix", "/run/ofdvr/api.sock")
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	if _, err := s.Ofdvr(t.Context(), "status", "--wait", "--timeout", patience.String()); err != nil {
		t.Fatalf("%v\n%s", err, daemon.Log())
	}
	for _, o := range others {
		s.sh(t, s.netns, "ip "+o.what)
	}
	lab.Eventually(t, patience, "flows for the foreign routes", func() error {
		flows, err := s.RunIn(t.Context(), "", "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", "rb-r1")
		for _, o := range others {
			if err == nil && !strings.Contains(flows, "dst="+o.prefix) {
				err = fmt.Errorf("no flow for %s", o.prefix)
			}
		}
		return err
	})
	w.prepare(t, s)
	return s
}

// linuxSide returns the side on which Linux routes: a network namespace with an interface on each
// network. It has the same settings as ofdvr's namespaces.
func (w *world) linuxSide(t *testing.T) *side {
	s := w.boot(t, "Linux")
	s.netns, s.nic, s.port = "router", "rt-", "rt-"
	s.sh(t, "", `ip netns add router; ip -n router link set lo up`)
	s.sh(t, s.netns, `
		cd /proc/sys/net
		echo 1 >ipv4/ip_forward
		echo 1 >ipv4/conf/all/arp_ignore
		echo 2 >ipv4/conf/all/arp_announce
		echo 1 >ipv6/conf/all/forwarding
		echo 0 >ipv6/conf/all/accept_dad
		echo 0 >ipv6/conf/default/accept_dad`)
	for _, n := range networks {
		s.sh(t, "", fmt.Sprintf(`
			ip link add %[1]s mtu %[2]d up type veth peer name %[1]s mtu %[2]d address %[3]s netns router
			ovs-vsctl add-port br-int %[1]s tag=%[4]d`, s.nic+n.name, n.mtu, n.router(), n.vlan))
		s.sh(t, s.netns, fmt.Sprintf(`
			ethtool -K %[1]s tx off >/dev/null
			ip link set %[1]s up
			ip addr add %[2]s/24 dev %[1]s
			ip addr add %[3]s/64 dev %[1]s`, s.nic+n.name, n.host4(1), n.host6(1)))
	}
	for _, r := range routes {
		s.sh(t, s.netns, fmt.Sprintf("ip route add %s via %s; ip route add %s via %s", r.destination, r.hop.ip4(), r.destination6, r.hop.ip6()))
	}
	for _, r := range around {
		s.sh(t, s.netns, "ip route add "+r)
	}
	for _, o := range others {
		s.sh(t, s.netns, "ip "+o.what)
	}
	w.prepare(t, s)
	return s
}

// tuning makes the router's replies depend only on the packet. It turns off rate limits and
// redirects, keeps incomplete fragments beyond the end of the test, and resolves absent machines
// only for a short time. Settings that a distribution may change get the kernel's defaults.
const tuning = `
cd /proc/sys/net
echo 0 >ipv4/icmp_ratemask
echo 0 >ipv4/icmp_ratelimit
echo 0 >ipv6/icmp/ratelimit
echo >ipv6/icmp/ratemask
echo 0 >ipv6/auto_flowlabels
echo 600 >ipv4/ipfrag_time
echo 600 >ipv6/ip6frag_time
for c in ipv4/conf/*; do
	echo 0 >$c/rp_filter
	echo 0 >$c/send_redirects
	echo 0 >$c/accept_redirects
	echo 0 >$c/accept_source_route
done
for v in ipv4 ipv6; do
	for n in $v/neigh/*; do
		echo 1 >$n/mcast_solicit
		echo 100 >$n/retrans_time_ms
		echo 0 >$n/proxy_delay # otherwise replies for the anycast address are delayed by a random time
	done
done
`

// prepare sets the state that could otherwise differ between the two sides: it adds
// permanent entries for neighbours and for the ports of MAC addresses.
func (w *world) prepare(t *testing.T, s *side) {
	t.Helper()
	var neigh, fdb strings.Builder
	place := func(port string, n *network, m mac) {
		fmt.Fprintf(&fdb, "ovs-appctl fdb/add %s %s %d %s\n", lab.IntegrationBridge, port, n.vlan, m)
	}
	for _, n := range networks {
		place(s.port+n.name, n, n.router())
	}
	at := func(a netip.Addr, m *machine) {
		fmt.Fprintf(&neigh, "neigh replace %s lladdr %s dev %s%s nud permanent\n", a, m.mac(), s.nic, m.net.name)
	}
	for i, m := range machines {
		place(m.name, m.net, m.mac())
		for _, a := range []netip.Addr{m.ip4(), m.ip6(), linkLocal(m.mac())} {
			at(a, m)
		}
		if i == 0 || machines[i-1].net != m.net {
			for h := byte(aliases); h < aliases+aliasHosts; h++ {
				at(m.net.host4(h), m)
			}
		}
	}
	for _, p := range w.packets {
		if p.known.IsValid() {
			at(p.known, p.machine())
		}
	}
	s.sh(t, "", fdb.String())
	s.sh(t, s.netns, tuning)
	s.sh(t, s.netns, "ip -batch - <<end\n"+neigh.String()+"end\n")
	for _, m := range machines {
		w, err := s.Sender(m.name, "eth0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.Close() })
		c, err := s.Capture(m.name, "eth0", func(f lab.Frame) bool {
			if !f.Outgoing {
				s.inbox.add(m, f.Data)
			}
			return false
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		s.senders, s.captures = append(s.senders, w), append(s.captures, c)
	}
}

// send sends a frame from machine i.
func (s *side) send(i int, frame []byte) error {
	_, err := s.senders[i].Write(frame)
	return err
}

// within returns a context for one step of a test.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
