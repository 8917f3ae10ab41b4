package compile_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/test/lab"
)

// Our trace of a packet through a router's tables agrees with the trace of Open vSwitch. Both have
// the same flows and actions, and the same final packet.
func TestTraceAgreesWithOpenVSwitch(t *testing.T) {
	h := lab.Boot(t)
	sw := realSwitch{conn: connect(t, h)}
	socket, err := ovstrace.Socket(func(name string) ([]byte, error) { return os.ReadFile(h.Path(name)) }, "/run/openvswitch")
	if err != nil {
		t.Fatal(err)
	}
	ctl, err := h.Dial(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer ctl.Close()
	seen := make(map[compile.Role]int)
	check := func(t teller, m *routing.Model, facts compile.Facts, seed uint64, n int) {
		r := &m.Routers[0]
		prog := compile.Compile(routing.NewIndex(m), r, facts)
		sw.program(t, prog)
		dice := packetDice{rand.New(rand.NewPCG(seed, 0)), m, r, facts}
		for range n {
			p := dice.packet(t)
			steps, err := ofproto.Trace(prog.Flows, prog.Groups, p)
			if err != nil {
				t.Fatal(err)
			}
			out, err := ovstrace.Run(t.Context(), ctl, lab.IntegrationBridge, p)
			if err != nil {
				t.Fatal(err)
			}
			theirs, err := ovstrace.Parse(out, lab.IntegrationBridge)
			if err == nil {
				err = ovstrace.Compare(steps, theirs)
			}
			if err != nil {
				t.Fatalf("%v\nin\n%s", err, out)
			}
			for _, s := range steps {
				role, _ := compile.RoleOf(s.Flow.Cookie)
				seen[role]++
			}
		}
	}
	for _, f := range golden(t) {
		check(t, f.model, f.facts, 1, 1000)
	}
	for role := compile.RoleARP; role <= compile.RoleTap; role++ {
		if role == compile.RoleProbe || role == 24 || compile.RoleLimitedResolution <= role && role <= compile.RoleLimitedUnknown || role == compile.RoleForeign || role == compile.RoleSlow || role == compile.RoleFast || role == compile.RoleNeighbour {
			continue // these programs have no flows of the role
		}
		if seen[role] == 0 {
			t.Errorf("no packet hit a flow of role %d", role)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if m, facts := drawModel(t); len(m.Routers[0].Interfaces) > 0 {
			check(t, m, facts, rapid.Uint64().Draw(t, "packets"), 50)
		}
	})
}

// A packetDice draws packets that enter by a port of a router's bridge. It draws all kinds of
// packets that have flows, and some others.
type packetDice struct {
	*rand.Rand
	m     *routing.Model
	r     *routing.Router
	facts compile.Facts
}

func (d packetDice) packet(t teller) ofproto.Packet {
	text := d.headers()
	match, err := ofproto.ParseMatch(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return ofproto.Packet{Headers: match, Size: 14 + one(d, 100, 1400, 1401, 1500, 9000)}
}

func one[T any](d packetDice, of ...T) T { return of[d.IntN(len(of))] }

// or returns the text usual most of the time, and sometimes one of others.
func (d packetDice) or(usual string, others ...string) string {
	if d.IntN(8) > 0 {
		return usual
	}
	return one(d, others...)
}

// destination returns an address of a port, of the router itself, of an extra route, or an
// unused address.
func (d packetDice) destination() netip.Addr {
	var ports, routes, other []netip.Addr
	for _, p := range d.m.Ports {
		ports = append(ports, p.Addresses...)
		for _, q := range p.Pairs {
			ports = append(ports, q.Addresses.Addr())
		}
	}
	for _, i := range d.r.Interfaces {
		for _, a := range i.Addresses {
			other = append(other, a.Addr(), host(a.Addr(), 99), host(a.Addr(), 255))
		}
	}
	for _, r := range d.r.Routes {
		routes = append(routes, host(r.Destination.Addr(), 3))
	}
	switch i := d.IntN(8); {
	case i < 4 && len(ports) > 0:
		return one(d, ports...)
	case i < 6 && len(routes) > 0:
		return one(d, routes...)
	}
	return one(d, other...)
}

// headers returns the headers of a packet as a match.
func (d packetDice) headers() string {
	in, to := one(d, d.r.Interfaces...), d.destination()
	port := cmp.Or(d.facts.Ports[in.PatchName()], 78)
	if d.IntN(20) == 0 {
		port = cmp.Or(d.facts.Ports[in.TapName()], 78)
	}
	eth := fmt.Sprintf("in_port=%d,dl_src=%s,dl_dst=%s", port, d.or("02:00:00:00:99:99", "03:00:00:00:99:99"), d.or(in.MAC.String(), "ff:ff:ff:ff:ff:ff", "02:00:00:00:77:77"))
	if d.IntN(20) == 0 {
		eth += ",dl_vlan=7"
	}
	near := to // an address of the interface
	for _, a := range in.Addresses {
		if a.Addr().Is6() == to.Is6() {
			near = a.Addr()
		}
	}
	src := host(near, one(d, 10, 11, 12, 1, 255, 0)).String()
	ttl := d.or("64", "0", "1", "2", "255")
	kind := one(d, "udp", "tcp", "echo", "asks", "dad", "other", "fragment", "ether")
	if kind == "ether" {
		return eth + ",dl_type=0x88cc"
	}
	sender := d.or("02:00:00:00:99:99", "03:00:00:00:99:99", "00:00:00:00:00:00")
	if to.Is4() {
		ip := fmt.Sprintf(",nw_src=%s,nw_dst=%s,nw_ttl=%s", d.or(src, "0.0.0.0", "127.0.0.1", "224.0.0.1", "10.200.0.1"),
			d.or(to.String(), "224.0.0.5", "255.255.255.255", "192.0.2.1"), ttl)
		switch kind {
		case "asks", "dad":
			return eth + fmt.Sprintf(",arp,arp_op=%s,arp_spa=%s,arp_tpa=%v,arp_sha=%s", d.or("1", "2"), d.or(src, "0.0.0.0", "127.0.0.1"), near, sender)
		case "echo":
			return eth + ip + ",icmp,icmp_type=" + d.or("8", "0", "3") + ",icmp_code=" + d.or("0", "1")
		case "tcp":
			return eth + ip + ",tcp,tcp_dst=443"
		case "udp":
			return eth + ip + ",udp,udp_src=1234,udp_dst=53"
		case "fragment":
			return eth + ip + ",icmp,icmp_type=8,nw_frag=first"
		}
		return eth + ip + ",ip,nw_proto=" + d.or("47", "0")
	}
	ip := fmt.Sprintf(",ipv6_src=%s,ipv6_dst=%s,nw_ttl=%s", d.or(src, "::", "fe80::99", "ff02::1", "::1"),
		d.or(to.String(), "fe80::1", "ff02::1", "2001:db8::1"), ttl)
	b := near.As16()
	group := fmt.Sprintf("ff02::1:ff%02x:%x", b[13], int(b[14])<<8|int(b[15]))
	if d.IntN(2) == 0 {
		eth = fmt.Sprintf("in_port=%d,dl_src=02:00:00:00:99:99,dl_dst=33:33:ff:%02x:%02x:%02x", port, b[13], b[14], b[15])
	}
	asks := fmt.Sprintf(",icmp6,nw_ttl=255,icmp_type=135,icmp_code=0,nd_target=%v", near)
	switch kind {
	case "asks":
		return eth + asks + fmt.Sprintf(",ipv6_src=%s,ipv6_dst=%s,nd_options_type=%s,nd_sll=%s", src, d.or(group, near.String()), d.or("1", "0"), sender)
	case "dad":
		return eth + asks + ",ipv6_src=::,ipv6_dst=" + d.or(group, near.String())
	case "echo":
		return eth + ip + ",icmp6,icmp_type=" + d.or("128", "129", "1") + ",icmp_code=" + d.or("0", "1")
	case "tcp":
		return eth + ip + ",tcp6,tcp_dst=443"
	case "udp":
		return eth + ip + ",udp6,udp_src=1234,udp_dst=53"
	case "fragment":
		return eth + ip + ",ipv6,nw_proto=17,nw_frag=later"
	}
	return eth + ip + ",ipv6,nw_proto=" + d.or("47", "0")
}
