package compile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A packet is a UDP packet that enters by a router's interface.
type packet struct {
	inPort   ofproto.PortNo
	by, mac  ofproto.MAC // the machine's source address and the destination MAC address
	src, dst netip.Addr
	size     int // of the IP packet
}

// headers returns the headers of p as a switch sees them.
func (p packet) headers() ofproto.Match {
	fields := []ofproto.Field{ofproto.InPort(p.inPort), ofproto.EthSrc(p.by), ofproto.EthDst(p.mac), ofproto.IPProto(17), ofproto.IPTTL(64)}
	src, dst := netip.PrefixFrom(p.src, p.src.BitLen()), netip.PrefixFrom(p.dst, p.dst.BitLen())
	if p.dst.Is4() {
		return ofproto.MatchOf(append(fields, ofproto.IPv4(), ofproto.IPv4Src(src), ofproto.IPv4Dst(dst))...)
	}
	return ofproto.MatchOf(append(fields, ofproto.IPv6(), ofproto.IPv6Src(src), ofproto.IPv6Dst(dst))...)
}

// routed returns the actions of the last flow that a packet hits. If that flow leads to a
// group, the result has the actions of all buckets.
func routed(t *rapid.T, prog compile.Program, p packet) string {
	steps, err := ofproto.Trace(prog.Flows, prog.Groups, ofproto.Packet{Headers: p.headers(), Size: p.size + 14})
	if err != nil {
		t.Fatal(err)
	}
	last := steps[len(steps)-1]
	if last.Group == 0 {
		var do []ofproto.Instruction
		for in := range last.Flow.Do.All() {
			if _, counts := in.(ofproto.Meter); !counts {
				do = append(do, in)
			}
		}
		return ofproto.Do(do...).String()
	}
	g := prog.Groups[slices.IndexFunc(prog.Groups, func(g ofproto.GroupEntry) bool { return g.ID == last.Group })]
	var all []string
	for _, b := range g.Buckets {
		all = append(all, b.Actions.String())
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " or ")
}

// The compiled tables agree with Linux about the packets that the switch forwards, their
// destinations, and the packets that the kernel gets. Linux consults its local table, policy
// rules, and a longest prefix match over connected subnets, extra routes and routes of other
// programs. The order of these routes does not matter.
func TestLongestPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, facts := drawModel(t)
		x := routing.NewIndex(m)
		for i := range m.Routers {
			r := &m.Routers[i]
			ns := drawNamespace(t, r, facts)
			facts.Kernel = ns.read(r)
			prog := compile.Compile(x, r, facts)
			for j := range r.Interfaces {
				in := &r.Interfaces[j]
				no := facts.Ports[in.PatchName()]
				if no == 0 {
					continue
				}
				for range 20 {
					from := rapid.SampledFrom(in.Addresses).Draw(t, "from").Addr()
					address := func() netip.Addr {
						n, s, h := rapid.SampledFrom([]int{0, 1, 2, 3, 4, 200}).Draw(t, "net"), rapid.IntRange(0, 7).Draw(t, "subnet"), rapid.IntRange(1, 16).Draw(t, "host")
						if from.Is6() {
							return subnet6(n, s, h).Addr()
						}
						return netip.AddrFrom4([4]byte{10, byte(n), byte(32 * s), byte(h)})
					}
					p := packet{inPort: no, by: ofproto.MAC{2, 9}, mac: in.MAC, src: host(from, 77), dst: address(), size: rapid.SampledFrom([]int{100, 1400, 1401, 1500, 9000}).Draw(t, "size")}
					if rapid.IntRange(0, 3).Draw(t, "is from elsewhere") == 0 {
						p.src = address()
					}
					for _, n := range m.Networks {
						if n.ID == in.Network {
							p.size = min(p.size, n.MTU) // a larger packet cannot have arrived
						}
					}
					if len(m.Ports) > 0 && rapid.Bool().Draw(t, "is sent by a port") {
						q := rapid.SampledFrom(m.Ports).Draw(t, "port")
						p.by = q.MAC
						for _, a := range q.Addresses {
							if a.Is4() == p.dst.Is4() && rapid.Bool().Draw(t, "is from the port") {
								p.src = a
							}
						}
					}
					want := []string{reference(m, r, facts, in, p)}
					by, slow := ns.lookup(p.src, p.dst), slowness(m, r, facts, in, p)
					switch kernel := kernelOf(r, facts, in); {
					case in.Down:
					case by == others, slow == others:
						want = []string{kernel}
					case by == either, slow == either:
						want = append(want, kernel)
					}
					if got := routed(t, prog, p); !slices.Contains(want, got) {
						t.Fatalf("router %s, from %s: %+v\nis %q\nwant %q\nrouter %+v\nports %+v\nnamespace %+v\n%s", r.ID, in.ID, p, got, want, *r, m.Ports, ns, prog.Flows)
					}
				}
			}
		}
	})
}

// kernelOf returns the instructions that send a packet to the kernel.
func kernelOf(r *routing.Router, facts compile.Facts, in *routing.Interface) string {
	if tap := facts.Ports[in.TapName()]; tap != 0 && r.Fallback == routing.FallbackNamespace {
		return fmt.Sprintf("output:%d", tap)
	}
	return "drop"
}

// reference returns the expected result for a packet, by a linear search.
func reference(m *routing.Model, r *routing.Router, facts compile.Facts, in *routing.Interface, p packet) string {
	kernel := kernelOf(r, facts, in)
	has := slices.ContainsFunc(in.Addresses, func(a netip.Prefix) bool { return a.Addr().Is4() == p.dst.Is4() })
	switch {
	case in.Down:
		return "drop"
	case !has:
		return kernel
	}
	for _, i := range r.Interfaces { // Linux consults the local table first
		for _, a := range i.Addresses {
			own := p.dst == a.Addr() || p.dst == a.Masked().Addr() || p.src == a.Addr() || p.src == a.Masked().Addr()
			if own && !i.Down && facts.Ports[i.PatchName()] != 0 {
				return kernel
			}
		}
	}
	network := func(i *routing.Interface) routing.Network {
		return m.Networks[slices.IndexFunc(m.Networks, func(n routing.Network) bool { return n.ID == i.Network })]
	}
	scope := func(i *routing.Interface) string {
		if p.dst.Is4() {
			return network(i).IPv4Scope
		}
		return network(i).IPv6Scope
	}
	// out returns the interface that leads to an address.
	out := func(a netip.Addr) *routing.Interface {
		if i := r.Leg(a); i != nil && !i.Down && facts.Ports[i.PatchName()] != 0 {
			return i
		}
		return nil
	}
	deliver := func(addrs ...netip.Addr) string {
		var all []string
		mtu, first := 1<<16, (*routing.Interface)(nil)
		for _, a := range addrs {
			to := out(a)
			if to == nil || to == in {
				return kernel
			}
			if first == nil {
				first = to
			}
			mac, ok := owner(m, to.Network, a)
			if !ok || scope(to) != scope(in) || scope(to) != scope(first) {
				return kernel
			}
			mtu = min(mtu, network(to).MTU)
			all = append(all, fmt.Sprintf("set_field:%v->eth_src,set_field:%v->eth_dst,dec_ttl,output:%d", to.MAC, mac, facts.Ports[to.PatchName()]))
		}
		narrow := p.size > mtu || mtu < network(in).MTU && !facts.Can.Has(compile.CanCheckLength)
		if narrow || len(addrs) > 1 && !facts.Can.Has(compile.CanSelect) {
			return kernel
		}
		slices.Sort(all)
		return strings.Join(slices.Compact(all), " or ")
	}
	bits, does := -1, kernel
	for i := range r.Interfaces {
		for _, a := range r.Interfaces[i].Addresses {
			if a.Contains(p.dst) && a.Bits() > bits && out(a.Addr()) != nil {
				bits, does = a.Bits(), deliver(p.dst)
			}
		}
	}
	for _, route := range r.Routes {
		if !route.Destination.Contains(p.dst) || route.Destination.Bits() <= bits {
			continue
		}
		bits = route.Destination.Bits()
		switch route.Type {
		case routing.RouteBlackhole:
			does = "drop"
		case routing.RouteReject:
			does = kernel
		default:
			var via []netip.Addr
			for _, h := range route.NextHops {
				via = append(via, h.Address)
			}
			does = deliver(via...)
		}
	}
	return does
}

// owner returns the MAC address for a on a network.
func owner(m *routing.Model, network string, a netip.Addr) (mac ofproto.MAC, ok bool) {
	var own, claimed []ofproto.MAC
	single := false
	for _, p := range m.Ports {
		if p.Network != network || p.Down || p.Unbound {
			continue
		}
		if slices.Contains(p.Addresses, a) {
			own = append(own, p.MAC)
		}
		for _, q := range p.Pairs {
			if !q.Addresses.Contains(a) {
				continue
			}
			single = single || q.Addresses.IsSingleIP()
			if q.MAC == (ofproto.MAC{}) {
				q.MAC = p.MAC
			}
			if !slices.Contains(claimed, q.MAC) {
				claimed = append(claimed, q.MAC)
			}
		}
	}
	switch {
	case len(own) == 1:
		return own[0], true
	case single && len(claimed) == 1:
		return claimed[0], true
	}
	return mac, false
}

// slowness returns others if the kernel has to route a packet because the fast path of its
// source or destination is off.
func slowness(m *routing.Model, r *routing.Router, facts compile.Facts, in *routing.Interface, p packet) taker {
	if r.Fallback != routing.FallbackNamespace {
		return declared
	}
	slow := make(map[string]bool) // networks
	for _, n := range m.Networks {
		slow[n.ID] = n.NoFastPath
	}
	up := func(i *routing.Interface) bool { return !i.Down && facts.Ports[i.PatchName()] != 0 }
	// of returns whether the port with address a on network is slow.
	of := func(network string, a netip.Addr) taker {
		mac, ok := owner(m, network, a)
		if !ok {
			return declared
		}
		said := make(map[bool]bool)
		own := false
		for _, q := range m.Ports {
			if q.Network != network || q.Down || q.Unbound {
				continue
			}
			if slices.Contains(q.Addresses, a) {
				own = true
				said = map[bool]bool{q.NoFastPath: true}
			}
			for _, pair := range q.Pairs {
				if by := pair.MAC; !own && pair.Addresses == netip.PrefixFrom(a, a.BitLen()) && (by == mac || by == ofproto.MAC{} && q.MAC == mac) {
					said[q.NoFastPath] = true
				}
			}
		}
		switch {
		case !said[true]:
			return declared
		case said[false]: // several ports may use it with one MAC address
			return either
		}
		return others
	}
	// at is like of, for an address in a subnet of the router.
	at := func(a netip.Addr) (taker, bool) {
		for i := range r.Interfaces {
			f := &r.Interfaces[i]
			for _, s := range f.Addresses {
				if s.Contains(a) && up(f) {
					if slow[f.Network] {
						return others, true
					}
					return of(f.Network, a), true
				}
			}
		}
		return declared, false
	}
	// routed finds the longest prefix that contains an address. It returns others if this prefix belongs to a route with fast path off.
	routed := func(a netip.Addr) taker {
		bits, found := -1, declared
		for i := range r.Interfaces {
			for _, s := range r.Interfaces[i].Addresses {
				if s.Contains(a) && up(&r.Interfaces[i]) {
					bits = max(bits, s.Bits())
				}
			}
		}
		for _, route := range r.Routes {
			if !route.Destination.Contains(a) || route.Destination.Bits() <= bits {
				continue
			}
			bits, found = route.Destination.Bits(), declared
			if route.NoFastPath {
				found = others
			}
			for _, h := range route.NextHops {
				if is, _ := at(h.Address); is != declared && found != others {
					found = is
				}
			}
		}
		return found
	}
	all := []taker{routed(p.src), routed(p.dst)}
	if slow[in.Network] {
		all = append(all, others)
	}
	to, _ := at(p.dst)
	all = append(all, to)
	for i := range r.Interfaces {
		for _, s := range r.Interfaces[i].Addresses {
			if f := &r.Interfaces[i]; s.Contains(p.src) && up(f) && slow[f.Network] {
				all = append(all, others)
			}
		}
	}
	for _, s := range in.Addresses {
		if s.Contains(p.src) {
			all = append(all, of(in.Network, p.src))
		}
	}
	for _, q := range m.Ports {
		if q.Network != in.Network || !q.NoFastPath || q.Down || q.Unbound {
			continue
		}
		if q.MAC == p.by {
			all = append(all, others)
		}
		for _, pair := range q.Pairs {
			if pair.MAC == p.by {
				all = append(all, others)
			}
		}
	}
	switch {
	case slices.Contains(all, others):
		return others
	case slices.Contains(all, either):
		return either
	}
	return declared
}
