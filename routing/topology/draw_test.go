package topology_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// nastyTexts are strings that YAML or JSON could misread.
var nastyTexts = []string{
	"null", "Null", "~", "true", "No", "on", "y", "1e3", "1.", ".5", "0x1F", "0o17", "0b11", "017", "1_000", "+1", "-1", "-",
	"--", "---", "...", ".inf", ".nan", "-.inf", "2001-12-14", "12:30:45", "1:2", "a: b", "a:", ":a", ": ", "::", "a #b", "#a",
	"- a", "-a", "? a", "?", "!a", "&a", "*a", "%a", "@a", "`a", "|", ">", "[a]", "{a}", "a,b", "a]", "a}", ",", "\"", "'", "a\"b",
	"a'b", `\`, `\n`, `a\u0041`, " a", "a ", " ", "a  b", "<<", "=", "ü", "日本", "😀", "\u2028", "\ufeff", "\ufeffa", "a\ufeff",
	"\u00a0", "\u0301", "\ufffd", "\ufffe", "e1", "1e", "1e+", "10.0.0.1", "10.0.0.1/24", "fe80::1", "a.b/c_d-e", "/a", "a/", "_",
	"00000000-0000-4000-8000-0123456789ab", "12345678-90ab-4def-8123-456789abcdef", "1234567e-1234-4def-8123-456789abcdef",
	"99999999999999999999999", "Infinity", "NaN", "inf", "0", "00", "-0", "0.0", "0x", "0o8", "0b2", "1__0", "1_", "9e999",
}

// isRefused reports whether character c is not allowed in names and IDs.
func isRefused(c rune) bool {
	return unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || strings.ContainsRune("\ufffd\u115f\u1160\u2800\u3164\uffa0", c)
}

// texts draws valid names, mostly strings that are difficult in YAML. most is the maximum number of
// bytes.
func texts(most int) *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom(nastyTexts),
		rapid.StringOfN(rapid.SampledFrom([]rune("ab01 -.:#,'\"\\[]{}~eEx_?!&*|>%@`ü\u2028")), 1, 12, most),
		rapid.StringN(1, -1, most),
	).Filter(func(s string) bool {
		return strings.TrimSpace(s) != "" && len(s) <= most && utf8.ValidString(s) && !strings.ContainsFunc(s, isRefused)
	})
}

// drawNasty draws a valid model with strings that are as unusual as possible.
func drawNasty(t *rapid.T) *routing.Model {
	m := new(routing.Model)
	ids := rapid.SliceOfNDistinct(texts(routing.MaxIDLen), 0, 4, rapid.ID[string]).Draw(t, "ids")
	names := 0 // names of links must differ
	name := func() string {
		names++
		return fmt.Sprint(rapid.SampledFrom([]string{"~", "-", "#", "1e", "0x", "'", "\"", "\\", "a", "&", "[", "null,", "?", "."}).Draw(t, "name"), names)
	}
	for i, id := range ids {
		n := routing.Network{ID: id, Meta: drawMeta(t, texts), MTU: rapid.SampledFrom([]int{1500, 68, 65535}).Draw(t, "mtu")}
		if rapid.Bool().Draw(t, "tagged") {
			n.VLAN = uint16(i + 1)
		}
		if rapid.Bool().Draw(t, "scoped") {
			n.NoFastPath = true
			n.IPv4Scope, n.IPv6Scope = texts(routing.MaxIDLen).Draw(t, "scope"), texts(routing.MaxIDLen).Draw(t, "scope6")
		}
		if rapid.Bool().Draw(t, "carried") {
			n.VNI = uint32(rapid.SampledFrom([]int{1, routing.MaxVNI - 100}).Draw(t, "vni") + i)
			n.Broadcast = rapid.SampledFrom([]routing.Broadcast{routing.BroadcastAll, routing.BroadcastDHCP, routing.BroadcastNone}).Draw(t, "broadcast")
		}
		m.Networks = append(m.Networks, n)
	}
	m.Hosts = drawHosts(t, texts(routing.MaxIDLen), texts)
	namespaces := rapid.SliceOfNDistinct(texts(255).Filter(func(s string) bool {
		return s != "." && s != ".." && !strings.Contains(s, "/")
	}), len(ids), len(ids), rapid.ID[string]).Draw(t, "namespaces")
	for i, id := range ids {
		managed := rapid.Bool().Draw(t, "managed") || slices.ContainsFunc(m.Networks, func(n routing.Network) bool { return n.VNI != 0 })
		r := routing.Router{
			ID:        id,
			Meta:      drawMeta(t, texts),
			Namespace: namespaces[i],
			Fallback:  rapid.SampledFrom([]routing.Fallback{routing.FallbackNamespace, routing.FallbackNone}).Draw(t, "fallback"),

			ARPResponder:  rapid.Bool().Draw(t, "arp"),
			NDResponder:   rapid.Bool().Draw(t, "nd"),
			EchoResponder: rapid.Bool().Draw(t, "echo"),
			AnswerRate:    rapid.OneOf(rapid.Just(1000), rapid.IntRange(0, routing.MaxAnswerRate)).Draw(t, "rate"),
			UnknownRate:   rapid.OneOf(rapid.Just(50), rapid.IntRange(0, routing.MaxAnswerRate)).Draw(t, "unknown"),

			Bridge: routing.Bridge{Managed: managed, Foreign: routing.Foreign(rapid.IntRange(0, 3).Draw(t, "foreign"))},
		}
		if !managed || rapid.Bool().Draw(t, "named") {
			r.Bridge.Name = name()
			r.Bridge.DatapathID = ofproto.DPID(rapid.IntRange(0, 1).Draw(t, "dpid") * (i + 1))
		}
		for j := range rapid.IntRange(0, len(ids)).Draw(t, "interfaces") {
			f := routing.Interface{ID: fmt.Sprintf("%d%d-%s", i, j, firstBytes(ids[j])), Network: ids[j], MAC: ofproto.MAC{2, 0, 0, 1, byte(i), byte(j)}}
			f.Addresses = append(f.Addresses, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), byte(j), 1}), 24))
			if rapid.Bool().Draw(t, "six") && m.Networks[j].MTU >= routing.MinIPv6MTU {
				f.Addresses = append(f.Addresses, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, byte(i), byte(j)}), 64).Masked())
				if r.Fallback == routing.FallbackNamespace && managed {
					f.RA = drawRA(t)
				}
			}
			f.Down = rapid.Bool().Draw(t, "interface down")
			if !managed || rapid.Bool().Draw(t, "ports") {
				f.PatchPort, f.TapPort = name(), name()
				if f.RA != nil { // radvd accepts no unusual names
					f.TapPort = fmt.Sprint("t&", names)
				}
			}
			r.Interfaces = append(r.Interfaces, f)
			for k, a := range f.Addresses {
				to := netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(j)}), 16)
				if k == 1 {
					to = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 4, byte(j)}), 48)
				}
				if rapid.Bool().Draw(t, "route") {
					r.Routes = append(r.Routes, drawRoute(t, to, a))
				}
			}
		}
		m.Routers = append(m.Routers, r)
	}
	for i, id := range ids {
		p := routing.Port{ID: id, Meta: drawMeta(t, texts), Network: ids[len(ids)-1-i], MAC: ofproto.MAC{2, 0, 0, 2, 0, byte(i)}}
		for k := range rapid.IntRange(0, 3).Draw(t, "addresses") {
			p.Addresses = append(p.Addresses, rapid.SampledFrom([]netip.Addr{
				netip.AddrFrom4([4]byte{10, 1, byte(k), byte(i + 10)}), netip.AddrFrom16([16]byte{0x20, 1, 14: byte(k), 15: byte(i + 10)}),
				netip.AddrFrom16([16]byte{0x20, 2, 1, byte(k), 0, byte(i)}),
			}).Draw(t, "address"))
		}
		p.Pairs = drawPairs(t)
		p.Host = drawHostOf(t, m)
		p.Down, p.Unbound, p.NoFastPath = rapid.Bool().Draw(t, "down"), rapid.Bool().Draw(t, "unbound"), rapid.Bool().Draw(t, "no fast path")
		m.Ports = append(m.Ports, p)
	}
	if err := m.Validate(); err != nil {
		t.Fatalf("the model is not valid: %v", err)
	}
	return m
}

func firstBytes(s string) string {
	for i := range s {
		if i > 16 {
			return s[:i]
		}
	}
	return s
}
