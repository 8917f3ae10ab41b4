package controller

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// The fabric bridge connects the host to other hosts. In the world it is a router without
// interfaces. The name of the bridge is the ID of this router.

// setFabric adds or removes the fabric bridge, as the intent requires. If it removes the
// bridge, it returns its session, which may be nil.
func (c *Controller) setFabric(w *world) (left *session) {
	spans := routing.Spans(w.intent.Index, c.cfg.Host)
	switch {
	case spans && w.fabric == nil:
		w.fabric = &routerState{router: &routing.Router{ID: routing.FabricBridge, Fallback: routing.FallbackNone,
			Bridge: routing.Bridge{Managed: true, Name: routing.FabricBridge}}}
		w.hosts = hosts.New(c.cfg.Host, c.cfg.Version, rand.Uint64())
		w.hosts.Share(w.stored)
		w.seen = newObserved(c.log)
		if w.lead {
			w.hosts.Expect(time.Now())
		}
		if w.plugged != nil {
			w.move(w.hosts.SetOwn(w.plugged, w.lifecycle.Turns))
		}
		w.move(slices.Collect(w.intent.Index.Guests(w.host)))
		w.digest = topology.DigestOf(w.intent.Index)
		w.hosts.SetIntent(w.digest.String())
	case !spans && w.fabric != nil:
		left, w.fabric, w.hosts, w.seen, w.recalled = w.fabric.session, nil, nil, nil, false
		w.replace(w.intent.Index)
		c.keepTurns(map[string]uint64{})
	}
	if spans {
		var peers []string
		for h := range w.intent.Index.Hosts("") {
			if h.ID != c.cfg.Host && h.Tunnel.Address.IsValid() && routing.Tunnels(w.intent.Index, c.cfg.Host) {
				peers = append(peers, h.ID)
			}
		}
		w.move(w.hosts.SetPeers(peers, time.Now()))
		w.moveTagged()
	}
	for id := range w.states() {
		w.dirty[id] = true
	}
	return left
}

// awaits returns the interfaces of a router whose packets pass only this host until the fabric bridge
// has confirmed flows for them: they would be lost there before. Once a program uses the fabric
// bridge it goes on to, and so does the first program of a daemon, which may find flows of an earlier
// one.
func (w *world) awaits(st *routerState) map[string]bool {
	var out map[string]bool
	if st == w.fabric || st.gen == 0 {
		return nil
	}
	for i := range st.router.Interfaces {
		f := &st.router.Interfaces[i]
		n, _ := w.placed.Network(f.Network)
		if routing.CarrierOf(w.placed, w.host, &n) == routing.NotCarried || st.program.Joins(f.ID) || w.fabric.applied.gen != 0 && w.fabric.applied.program.Carries(f.ID) {
			continue
		}
		if out == nil {
			out = make(map[string]bool)
		}
		out[f.ID] = true
	}
	return out
}

// fabricConfirmed marks the routers for compilation that wait for the fabric bridge.
func (w *world) fabricConfirmed() {
	for id, st := range w.routers {
		if st.awaits {
			w.dirty[id] = true
		}
	}
}

// portsOf returns the sorted names of the ports that the bridge of st needs.
func (w *world) portsOf(st *routerState) (names []string) {
	if st == w.fabric {
		return fabricPorts(w.intent.Index, w.host)
	}
	for i := range st.router.Interfaces {
		f := &st.router.Interfaces[i]
		names = append(names, f.PatchName(), f.TapName())
	}
	names = append(names, st.router.FabricPeer())
	slices.Sort(names)
	return names
}

// fabricPorts returns the names, sorted, of the ports that the fabric bridge of the host called id
// needs.
func fabricPorts(x *routing.Index, id string) []string {
	var names []string
	for _, t := range routing.TunnelTypes(x, id) {
		names = append(names, t.PortName())
	}
	for n := range x.Networks("") {
		if routing.CarrierOf(x, id, &n) != routing.NotCarried {
			names = append(names, n.FabricPort())
		}
	}
	if h := x.Host(id); h != nil && h.Uplink != "" {
		names = append(names, h.Uplink)
	}
	for r := range x.Routers("") {
		names = append(names, r.FabricPort())
	}
	slices.Sort(names)
	return names
}

// place updates placed after a change of the intent.
func (w *world) place(last, next *ledger.Intent) {
	if last == nil {
		w.placed = next.Index
		return
	}
	w.placed = w.placedAfter(last.Index, next.Index)
	if w.hosts != nil {
		for old, now := range last.Index.Difference(next.Index) {
			if old.Port != nil && now.Port == nil {
				w.seen.forget(old.Port.ID)
			}
		}
		w.digest = w.digest.Moved(last.Index, next.Index)
		w.hosts.SetIntent(w.digest.String())
	}
}

// placedAfter returns the new value of placed after the intent has changed from x to y.
func (w *world) placedAfter(x, y *routing.Index) *routing.Index {
	if w.hosts == nil {
		return y
	}
	change := x.ChangeTo(y)
	for i := range change.Put.Ports {
		change.Put.Ports[i] = w.where(change.Put.Ports[i])
	}
	return w.placed.With(change)
}

// where returns p with Host set to the host where its machine is.
func (w *world) where(p routing.Port) routing.Port {
	if w.hosts == nil {
		return p
	}
	n, _ := w.intent.Index.Network(p.Network)
	switch by := routing.CarrierOf(w.intent.Index, w.host, &n); {
	case n.VNI != 0:
		if p.Host = w.hosts.Place(p.ID, p.Host); p.Host == w.host && !w.hosts.Here(p.ID) {
			p.Host = "" // the intent expects it here
		}
	case by == routing.NotCarried || w.plugged == nil:
	default: // flows depend only on whether the machine is on this host
		if _, here := w.machines[p.ID]; here {
			p.Host = w.host
		} else if p.Host == w.host {
			p.Host = ""
		}
	}
	return p
}

// moveTagged is move for all ports on networks with a VLAN and no VNI.
func (w *world) moveTagged() {
	for n := range w.intent.Index.Networks("") {
		if n.VNI != 0 || n.VLAN == 0 {
			continue
		}
		var ids []string
		for p := range w.intent.Index.PortsOn(n.ID, "") {
			ids = append(ids, p.ID)
		}
		w.move(ids)
	}
}

// replace sets placed, and marks all routers for compilation.
func (w *world) replace(x *routing.Index) {
	w.placed = x
	for id := range w.states() {
		w.dirty[id] = true
	}
}

// move updates placed for ports that may be in another place now.
func (w *world) move(ports []string) {
	var change routing.Change
	for _, id := range ports {
		p, ok := w.intent.Index.Port(id)
		if !ok {
			w.seen.forget(id)
			continue
		}
		w.seen.look(w.hosts, &p)
		if p = w.where(p); !samePlace(w.placed, &p) {
			change.Put.Ports = append(change.Put.Ports, p)
		}
	}
	if len(change.Put.Ports) == 0 {
		return
	}
	for id := range w.touched(w.placed.Touched(change)) {
		w.dirty[id] = true
	}
	w.placed = w.placed.With(change)
}

func samePlace(x *routing.Index, p *routing.Port) bool {
	old, ok := x.Port(p.ID)
	return ok && old.Host == p.Host
}

// machinesPlugged sets the ports with machines that are plugged into the integration bridge.
func (c *Controller) machinesPlugged(w *world, ports []string) {
	first := w.plugged == nil
	w.plugged = ports
	if w.hosts != nil {
		w.move(w.hosts.SetOwn(ports, w.lifecycle.Turns))
		if first {
			w.moveTagged()
		}
		c.keepTurns(w.hosts.Turns())
	}
	w.claims = true
}

// keepTurns keeps the turns of machines in the database, for the next daemon.
func (c *Controller) keepTurns(turns map[string]uint64) {
	if c.lifecycle != nil && turns != nil {
		c.lifecycle.KeepTurns(turns)
	}
}

// tickHosts makes messages to other hosts due, and notices which hosts have become silent.
func (c *Controller) tickHosts(w *world) {
	w.endProbes()
	if w.hosts == nil || !w.lead {
		return
	}
	w.move(w.hosts.Tick(time.Now()))
	w.seen.listen(w.hosts, time.Now())
}

// sendMessages wakes the sender of messages to other hosts if some are due. They stay in w.hosts until
// the sender takes them.
func (w *world) sendMessages() {
	if w.fabric == nil || w.fabric.session == nil || !w.lead || !w.hosts.Pending() {
		return
	}
	select {
	case w.fabric.session.messages <- struct{}{}:
	default: // already awake
	}
}

// A datagram is a message to some other hosts.
type datagram struct {
	to   []routing.Host
	data string
}

// takeMessages returns the messages to send by a session.
func (w *world) takeMessages(s *session) (out []datagram) {
	if w.fabric == nil || w.fabric.session != s || !w.lead {
		return nil
	}
	for _, f := range w.hosts.Take(time.Now()) {
		d := datagram{data: string(f.Data)}
		for _, id := range f.To {
			if h := w.intent.Index.Host(id); h != nil {
				d.to = append(d.to, *h)
			}
		}
		out = append(out, d)
	}
	return out
}

// messageReceived handles a message of another host.
func (c *Controller) messageReceived(w *world, s *session, p ofproto.PacketIn) {
	if w.fabric == nil || w.fabric.session != s {
		return
	}
	from, ok := w.fabric.program.Objects.Get(p.Cookie)
	if role, ours := compile.RoleOf(p.Cookie); !ok || !ours || role != compile.RoleHello {
		return
	}
	changed, echo, err := w.hosts.Received(from.ID, []byte(p.Data), time.Now())
	if err != nil {
		if n, ok := c.refusals.sample("message of host " + from.ID); ok {
			c.log.Warn("ignored a message of another host", zap.String("host", from.ID), zap.Error(err), zap.Int("unlogged", n))
		}
		return
	}
	if echo != 0 {
		w.probeAnswered(echo)
	}
	w.move(changed)
	if len(changed) > 0 {
		c.keepTurns(w.hosts.Turns())
		w.claims = true
	}
}

// fabricAsyncConfig is [asyncConfig] with the messages of other hosts, for the master.
var fabricAsyncConfig = func() ofproto.SetAsync {
	c := asyncConfig
	c.PacketIn[0] = 1 << ofproto.PacketInAction
	return c
}()

// sendMessages sends the messages to other hosts when the world has some.
func (c *Controller) sendMessages(ctx context.Context, s *session) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.messages:
		}
		messages, err := ask(ctx, c, func(w *world) []datagram { return w.takeMessages(s) })
		if err != nil {
			return err
		}
		ports := s.ports.numbers()
		for _, m := range messages {
			for i := range m.to {
				h := &m.to[i]
				port, ok := ports[h.Tunnel.Type.PortName()]
				if !ok {
					continue
				}
				out := ofproto.PacketOut{Buffer: ofproto.NoBuffer, InPort: ofproto.PortController, Data: m.data,
					Actions: ofproto.ActionsOf(ofproto.SetField{Field: ofproto.TunID(0)}, ofproto.SetField{Field: ofproto.TunDst(h.Tunnel.Address)}, ofproto.Output{Port: port})}
				if err := s.conn.Send(ctx, out); err != nil {
					return fmt.Errorf("send a message to host %s: %w", h.ID, err)
				}
			}
		}
	}
}
