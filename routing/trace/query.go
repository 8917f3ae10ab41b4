// Package trace finds the path of a packet between two machines: the router, the flows with
// their objects, and the outcome. The package is pure: the result depends only on the intent
// and the program of the router's bridge.
package trace

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A Query selects the path of a packet.
type Query struct {
	From, To string // IDs or names of ports, or addresses
	Router   string // router on the path; "" means the router that joins the networks
	Packet   Packet
}

// A Packet is a packet without its addresses.
type Packet struct {
	Proto            uint8  // IP protocol
	SrcPort, DstPort uint16 // ports of TCP, UDP or SCTP
	Type             uint8  // type of an ICMP or ICMPv6 message
	Size             int    // bytes of the IP packet
	TTL              uint8
}

// Numbers of IP protocols, and of echo messages.
const (
	icmp, tcp, udp, icmpv6, sctp = 1, 6, 17, 58, 132

	echoRequest, echoReply         = 8, 0
	echoRequest6, echoReply6       = 128, 129
	DefaultSize                    = 84 // bytes, as ping sends
	DefaultTTL               uint8 = 64
)

var protocols = map[string]uint8{"icmp": icmp, "tcp": tcp, "udp": udp, "sctp": sctp, "icmpv6": icmpv6}

// ParseProto parses an IP protocol, given by its name or number.
func ParseProto(s string) (uint8, error) {
	if n, ok := protocols[strings.ToLower(s)]; ok {
		return n, nil
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("unknown IP protocol %q: want icmp, tcp, udp, sctp or a number up to 255", s)
	}
	return uint8(n), nil
}

// HasPorts reports whether packets of an IP protocol have ports.
func HasPorts(proto uint8) bool { return proto == tcp || proto == udp || proto == sctp }

// Bounds of [Packet.Size].
const MinSize, MaxSize = 20, 65535

// of returns p for IPv4 or IPv6: ICMP has another protocol number in IPv6.
func (p Packet) of(six bool) Packet {
	if p.Proto == icmp && six {
		p.Proto, p.Type = icmpv6, echoRequest6
	} else if p.Proto == icmpv6 && !six {
		p.Proto, p.Type = icmp, echoRequest
	} else if p.Proto == icmp && p.Type == 0 {
		p.Type = echoRequest
	} else if p.Proto == icmpv6 && p.Type == 0 {
		p.Type = echoRequest6
	}
	return p
}

// answer returns the packet that answers p.
func (p Packet) answer() Packet {
	p.SrcPort, p.DstPort, p.TTL = p.DstPort, p.SrcPort, DefaultTTL
	switch p.Proto {
	case icmp:
		p.Type = echoReply
	case icmpv6:
		p.Type = echoReply6
	}
	return p
}

// String describes the packet.
func (p Packet) String() string {
	what := fmt.Sprintf("protocol %d", p.Proto)
	switch p.Proto {
	case icmp, icmpv6:
		what = "ICMP message"
		switch {
		case p.Proto == icmp && p.Type == echoRequest, p.Proto == icmpv6 && p.Type == echoRequest6:
			what = "ICMP echo request"
		case p.Proto == icmp && p.Type == echoReply, p.Proto == icmpv6 && p.Type == echoReply6:
			what = "ICMP echo reply"
		}
	case tcp, udp, sctp:
		what = map[uint8]string{tcp: "TCP", udp: "UDP", sctp: "SCTP"}[p.Proto]
		if p.SrcPort != 0 {
			what += fmt.Sprintf(" from port %d", p.SrcPort)
		}
		if p.DstPort != 0 {
			what += fmt.Sprintf(" to port %d", p.DstPort)
		}
	}
	return fmt.Sprintf("%s, %d bytes, TTL %d", what, p.Size, p.TTL)
}

// headers returns the headers of p as a switch sees them when it enters by a port.
func (p Packet) headers(in ofproto.PortNo, from, to ofproto.MAC, src, dst netip.Addr) ofproto.Match {
	fs := []ofproto.Field{ofproto.InPort(in), ofproto.EthSrc(from), ofproto.EthDst(to), ofproto.IPProto(p.Proto), ofproto.IPTTL(p.TTL)}
	s, d := netip.PrefixFrom(src, src.BitLen()), netip.PrefixFrom(dst, dst.BitLen())
	if src.Is4() {
		fs = append(fs, ofproto.IPv4(), ofproto.IPv4Src(s), ofproto.IPv4Dst(d))
	} else {
		fs = append(fs, ofproto.IPv6(), ofproto.IPv6Src(s), ofproto.IPv6Dst(d))
	}
	switch p.Proto {
	case icmp:
		fs = append(fs, ofproto.ICMPv4Type(p.Type), ofproto.ICMPv4Code(0))
	case icmpv6:
		fs = append(fs, ofproto.ICMPv6Type(p.Type), ofproto.ICMPv6Code(0))
	case tcp, udp, sctp:
		fs = append(fs, ofproto.TransportSrc(p.Proto, p.SrcPort), ofproto.TransportDst(p.Proto, p.DstPort))
	}
	return ofproto.MatchOf(fs...)
}

// An End is the source or destination of a packet.
type End struct {
	Port    string     `json:"port,omitempty"`   // the port with the address
	Router  string     `json:"router,omitempty"` // the router with the address
	Address netip.Addr `json:"address"`
	Network string     `json:"network,omitempty"` // absent if the address is not on a known network
	mac     ofproto.MAC
}

func (e End) String() string {
	out := e.Address.String()
	switch {
	case e.Port != "":
		out = fmt.Sprintf("port %s (%v)", e.Port, e.Address)
	case e.Router != "":
		out = fmt.Sprintf("router %s itself (%v)", e.Router, e.Address)
	}
	if e.Network == "" {
		return out + " outside the networks of ofdvr"
	}
	return out + " on network " + e.Network
}

// A NotFoundError means that a query names something that does not exist.
type NotFoundError struct{ Detail string }

func (e *NotFoundError) Error() string { return e.Detail }

// An AmbiguousError means that several paths match a query.
type AmbiguousError struct{ Detail string }

func (e *AmbiguousError) Error() string { return e.Detail }

// ends returns the possible meanings of a name. A port means each of its addresses. An address
// means each object that has it.
func ends(x *routing.Index, name string) ([]End, error) {
	if p, ok := x.Port(name); ok {
		out := addressesOf(&p)
		if len(out) == 0 {
			return nil, &NotFoundError{fmt.Sprintf("port %q has no address: no packet can be sent from or to it", name)}
		}
		return out, nil
	}
	a, err := netip.ParseAddr(name)
	if err != nil {
		switch ids := x.PortsNamed(name); {
		case len(ids) == 1:
			return ends(x, ids[0])
		case len(ids) > 1:
			return nil, &AmbiguousError{fmt.Sprintf("%d ports have the name %q: give the ID of one instead, such as %s", len(ids), name, ids[0])}
		}
		return nil, &NotFoundError{fmt.Sprintf("%q is neither the ID or name of a port nor an IP address", name)}
	}
	var out []End
	for p := range x.Ports("") {
		for _, e := range addressesOf(&p) {
			if e.Address == a {
				out = append(out, e)
			}
		}
	}
	near := make(map[string]bool) // networks
	for r := range x.Routers("") {
		for i := range r.Interfaces {
			f := &r.Interfaces[i]
			for _, q := range f.Addresses {
				if q.Addr() == a {
					out = append(out, End{Router: r.ID, Address: a, Network: f.Network, mac: f.MAC})
				}
				if q.Contains(a) {
					near[f.Network] = true
				}
			}
		}
	}
	if len(out) == 0 {
		for n := range x.Networks("") {
			if near[n.ID] {
				out = append(out, End{Address: a, Network: n.ID})
			}
		}
	}
	if len(out) == 0 {
		out = []End{{Address: a}}
	}
	return out, nil
}

func addressesOf(p *routing.Port) (out []End) {
	for _, a := range p.Addresses {
		out = append(out, End{Port: p.ID, Address: a, Network: p.Network, mac: p.MAC})
	}
	for _, q := range p.Pairs {
		e := End{Port: p.ID, Address: q.Addresses.Addr(), Network: p.Network, mac: p.MAC}
		if q.MAC != (ofproto.MAC{}) {
			e.mac = q.MAC
		}
		if q.Addresses.IsSingleIP() {
			out = append(out, e)
		}
	}
	return out
}
