package topology_test

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// drawRoute draws a route to destination with next hops in subnet. The router has one of the
// first eight addresses of the subnet.
func drawRoute(t *rapid.T, destination, subnet netip.Prefix) routing.Route {
	r := routing.Route{Destination: destination, Type: rapid.SampledFrom([]routing.RouteType{
		routing.RouteVia, routing.RouteVia, routing.RouteVia, routing.RouteBlackhole, routing.RouteReject}).Draw(t, "type"), NoFastPath: rapid.Bool().Draw(t, "no fast path")}
	if r.Type != routing.RouteVia {
		return r
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "hops") {
		h := routing.NextHop{Address: addressIn(subnet, 9+i), Weight: 1}
		if rapid.Bool().Draw(t, "weighted") {
			h.Weight = rapid.IntRange(1, routing.MaxWeight).Draw(t, "weight")
		}
		r.NextHops = append(r.NextHops, h)
	}
	return r
}

// addressIn returns address n of a subnet, counted from 0.
func addressIn(subnet netip.Prefix, n int) netip.Addr {
	a := subnet.Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// drawRA draws router advertisements, or nil.
func drawRA(t *rapid.T) *routing.RA {
	if rapid.Bool().Draw(t, "no RA") {
		return nil
	}
	ra := &routing.RA{
		Managed:  rapid.Bool().Draw(t, "managed flag"),
		Other:    rapid.Bool().Draw(t, "other flag"),
		Interval: rapid.OneOf(rapid.Just(600), rapid.IntRange(routing.MinRAInterval, routing.MaxRAInterval)).Draw(t, "interval"),
		MTU:      rapid.OneOf(rapid.Just(0), rapid.IntRange(routing.MinIPv6MTU, routing.MaxMTU)).Draw(t, "RA MTU"),
	}
	ra.Lifetime = rapid.OneOf(rapid.Just(0), rapid.Just(1800), rapid.IntRange(ra.Interval, routing.MaxRALifetime)).Draw(t, "lifetime")
	for i := range rapid.IntRange(0, 2).Draw(t, "prefixes") {
		p := routing.DefaultRAPrefix
		p.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 3, byte(i)}), rapid.SampledFrom([]int{64, 48}).Draw(t, "length"))
		if rapid.Bool().Draw(t, "other prefix") {
			p.OnLink, p.Autonomous = rapid.Bool().Draw(t, "on link"), rapid.Bool().Draw(t, "autonomous")
			p.Valid = rapid.IntRange(0, math.MaxUint32).Draw(t, "valid")
			p.Preferred = rapid.IntRange(0, p.Valid).Draw(t, "preferred")
		}
		ra.Prefixes = append(ra.Prefixes, p)
	}
	return ra
}

// drawPairs draws allowed address pairs: addresses and prefixes, with and without a MAC
// address.
func drawPairs(t *rapid.T) []routing.AddressPair {
	var pairs []routing.AddressPair
	for i := range rapid.IntRange(0, 3).Draw(t, "pairs") {
		p := routing.AddressPair{Addresses: netip.MustParsePrefix(fmt.Sprintf("10.8.%d.%s", i,
			rapid.SampledFrom([]string{"7/32", "16/28", "0/24"}).Draw(t, "pair")))}
		if rapid.Bool().Draw(t, "pair6") {
			p.Addresses = netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 8, byte(i)}), rapid.SampledFrom([]int{128, 64}).Draw(t, "length6"))
		}
		if rapid.Bool().Draw(t, "pair's mac") {
			p.MAC = ofproto.MAC{2, 0, 0, 3, 0, byte(i)}
		}
		pairs = append(pairs, p)
	}
	return pairs
}

// labelTexts are names and values of labels that YAML or JSON could read as another type.
var labelTexts = []string{"true", "null", "No", "1", "1.5", "1e3", "0x1F", "017", "1_000", "2001-12-14", "a.b-c_d", "tier", "A", "Infinity", strings.Repeat("x", routing.MaxLabelName)}

// drawMeta draws metadata, or nil. texts draws its name and description.
func drawMeta(t *rapid.T, texts func(most int) *rapid.Generator[string]) *routing.Meta {
	var m routing.Meta
	if rapid.Bool().Draw(t, "named") {
		m.Name = texts(routing.MaxNameLen).Draw(t, "meta name")
	}
	if rapid.Bool().Draw(t, "described") {
		m.Description = texts(routing.MaxDescriptionLen).Draw(t, "description")
	}
	keys := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) string {
		prefix := rapid.SampledFrom([]string{"", "example.com/", "a/", "0/", "kubernetes.io/", "1.2/", "x-y.z/"}).Draw(t, "prefix")
		return prefix + rapid.SampledFrom(labelTexts).Draw(t, "key")
	}), 0, 4, rapid.ID[string]).Draw(t, "labels")
	slices.Sort(keys)
	for _, k := range keys {
		m.Labels = append(m.Labels, routing.Label{Key: k, Value: rapid.SampledFrom(append([]string{""}, labelTexts...)).Draw(t, "value")})
	}
	if m.Equal(new(routing.Meta)) {
		return nil
	}
	return &m
}

// meta returns the keys of m. Labels are written in the opposite order.
func (s style) meta(m *routing.Meta) (doc []pair) {
	if m == nil {
		return nil
	}
	if m.Name != "" {
		doc = append(doc, pair{"name", s.str(m.Name)})
	}
	if m.Description != "" {
		doc = append(doc, pair{"description", s.str(m.Description)})
	}
	var labels []pair
	for _, l := range m.Labels {
		value := s.str(l.Value)
		if l.Value == "" || l.Value == "null" { // needs quotes, because YAML would read null
			value = strconv.Quote(l.Value)
		}
		labels = append([]pair{{l.Key, value}}, labels...)
	}
	if labels != nil {
		doc = append(doc, pair{"labels", labels})
	}
	return doc
}

// plainNames draws names that need no quotes.
func plainNames(most int) *rapid.Generator[string] {
	return rapid.StringMatching(`[a-z][a-z0-9_.ü-]{0,20}x`)
}

// drawHosts draws hosts, or none. ids draws their IDs, and texts their metadata.
func drawHosts(t *rapid.T, ids *rapid.Generator[string], texts func(most int) *rapid.Generator[string]) (hosts []routing.Host) {
	six := rapid.Bool().Draw(t, "tunnels over IPv6")
	for i, id := range rapid.SliceOfNDistinct(ids, 0, 3, rapid.ID[string]).Draw(t, "hosts") {
		h := routing.Host{ID: id, Meta: drawMeta(t, texts)}
		if rapid.Bool().Draw(t, "tunnel") {
			h.Tunnel.Type = routing.TunnelType(rapid.IntRange(0, 1).Draw(t, "tunnel type"))
			h.Tunnel.Address = netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})
			if six {
				h.Tunnel.Address = netip.AddrFrom16([16]byte{0x20, 9, 15: byte(i + 1)})
			}
		}
		hosts = append(hosts, h)
	}
	return hosts
}

// drawHostOf draws the ID of a host of m, or "".
func drawHostOf(t *rapid.T, m *routing.Model) string {
	hosts := []string{""}
	for _, h := range m.Hosts {
		hosts = append(hosts, h.ID)
	}
	return rapid.SampledFrom(hosts).Draw(t, "host")
}

// host returns the keys of h.
func (s style) host(h *routing.Host) []pair {
	doc := append(s.meta(h.Meta), pair{"id", s.str(h.ID)})
	if h.Tunnel == (routing.Tunnel{}) {
		return doc
	}
	tunnel := []pair{{"address", s.str(h.Tunnel.Address.String())}}
	if h.Tunnel.Type == routing.TunnelVXLAN || s.flow {
		tunnel = append(tunnel, pair{"type", s.str(h.Tunnel.Type.String())})
	}
	return append(doc, pair{"tunnel", tunnel})
}
