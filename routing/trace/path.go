package trace

import (
	"fmt"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A Path is the path of a packet.
type Path struct {
	From, To End
	Host     string // the host that routes the packet: the sender's; "" without other hosts
	Packet   Packet
	Router   *routing.Router    // the router of the packet; nil if its network switches it
	In       *routing.Interface // the interface by which it enters the router
	Sent     ofproto.Packet     // the packet as it enters the router's bridge
	Steps    []Step             // flows that it hits in the router's bridge
	Exits    []Exit             // exits from the bridge; the packet takes one of them
	Verdict  Verdict
	// Departures has the packets that leave for other hosts by a tunnel. If several, it is one of them.
	Departures []Departure
	mtu        int // MTU of From's network, in bytes; 0 if not known
}

// A Verdict is the outcome of a path.
type Verdict string

// The verdicts.
const (
	Switched Verdict = "switched" // within its network, without a router
	Routed   Verdict = "routed"   // by flows
	Answered Verdict = "answered" // flows answer on behalf of the router
	Kernel   Verdict = "kernel"   // handed to the kernel of the router's namespace
	Dropped  Verdict = "dropped"
	Unknown  Verdict = "unknown" // the packet hits another program's flow with unsupported actions
)

// A Step is a flow that the packet hits.
type Step struct {
	ofproto.Step
	Object *routing.Object // the object that the flow is for; nil if the flow is not ours
	Does   string          // the flow's purpose
}

// An Exit is where the packet leaves the router's bridge.
type Exit struct {
	Interface *routing.Interface // nil if the port does not belong to the router
	Port      string             // the port with the destination MAC address, if known
	Host      string             // the other host that gets the packet by a tunnel; "" if it stays on its host
	Src, Dst  string             // MAC addresses
	TTL       string
	Share     float64 // share of the traffic, if there are several next hops
}

// Find returns the path of a packet up to the router's bridge; [Path.Follow] adds the rest.
// The error is a [*NotFoundError] or an [*AmbiguousError] if the query does not select one
// path.
func Find(x *routing.Index, q Query) (Path, error) {
	froms, err := ends(x, q.From)
	if err != nil {
		return Path{}, err
	}
	tos, err := ends(x, q.To)
	if err != nil {
		return Path{}, err
	}
	if q.Router != "" && x.Router(q.Router) == nil {
		return Path{}, &NotFoundError{fmt.Sprintf("router %q does not exist", q.Router)}
	}
	var best []Path
	rank := 0
	for _, f := range froms {
		for _, t := range tos {
			for _, w := range between(x, f, t, q.Router) {
				r := w.rank(x)
				if r > rank {
					best, rank = nil, r
				}
				if r == rank {
					best = append(best, w)
				}
			}
		}
	}
	if len(best) == 0 {
		return Path{}, &NotFoundError{noPath(x, q, froms, tos)}
	}
	w := best[0]
	for _, o := range best[1:] {
		if o.From.Port != w.From.Port || o.From.Network != w.From.Network || o.To.Port != w.To.Port || o.To.Network != w.To.Network {
			return Path{}, &AmbiguousError{fmt.Sprintf("the addresses match several ports: from %v to %v, or from %v to %v; give port IDs instead of addresses", w.From, w.To, o.From, o.To)}
		}
		if w.Router != nil && o.Router != nil && o.Router.ID != w.Router.ID {
			return Path{}, &AmbiguousError{fmt.Sprintf("routers %s and %s are both on network %s: give the one that the packet takes", w.Router.ID, o.Router.ID, w.From.Network)}
		}
	}
	w.Packet, w.mtu = q.Packet.of(w.From.Address.Is6()), mtu(x, w.From.Network)
	if w.Router == nil {
		w.Verdict = Switched
	}
	return w, nil
}

// Back returns the path of the answer to the packet of w, after [Path.Follow]. It returns
// false if the packet gets no answer, because it does not arrive. It also returns false if the
// answer's path cannot be predicted, because the answer comes from outside or from the router
// itself.
func Back(x *routing.Index, w Path) (Path, bool) {
	if w.To.Network == "" || w.To.Router != "" || w.Ended() {
		return Path{}, false
	}
	router := ""
	if w.Router != nil {
		router = w.Router.ID
	}
	paths := between(x, w.To, w.From, router)
	if len(paths) == 0 {
		return Path{}, false
	}
	back := paths[0]
	back.Packet, back.mtu = w.Packet.answer(), mtu(x, w.To.Network)
	if back.Router == nil {
		back.Verdict = Switched
	}
	return back, true
}

// between returns the possible paths from f to t. Each path ends at its router.
func between(x *routing.Index, f, t End, router string) (out []Path) {
	if f.Address.Is4() != t.Address.Is4() || f.Network == "" || f == t {
		return nil
	}
	if f.Network == t.Network && t.Router == "" && router == "" && together(x, f, t) {
		return []Path{{From: f, To: t}}
	}
	for _, l := range x.Legs(f.Network) {
		if router != "" && l.Router.ID != router || f.Router != "" {
			continue
		}
		for _, a := range l.Addresses {
			if a.Contains(f.Address) {
				out = append(out, Path{From: f, To: t, Router: l.Router, In: l.Interface})
				break
			}
		}
	}
	return out
}

// together reports whether machines on one network reach each other without a router. This holds
// if they are in one subnet, or if no router has the subnet.
func together(x *routing.Index, f, t End) bool {
	known := false
	for _, l := range x.Legs(f.Network) {
		for _, a := range l.Addresses {
			if a.Contains(f.Address) && a.Contains(t.Address) {
				return true
			}
			known = known || a.Contains(f.Address)
		}
	}
	return !known
}

// rank returns a larger number for a path that the query more probably means. It returns 3 if the
// packet is switched or is for the router itself, 2 if it passes a router on both networks, and 1
// if it passes another router.
func (w Path) rank(x *routing.Index) int {
	if w.Router == nil {
		return 3
	}
	if w.To.Router == w.Router.ID {
		return 3
	}
	for i := range w.Router.Interfaces {
		if w.Router.Interfaces[i].Network == w.To.Network {
			return 2
		}
	}
	return 1
}

// noPath returns the reason why no path exists, for messages.
func noPath(x *routing.Index, q Query, froms, tos []End) string {
	f, t := froms[0], tos[0]
	switch {
	case q.From == q.To:
		return "source and destination are the same"
	case f.Network == "":
		return fmt.Sprintf("%v is not on a network of ofdvr, so its packets cannot be traced", f.Address)
	case f.Router != "":
		return fmt.Sprintf("%v is an address of router %s itself: its packets are routed by the kernel, not by flows", f.Address, f.Router)
	case f.Address.Is4() != t.Address.Is4() && len(froms) == 1 && len(tos) == 1:
		return fmt.Sprintf("%v and %v are of different families", f.Address, t.Address)
	}
	if q.Router != "" {
		return fmt.Sprintf("router %s has no interface in the subnet of %v", q.Router, f)
	}
	return fmt.Sprintf("no router has an interface in the subnet of %v, and it does not share a network with %v", f, t)
}

// Follow traces the packet through the router's bridge, given the bridge's program and ports.
func (w *Path) Follow(x *routing.Index, prog compile.Program, ports compile.Ports) {
	in, ok := ports[w.In.PatchName()]
	w.Sent = ofproto.Packet{
		Headers: w.Packet.headers(in, w.From.mac, w.In.MAC, w.From.Address, w.To.Address),
		Size:    w.Packet.Size + ethernetHeader,
	}
	if !ok {
		w.Verdict = Dropped
		return
	}
	steps, err := Through(prog, w.Sent)
	w.Steps = steps
	for i := range steps {
		s := &steps[i]
		total := 0
		for _, e := range s.Out {
			total += e.Shares
		}
		for _, e := range s.Out {
			exit := w.exit(x, ports, e)
			if s.Group != 0 && total > 0 {
				exit.Share = float64(e.Shares) / float64(total)
			}
			if exit.Host != "" && exit.Interface != nil {
				w.depart(x, exit.Host, exit.Interface.Network, e.Packet)
			}
			w.Exits = append(w.Exits, exit)
			w.Verdict = w.verdict(ports, in, e)
		}
	}
	switch {
	case err != nil:
		w.Verdict = Unknown
	case len(w.Exits) == 0:
		w.Verdict = Dropped
	}
}

// FromMachine returns the packet as the integration bridge receives it from the sender's port, in
// the syntax of ofproto/trace. It has a VLAN tag unless vlan is 0.
func (w *Path) FromMachine(port ofproto.PortNo, vlan uint16) string {
	to := w.To.mac
	if w.Router != nil {
		to = w.In.MAC
	}
	text := ofproto.Packet{Headers: w.Packet.headers(port, w.From.mac, to, w.From.Address, w.To.Address)}.String()
	if vlan != 0 {
		text += fmt.Sprintf(",dl_vlan=%d", vlan)
	}
	return text
}

// ethernetHeader is the length in bytes of the Ethernet header, which switches include in a
// packet's length.
const ethernetHeader = 14

func (w *Path) verdict(ports compile.Ports, in ofproto.PortNo, e ofproto.Egress) Verdict {
	for i := range w.Router.Interfaces {
		if ports[w.Router.Interfaces[i].TapName()] == e.Port {
			return Kernel
		}
	}
	if e.Port == in {
		return Answered
	}
	return Routed
}

func (w *Path) exit(x *routing.Index, ports compile.Ports, e ofproto.Egress) Exit {
	out := Exit{}
	for f := range e.Packet.Headers.Fields() {
		_, value, _ := strings.Cut(f.String(), "=")
		switch f.ID() {
		case ofproto.FieldEthSrc:
			out.Src = value
		case ofproto.FieldEthDst:
			out.Dst = value
		case ofproto.FieldIPTTL:
			out.TTL = value
		}
	}
	for i := range w.Router.Interfaces {
		f := &w.Router.Interfaces[i]
		switch e.Port {
		case ports[f.PatchName()]:
			out.Interface = f
			for p := range x.PortsOn(f.Network, "") {
				if p.MAC.String() == out.Dst {
					out.Port = p.ID
				}
			}
		case ports[f.TapName()]:
			out.Interface = f
		case ports[w.Router.FabricPeer()]:
			for p := range x.PortsOn(f.Network, "") {
				if p.MAC.String() == out.Dst && f.MAC.String() == out.Src && p.Host != "" {
					out.Interface, out.Port, out.Host = f, p.ID, p.Host
				}
			}
		}
	}
	return out
}

// Says returns a description of the path's outcome.
func (w *Path) Says() string { return w.outcome() + w.oversize() }

func (w *Path) outcome() string {
	last := ""
	if len(w.Steps) > 0 {
		last = w.Steps[len(w.Steps)-1].Does
	}
	switch w.Verdict {
	case Switched:
		return fmt.Sprintf("network %s switches it, without a router", w.From.Network)
	case Answered:
		return fmt.Sprintf("router %s answers it in the switch", w.Router.ID)
	case Routed:
		var by []string
		for _, e := range w.Exits {
			by = append(by, e.String())
		}
		return fmt.Sprintf("router %s routes it in the switch%s: %s", w.Router.ID, w.on(), strings.Join(by, "; or "))
	case Kernel:
		if answer := w.Answer(); answer != "" {
			return fmt.Sprintf("it ends here: router %s sends it to the kernel, and %s", w.Router.ID, answer)
		}
		return fmt.Sprintf("router %s sends it to the kernel; to see its route: ip netns exec %s ip route get %v from %v iif %s",
			w.Router.ID, w.Router.NamespaceName(), w.To.Address, w.From.Address, w.In.TapName())
	case Unknown:
		return "it hits a flow of another program, whose actions cannot be followed"
	}
	if len(w.Steps) == 0 {
		return fmt.Sprintf("it is lost: the bridge of router %s has no port %s", w.Router.ID, w.In.PatchName())
	}
	if w.In.Down {
		return fmt.Sprintf("router %s drops it: interface %s is down", w.Router.ID, w.In.ID)
	}
	role, _ := compile.RoleOf(w.Steps[len(w.Steps)-1].Flow.Cookie)
	if w.Router.Fallback == routing.FallbackNone && role != compile.RoleDrop && role != compile.RoleBlackhole {
		return fmt.Sprintf("router %s drops it: only a kernel could handle it, and fallback is none", w.Router.ID)
	}
	return fmt.Sprintf("router %s drops it: a flow %s", w.Router.ID, last)
}

// on returns text that names the host that routes the packet.
func (w *Path) on() string {
	if w.Host == "" {
		return ""
	}
	return " of host " + w.Host
}

func (e Exit) String() string {
	s := "out of a port that does not belong to the router"
	if e.Interface != nil {
		s = fmt.Sprintf("out of interface %s into network %s, from %s to %s", e.Interface.ID, e.Interface.Network, e.Src, e.Dst)
	}
	if e.Port != "" {
		s += " (port " + e.Port + ")"
	}
	if e.Host != "" {
		s += " by a tunnel to host " + e.Host
	}
	s += ", TTL " + e.TTL
	if e.Share > 0 {
		s = fmt.Sprintf("%.0f %% of the traffic %s", 100*e.Share, s)
	}
	return s
}
