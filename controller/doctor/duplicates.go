package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

const (
	// duplicatePatience is how long machines have to answer.
	duplicatePatience = 300 * time.Millisecond
	// duplicatesAtOnce limits the number of routers that wait for answers at the same time, because of
	// their sockets.
	duplicatesAtOnce = 64
)

// detect asks, on the networks of all managed routers with a namespace, whether another machine has an
// address of the router. It returns the machines that have answered, each once.
func (e *examination) detect(ctx context.Context) (found []namespace.Duplicate) {
	asked := 0
	var routers []Router
	for _, r := range e.Routers {
		if r.Bridge.Managed && r.Fallback == routing.FallbackNamespace {
			routers = append(routers, r)
		}
	}
	for some := range slices.Chunk(routers, duplicatesAtOnce) {
		answers, n := e.detectOf(ctx, some)
		found, asked = append(found, answers...), asked+n
	}
	if asked > 0 && len(found) == 0 {
		e.find(Fine, "gateways", "", "no other machine answers for the addresses of %s", count(asked, "router"))
	}
	return found
}

// detectOf is detect for some routers. It also returns the number of routers whose networks it has
// asked.
func (e *examination) detectOf(ctx context.Context, routers []Router) (found []namespace.Duplicate, asked int) {
	about := make(map[*namespace.Detection]string)
	for _, r := range routers {
		d, err := namespace.Detect(e.Lifecycle.Namespace(e.Intent.Index, r.Router))
		if err == nil {
			defer d.Close()
			about[d] = "router " + r.ID
			err = e.askBehindUplink(ctx, r.Router)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // namespaces reports a missing one
			e.find(Warning, "router "+r.ID, "", "whether another machine has its addresses is not known: %v", err)
		}
	}
	if len(about) == 0 {
		return nil, 0
	}
	select {
	case <-ctx.Done():
	case <-time.After(duplicatePatience):
	}
	for d, router := range about {
		answers, err := d.Duplicates()
		if err != nil {
			e.find(Warning, router, "", "whether another machine has its addresses is not known: %v", err)
			continue
		}
		asked++
		for _, a := range answers {
			if !slices.Contains(found, a) {
				found = append(found, a)
			}
		}
	}
	return found, asked
}

// askBehindUplink sends the requests by the uplink too, for the networks of r that it carries. The
// fabric bridge keeps the requests of namespaces for gateways on this host.
func (e *examination) askBehindUplink(ctx context.Context, r *routing.Router) error {
	for _, fabric := range e.Routers {
		if fabric.ID != routing.FabricBridge || fabric.Conn == nil {
			continue
		}
		for i := range r.Interfaces {
			f := &r.Interfaces[i]
			mac, out, ok := fabric.Program.ByUplink(f.ID)
			if !ok {
				continue
			}
			for _, a := range f.Addresses {
				err := fabric.Conn.Send(ctx, ofproto.PacketOut{Buffer: ofproto.NoBuffer, InPort: ofproto.PortController,
					Data: string(namespace.DuplicateRequest(mac, a.Addr())), Actions: out})
				if err != nil {
					return fmt.Errorf("send a request for %v by the uplink: %w", a.Addr(), err)
				}
			}
		}
	}
	return nil
}

// whereIs returns the place of a machine on a network, as far as it is known. An answer by the uplink does
// not always pass the integration bridge.
func (e *examination) whereIs(d namespace.Duplicate, network string, evidence *machines.Evidence, view *machines.View) string {
	n, _ := e.Intent.Index.Network(network)
	ports := evidence.On(d.MAC, view.VLAN(network))
	here := len(ports) > 0 && ports[0] != n.FabricPeer()
	switch {
	case here:
		return fmt.Sprintf(", at port %s of bridge %s", ports[0], e.Bridge)
	case routing.CarrierOf(e.Intent.Index, e.Self, &n) == routing.ByUplink:
		return ", behind uplink " + e.Intent.Index.Host(e.Self).Uplink
	case len(ports) > 0:
		return ", on another host"
	}
	return ""
}

// duplicates reports the machines that have an address of a router.
func (e *examination) duplicates(found []namespace.Duplicate, evidence *machines.Evidence, view *machines.View) {
	for _, r := range e.Routers {
		for i := range r.Interfaces {
			f := &r.Interfaces[i]
			for _, d := range found {
				if d.Interface != f.ID {
					continue
				}
				e.find(Problem, "interface "+f.ID, "remove the address there: it may be a machine with a wrong address, another router, or a host whose intent has no hosts. Behind an uplink, the MAC tables of your switches show where it is",
					"another machine, with MAC address %v, answers for its address %v on network %s%s: machines may send their packets there", ofproto.MAC(d.MAC), d.Addr, f.Network, e.whereIs(d, f.Network, evidence, view))
			}
		}
	}
}
