package intent_test

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
	"github.com/ofdvr/ofdvr/routing/intent"
)

// A style is a way to write the same values.
type style struct {
	json, flow bool
	quote      string // around strings, "" only where YAML needs none
	eol        string
}

// pair is a key with a value: a scalar as written, a list or a mapping.
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

// write renders v with the lines after the first indented by indent.
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
		got, _, err := intent.Parse("x", []byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("-want +got:\n%s\n%s", diff, text)
		}
	})
}

// drawModel draws a valid model and the same as pairs.
func drawModel(t *rapid.T, s style) (*routing.Model, []pair) {
	m := new(routing.Model)
	var networks, routers, ports []any
	ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][a-z0-9_.ü-]{0,20}x`), 1, 4, rapid.ID[string]).Draw(t, "ids")
	six := rapid.Bool().Draw(t, "six")
	for i, id := range ids {
		n := routing.Network{ID: id, MTU: 1500}
		doc := []pair{{"id", s.str(id)}}
		if rapid.Bool().Draw(t, "tagged") {
			n.VLAN, n.MTU = uint16(i+1), 9000
			doc = append(doc, pair{"vlan", fmt.Sprint(i + 1)}, pair{"mtu", "9000"})
		}
		m.Networks, networks = append(m.Networks, n), append(networks, doc)
	}
	for i, id := range ids {
		none := rapid.Bool().Draw(t, "none")
		r := routing.Router{ID: id, ARPResponder: !none, Bridge: routing.Bridge{Managed: true}}
		doc := []pair{{"id", s.str(id)}}
		if none {
			r.Fallback, r.Bridge = routing.FallbackNone, routing.Bridge{Name: fmt.Sprint("br", i), DatapathID: ofproto.DPID(i + 1)}
			doc = append(doc, pair{"fallback", s.str("none")}, pair{"arp_responder", "false"}, pair{"bridge",
				[]pair{{"managed", "false"}, {"name", s.str(r.Bridge.Name)}, {"datapath_id", s.str(r.Bridge.DatapathID.String())}}})
		}
		var interfaces []any
		for j, network := range ids {
			f := routing.Interface{ID: fmt.Sprintf("i%d-%d", i, j), Network: network, MAC: ofproto.MAC{2, 0, 0, 1, byte(i), byte(j)},
				PatchPort: fmt.Sprintf("p%d-%d", i, j)}
			a := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j), 1}), 24)
			if six {
				a = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(i), byte(j), 15: 1}), 64)
			}
			f.Addresses = []netip.Prefix{a}
			r.Interfaces = append(r.Interfaces, f)
			interfaces = append(interfaces, []pair{{"addresses", []any{s.str(a.String())}}, {"mac", s.str(f.MAC.String())},
				{"id", s.str(f.ID)}, {"network", s.str(network)}, {"patch_port", s.str(f.PatchPort)}})
		}
		m.Routers, routers = append(m.Routers, r), append(routers, append(doc, pair{"interfaces", interfaces}))
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
		m.Ports = append(m.Ports, p)
		ports = append(ports, []pair{{"id", fmt.Sprint(i)}, {"mac", s.str(p.MAC.String())}, {"network", s.str(p.Network)}, {"addresses", addrs}})
	}
	return m, []pair{{"networks", networks}, {"routers", routers}, {"ports", ports}}
}
