package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// acquainted returns nil if the host hears all others, and knows of the right number of machines on
// each.
func (s *site) acquainted(st controller.Status) error {
	machines := make(map[string]int)
	for _, at := range s.places {
		machines[at]++
	}
	for _, h := range st.Hosts {
		if !h.Alive || h.Differs || h.Ports != machines[h.ID] {
			return fmt.Errorf("the daemon knows of host %+v, which has %d machines", h, machines[h.ID])
		}
	}
	return nil
}

// checkFabric returns the flows of the fabric bridge, except learned ones. The error is nil if they and
// the groups are exactly those compiled.
func (s *site) checkFabric(ctx context.Context, index *routing.Index) (ofproto.Set, error) {
	stats, facts, err := s.dump(ctx, routing.FabricBridge)
	if err != nil {
		return ofproto.Set{}, fmt.Errorf("bridge %s: %w", routing.FabricBridge, err)
	}
	flows := make([]ofproto.Flow, len(stats))
	for i := range stats {
		flows[i] = stats[i].Flow
	}
	have := ofproto.SetOf(flows).Without(func(f ofproto.Flow) bool {
		return compile.IsPassing(f.Cookie)
	})
	want := compile.CompileFabric(compile.Program{}, index, compile.FabricFacts{Host: s.name, Ports: facts.Ports, Can: facts.Can})
	if len(want.Missing) > 0 {
		return have, fmt.Errorf("bridge %s has no ports %v", routing.FabricBridge, want.Missing)
	}
	if d := ofproto.Diff(have, want.Flows); d.Len() > 0 {
		return have, fmt.Errorf("the flows of %s are not those compiled: missing %v, different from %v, too many %v", routing.FabricBridge, d.Add, d.Modify, d.Delete)
	}
	return have, s.checkGroups(ctx, want.Groups)
}

// checkGroups returns an error unless the fabric bridge has exactly the given groups.
func (s *site) checkGroups(ctx context.Context, want []ofproto.GroupEntry) error {
	nc, err := s.Dial(ctx, "unix", "/run/openvswitch/"+routing.FabricBridge+".mgmt")
	if err != nil {
		return err
	}
	conn := ofconn.New(nc, ofconn.Config{})
	var have []ofproto.GroupEntry
	return during(ctx, func(ctx context.Context) error {
		err := conn.Multipart(ctx, ofproto.GroupDescRequest{}, func(body ofproto.MultipartBody) bool {
			r, ok := body.(ofproto.GroupDescReply)
			have = append(have, r...)
			return ok
		})
		slices.SortFunc(have, func(a, b ofproto.GroupEntry) int { return cmp.Compare(a.ID, b.ID) })
		if err == nil && !slices.EqualFunc(have, want, ofproto.GroupEntry.Equal) {
			err = fmt.Errorf("the groups of %s are %v, want %v", routing.FabricBridge, have, want)
		}
		return err
	}, func(ctx context.Context) error { return conn.Run(ctx, func(ofproto.Message) {}) })
}

// desireFabric adds the fabric bridge of the host and the tags of machines to d.
func (s *site) desireFabric(d *ovsdb.Desired, m *routing.Model) error {
	i := slices.IndexFunc(m.Hosts, func(h routing.Host) bool { return h.ID == s.name })
	if i < 0 {
		return errors.New("the intent lacks host " + s.name)
	}
	bridge := routing.Router{ID: routing.FabricBridge, Bridge: routing.Bridge{Managed: true}}
	d.Fabric = &ovsdb.Fabric{Name: routing.FabricBridge, DatapathID: uint64(bridge.DPID()),
		Tunnels: []ovsdb.Tunnel{{Name: routing.TunnelGeneve.PortName(), Type: routing.TunnelGeneve.String(), LocalIP: m.Hosts[i].Tunnel.Address.String()}}}
	tags := make(map[string]ovsdb.Tag) // by port
	for _, n := range m.Networks {
		d.Fabric.Networks = append(d.Fabric.Networks, ovsdb.FabricNetwork{ID: n.ID, Port: n.FabricPort(), Peer: n.FabricPeer(), VLAN: n.VLAN})
		for _, p := range m.Ports {
			if p.Network == n.ID {
				tags[p.ID] = ovsdb.Tag{Network: n.ID, VLAN: n.VLAN}
			}
		}
	}
	for _, r := range m.Routers {
		d.Fabric.Routers = append(d.Fabric.Routers, ovsdb.FabricRouter{ID: r.ID, Port: r.FabricPort(), Peer: r.FabricPeer()})
	}
	d.Tag = func(id string) (ovsdb.Tag, bool) { t, ok := tags[id]; return t, ok }
	d.GivenTag = func(id string) uint16 { return tags[id].VLAN }
	return nil
}
