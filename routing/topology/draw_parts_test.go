package topology_test

import (
	"fmt"
	"math"
	"net/netip"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// drawRoute draws a route to destination with next hops in subnet, which the
// router has one of the first eight addresses of.
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

// addressIn returns address number n of a subnet, from 0.
func addressIn(subnet netip.Prefix, n int) netip.Addr {
	a := subnet.Masked().Addr()
	for range n {
		a = a.Next()
	}
	return a
}

// drawRA draws router advertisements, or none.
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

// drawPairs draws allowed address pairs: addresses and prefixes, with and
// without a MAC address.
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
