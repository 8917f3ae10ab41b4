package topology_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// A style is a way of writing the same values.
type style struct {
	json, flow bool
	quote      string // quotes of strings; "" if a string has quotes only where YAML needs them
	eol        string
}

// A pair is a key with a value: a scalar as written, a list or a mapping.
type pair struct {
	key   string
	value any
}

func (s style) key(k string) string {
	if s.json {
		return strconv.Quote(k)
	}
	return k
}

func (s style) str(v string) string {
	if s.json {
		return strconv.Quote(v)
	}
	return s.quote + v + s.quote
}

// write formats v; lines after the first are indented by indent.
func (s style) write(v any, indent string) string {
	var b strings.Builder
	switch v := v.(type) {
	case string:
		return v
	case []any:
		if s.json || s.flow || len(v) == 0 {
			for i, item := range v {
				fmt.Fprintf(&b, "%s%s%s ", sep(i), s.eol, indent+" "+s.write(item, indent+" "))
			}
			return "[" + b.String() + "]"
		}
		for _, item := range v {
			b.WriteString(s.eol + indent + "- " + s.write(item, indent+"  "))
		}
	case []pair:
		if s.json || s.flow {
			for i, p := range v {
				fmt.Fprintf(&b, "%s%s: %s", sep(i), s.key(p.key), s.write(p.value, indent+" "))
			}
			return "{" + b.String() + "}"
		}
		for i, p := range v {
			if i > 0 {
				b.WriteString(s.eol + indent)
			}
			value := s.write(p.value, indent+"  ")
			if _, ok := p.value.([]pair); ok {
				value = s.eol + indent + "  " + value
			}
			fmt.Fprintf(&b, "%s: %s", p.key, value)
		}
	}
	return b.String()
}

func sep(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

// TestRoundTrip writes random valid models in all styles and reads them back.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := style{
			json:  rapid.Bool().Draw(t, "json"),
			flow:  rapid.Bool().Draw(t, "flow"),
			quote: rapid.SampledFrom([]string{"", `"`, `'`}).Draw(t, "quote"),
			eol:   rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "eol"),
		}
		want, doc := drawModel(t, s)
		text := s.write(doc, "") + s.eol
		got, _, err := topology.Parse("x", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("-want +got:\n%s\n%s", diff, text)
		}
	})
}

// drawModel draws a valid model. It returns the model, and the keys and values of its document as
// pairs.
func drawModel(t *rapid.T, s style) (*routing.Model, []pair) {
	m := new(routing.Model)
	var networks, routers, ports []any
	ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9_.ü-]{0,20}x`), 1, 4, rapid.ID[string]).Draw(t, "ids")
	six := rapid.Bool().Draw(t, "six")
	carried := rapid.Bool().Draw(t, "carried")
	m.Hosts = drawHosts(t, rapid.StringMatching(`[a-z][a-z0-9_.ü-]{0,20}x`), plainNames)
	var hosts []any
	for i := range m.Hosts {
		hosts = append(hosts, s.host(&m.Hosts[i]))
	}
	for i, id := range ids {
		n := routing.Network{ID: id, MTU: 1500}
		doc := []pair{{"id", s.str(id)}}
		if rapid.Bool().Draw(t, "tagged") {
			n.VLAN, n.MTU = uint16(i+1), 9000
			doc = append(doc, pair{"vlan", fmt.Sprint(i + 1)}, pair{"mtu", "9000"})
		}
		if rapid.Bool().Draw(t, "scoped") {
			n.IPv4Scope, n.IPv6Scope = "s4", id
			doc = append(doc, pair{"ipv6_address_scope", s.str(id)}, pair{"ipv4_address_scope", s.str("s4")})
		}
		if n.NoFastPath = rapid.Bool().Draw(t, "no fast path"); n.NoFastPath {
			doc = append(doc, pair{"fast_path", s.str("off")})
		}
		if carried && rapid.Bool().Draw(t, "vni") {
			n.VNI = uint32(rapid.SampledFrom([]int{1, routing.MaxVNI - 100}).Draw(t, "number") + i)
			n.Broadcast = routing.Broadcast(rapid.IntRange(0, 2).Draw(t, "broadcast"))
			doc = append(doc, pair{"vni", fmt.Sprint(n.VNI)}, pair{"broadcast", s.str(n.Broadcast.String())})
		}
		n.Meta = drawMeta(t, plainNames)
		doc = append(doc, s.meta(n.Meta)...)
		m.Networks, networks = append(m.Networks, n), append(networks, doc)
	}
	for i, id := range ids {
		none := !carried && rapid.Bool().Draw(t, "none")
		r := routing.Router{ID: id, ARPResponder: !none, NDResponder: !none, EchoResponder: !none, AnswerRate: 1000, UnknownRate: 50, Bridge: routing.Bridge{Managed: true}}
		doc := []pair{{"id", s.str(id)}}
		if none {
			r.Fallback, r.Bridge = routing.FallbackNone, routing.Bridge{Name: fmt.Sprint("br", i), DatapathID: ofproto.DPID(i + 1)}
			doc = append(doc, pair{"fallback", s.str("none")}, pair{"arp_responder", "false"}, pair{"nd_responder", "false"},
				pair{"echo_responder", "false"}, pair{"bridge",
					[]pair{{"managed", "false"}, {"name", s.str(r.Bridge.Name)}, {"datapath_id", s.str(r.Bridge.DatapathID.String())}}})
		}
		if rapid.Bool().Draw(t, "rate") {
			r.AnswerRate = 7
			r.UnknownRate = 8
			doc = append(doc, pair{"answer_rate", "7"}, pair{"unknown_rate", "8"})
		}
		r.Meta = drawMeta(t, plainNames)
		doc = append(doc, s.meta(r.Meta)...)
		var interfaces, routes []any
		for j, network := range ids {
			f := routing.Interface{ID: fmt.Sprintf("i%d-%d", i, j), Network: network, MAC: ofproto.MAC{2, 0, 0, 1, byte(i), byte(j)},
				PatchPort: fmt.Sprintf("p%d-%d", i, j)}
			a := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j), 1}), 24)
			if six {
				a = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(i), byte(j), 15: 1}), 64)
			}
			f.Addresses = []netip.Prefix{a}
			of := []pair{{"addresses", []any{s.str(a.String())}}, {"mac", s.str(f.MAC.String())},
				{"id", s.str(f.ID)}, {"network", s.str(network)}, {"patch_port", s.str(f.PatchPort)}}
			if f.Down = rapid.Bool().Draw(t, "down"); f.Down {
				of = append(of, pair{"admin_state", s.str("down")})
			}
			if six && !none {
				if f.RA = drawRA(t); f.RA != nil {
					of = append(of, pair{"ra", s.ra(f.RA)})
				}
			}
			r.Interfaces, interfaces = append(r.Interfaces, f), append(interfaces, of)
			to := netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(j)}), 16)
			if six {
				to = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 4, byte(j)}), 48)
			}
			route := drawRoute(t, to, a)
			r.Routes, routes = append(r.Routes, route), append(routes, s.route(&route))
		}
		m.Routers, routers = append(m.Routers, r), append(routers, append(doc, pair{"interfaces", interfaces}, pair{"routes", routes}))
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "ports") {
		p := routing.Port{ID: fmt.Sprint(i), Network: ids[0], MAC: ofproto.MAC{2, 0, 0, 2, 0, byte(i)}}
		var addrs []any
		for k := range rapid.IntRange(0, 3).Draw(t, "addresses") {
			a := netip.AddrFrom4([4]byte{10, 0, byte(k), byte(i + 10)})
			if six {
				a = netip.AddrFrom16([16]byte{0x20, 1, 14: byte(k), 15: byte(i + 10)})
			}
			p.Addresses, addrs = append(p.Addresses, a), append(addrs, s.str(a.String()))
		}
		p.Pairs = drawPairs(t)
		p.Down, p.Unbound, p.NoFastPath = rapid.Bool().Draw(t, "down"), rapid.Bool().Draw(t, "unbound"), rapid.Bool().Draw(t, "no fast path")
		p.Meta = drawMeta(t, plainNames)
		meta := s.meta(p.Meta)
		if p.Host = drawHostOf(t, m); p.Host != "" {
			meta = append(meta, pair{"host", s.str(p.Host)})
		}
		m.Ports = append(m.Ports, p)
		ports = append(ports, append(meta, []pair{{"id", fmt.Sprint(i)}, {"mac", s.str(p.MAC.String())}, {"network", s.str(p.Network)}, {"addresses", addrs},
			{"admin_state", s.str(map[bool]string{false: "up", true: "down"}[p.Down])}, {"bound", fmt.Sprint(!p.Unbound)}, {"fast_path", s.str(map[bool]string{false: "on", true: "off"}[p.NoFastPath])},
			{"allowed_address_pairs", s.pairs(p.Pairs)}}...))
	}
	doc := []pair{{"networks", networks}, {"routers", routers}, {"ports", ports}}
	if hosts != nil {
		doc = append(doc, pair{"hosts", hosts})
	}
	return m, doc
}

func (s style) route(r *routing.Route) []pair {
	doc := []pair{{"destination", s.str(r.Destination.String())}, {"fast_path", s.str(map[bool]string{false: "on", true: "off"}[r.NoFastPath])}}
	switch r.Type {
	case routing.RouteBlackhole:
		return append(doc, pair{"type", s.str("blackhole")})
	case routing.RouteReject:
		return append(doc, pair{"type", s.str("reject")})
	}
	if len(r.NextHops) == 1 && r.NextHops[0].Weight == 1 && s.flow {
		return append(doc, pair{"nexthop", s.str(r.NextHops[0].Address.String())})
	}
	var hops []any
	for _, h := range r.NextHops {
		hops = append(hops, []pair{{"address", s.str(h.Address.String())}, {"weight", fmt.Sprint(h.Weight)}})
	}
	return append(doc, pair{"nexthops", hops})
}

func (s style) ra(ra *routing.RA) []pair {
	doc := []pair{{"managed", fmt.Sprint(ra.Managed)}, {"other", fmt.Sprint(ra.Other)},
		{"interval", fmt.Sprint(ra.Interval)}, {"lifetime", fmt.Sprint(ra.Lifetime)}}
	if ra.MTU != 0 {
		doc = append(doc, pair{"mtu", fmt.Sprint(ra.MTU)})
	}
	var prefixes []any
	for _, p := range ra.Prefixes {
		prefixes = append(prefixes, []pair{{"prefix", s.str(p.Prefix.String())}, {"on_link", fmt.Sprint(p.OnLink)}, {"autonomous", fmt.Sprint(p.Autonomous)},
			{"preferred_lifetime", fmt.Sprint(p.Preferred)}, {"valid_lifetime", fmt.Sprint(p.Valid)}})
	}
	return append(doc, pair{"prefixes", prefixes})
}

func (s style) pairs(pairs []routing.AddressPair) []any {
	var doc []any
	for _, p := range pairs {
		a := p.Addresses.String()
		if p.Addresses.IsSingleIP() && s.flow { // a single address may be written without the prefix length
			a = p.Addresses.Addr().String()
		}
		of := []pair{{"address", s.str(a)}}
		if p.MAC != (ofproto.MAC{}) {
			of = append(of, pair{"mac", s.str(p.MAC.String())})
		}
		doc = append(doc, of)
	}
	return doc
}
