package trace

import (
	"fmt"
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Ended reports whether the packet reaches neither a machine nor an address of a router. Then
// only the kernel may answer it, with an error.
func (w *Path) Ended() bool { return w.Verdict == Dropped || w.Answer() != "" }

// Answer returns the ICMP error with which the kernel of the router's namespace answers. It
// is "" if there is no error, or if only the kernel can decide.
func (w *Path) Answer() string {
	if w.Verdict != Kernel || len(w.Steps) == 0 {
		return ""
	}
	last := &w.Steps[len(w.Steps)-1]
	role, _ := compile.RoleOf(last.Flow.Cookie)
	six := w.From.Address.Is6()
	switch {
	case role == compile.RoleTTL && six:
		return fmt.Sprintf("%v answers ICMPv6 time exceeded", w.answerer())
	case role == compile.RoleTTL:
		return fmt.Sprintf("%v answers ICMP time exceeded", w.answerer())
	case role == compile.RoleTooBig && six:
		return fmt.Sprintf("%v answers ICMPv6 packet too big, MTU %d", w.answerer(), w.exceeded())
	case role == compile.RoleTooBig:
		return fmt.Sprintf("%v answers ICMP fragmentation needed, MTU %d (a packet without DF goes on in fragments)", w.answerer(), w.exceeded())
	case w.rejected() && six:
		return fmt.Sprintf("%v answers ICMPv6 destination unreachable", w.answerer())
	case w.rejected():
		return fmt.Sprintf("%v answers ICMP destination unreachable", w.answerer())
	}
	return ""
}

// answerer returns the source address of the kernel's answer: the address, in the sender's
// subnet, of the interface by which the packet came.
func (w *Path) answerer() netip.Addr {
	var first netip.Addr
	for _, a := range w.In.Addresses {
		if a.Addr().Is6() != w.From.Address.Is6() {
			continue
		}
		if a.Contains(w.From.Address) {
			return a.Addr()
		}
		if !first.IsValid() {
			first = a.Addr()
		}
	}
	return first
}

// mtu returns the MTU of a network in bytes, or 0 if the network does not exist.
func mtu(x *routing.Index, network string) int {
	n, _ := x.Network(network)
	return n.MTU
}

// oversize returns a note if the packet exceeds the MTU of the sender's network, otherwise "".
// A machine does not send such packets. So the flows check the MTU of a network only for
// packets from networks with a larger MTU.
func (w *Path) oversize() string {
	if w.mtu != 0 && w.Packet.Size > w.mtu {
		return fmt.Sprintf("; but it exceeds the MTU of network %s, %d bytes, so a machine there sends it only in fragments, or not at all", w.From.Network, w.mtu)
	}
	return ""
}

// exceeded returns the MTU in bytes that the packet exceeds according to the flows, or 0.
func (w *Path) exceeded() (n int) {
	for i := range w.Steps {
		for in := range w.Steps[i].Flow.Do.All() {
			if apply, ok := in.(ofproto.Apply); ok {
				for a := range apply.Actions.All() {
					if check, ok := a.(ofproto.CheckLarger); ok {
						n = int(check.Len) - ethernetHeader
					}
				}
			}
		}
	}
	return n
}

// rejected reports whether the packet takes an extra route that rejects it.
func (w *Path) rejected() bool {
	for i := range w.Steps {
		o := w.Steps[i].Object
		if o == nil || o.Kind != routing.KindRoute {
			continue
		}
		for j := range w.Router.Routes {
			if r := &w.Router.Routes[j]; r.Type == routing.RouteReject && r.Destination.String() == o.ID {
				return true
			}
		}
	}
	return false
}
