package trace

import (
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A Departure is a packet that leaves for another host by a tunnel.
type Departure struct {
	Host    string // the other host
	Network string // whose VNI the tunnel's header has
	Packet  ofproto.Packet
}

// SwitchTo adds the Departure of a packet that its network switches to another host.
func (w *Path) SwitchTo(x *routing.Index, host string) {
	w.depart(x, host, w.From.Network, ofproto.Packet{
		Headers: w.Packet.headers(0, w.From.mac, w.To.mac, w.From.Address, w.To.Address),
		Size:    w.Packet.Size + ethernetHeader,
	})
}

// depart adds a Departure of p if tunnels carry the network.
func (w *Path) depart(x *routing.Index, host, network string, p ofproto.Packet) {
	if n, ok := x.Network(network); ok && n.VNI != 0 {
		w.Departures = append(w.Departures, Departure{host, network, Bare(p)})
	}
}

// Bare returns p as a patch port or a tunnel passes it on: without ingress port, tunnel, metadata and
// registers.
func Bare(p ofproto.Packet) ofproto.Packet {
	var kept []ofproto.Field
	for f := range p.Headers.Fields() {
		if id := f.ID(); id >= ofproto.FieldEthSrc && id < ofproto.FieldTunID {
			kept = append(kept, f)
		}
	}
	return ofproto.Packet{Headers: ofproto.MatchOf(kept...), Size: p.Size}
}

// Through returns the flows of a bridge that a packet hits. The error names an action that cannot be
// followed; the steps before it are returned too.
func Through(prog compile.Program, p ofproto.Packet) (out []Step, err error) {
	steps, err := ofproto.Trace(prog.Flows, prog.Groups, p)
	for _, s := range steps {
		step := Step{Step: s, Does: "is not ours"}
		role, ours := compile.RoleOf(s.Flow.Cookie)
		if o, ok := prog.Objects.Get(s.Flow.Cookie); ok && ours {
			step.Object, step.Does = &o, role.Does(o)
		}
		out = append(out, step)
	}
	return out, err
}
