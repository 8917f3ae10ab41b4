package main

import (
	"context"
	"errors"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/metrics"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// routeActions are the roles of an extra route's flows, by the value of the label action.
var routeActions = map[string][]compile.Role{
	"routed":  {compile.RoleExtra},
	"kernel":  {compile.RoleException, compile.RoleSlow},
	"dropped": {compile.RoleBlackhole},
}

// metricsState returns a function that reads the values of metrics from c and from the sources of the
// intent.
func metricsState(c *controller.Controller, k *intentKeeper) func(context.Context) (metrics.State, error) {
	return func(ctx context.Context) (metrics.State, error) {
		s, err := c.Status(ctx)
		n, err2 := c.Counters(ctx)
		seen, err3 := c.CountMachines(ctx)
		if err := errors.Join(err, err2, err3); err != nil {
			return metrics.State{}, err
		}
		in := s.Intent
		out := metrics.State{
			Revision: in.Revision, Objects: map[string]int{"network": in.Networks, "router": in.Routers, "port": in.Ports, "host": in.Hosts},
			Quarantined: map[string]int{"host": 0, "network": 0, "router": 0, "port": 0}, Machines: make(map[string]int),
			Standby: s.Standby, Problems: len(s.Problems), States: controller.RouterStates(),
		}
		for state, n := range seen {
			out.Machines[string(state)] = n
		}
		for _, q := range in.Quarantined {
			out.Quarantined[q.Kind]++
			if in.File != nil && q.Source == in.File.Name {
				out.FileMistakes++
			}
		}
		if in.File != nil {
			out.FileMistakes += len(in.File.Mistakes)
		}
		if file, ok := k.size(); ok && in.Store != nil {
			out.Store = &metrics.Store{Writable: in.Store.Mistakes == nil, Bytes: file.Bytes, FreeBytes: file.Free}
		}
		if s.OVSDB != nil {
			out.OVSDB = &metrics.OVSDB{Connected: s.OVSDB.Connected}
		}
		out.Etcd = k.etcdState()
		counted := make(map[string]*counters.Router, len(n.Routers))
		for i := range n.Routers {
			counted[n.Routers[i].Router] = &n.Routers[i]
		}
		if s.Fabric != nil {
			out.Problems += len(s.Fabric.Problems)
		}
		for _, h := range s.Hosts {
			if !h.Self && h.Tunnel != "" && s.Fabric != nil {
				out.Hosts = append(out.Hosts, metrics.Host{ID: h.ID, Heard: h.Alive, Machines: h.Ports})
			}
		}
		if n.Fabric != nil && n.Fabric.Known {
			total := n.Fabric.Total
			sent, received := total.Carried()
			out.Fabric = &metrics.Fabric{SentPackets: sent.Packets, SentBytes: sent.Bytes,
				ReceivedPackets: received.Packets, ReceivedBytes: received.Bytes, Dropped: total.Lost()}
		}
		for i := range s.Routers {
			addRouter(&out, &s.Routers[i], counted[s.Routers[i].ID])
		}
		for _, p := range n.Ports {
			out.Ports = append(out.Ports, metrics.Port{Router: p.Router, Interface: p.Interface, ID: p.Port, Packets: p.Packets, Bytes: p.Bytes})
		}
		return out, nil
	}
}

// addRouter adds a router, and its counters n if they are known.
func addRouter(out *metrics.State, r *controller.RouterStatus, n *counters.Router) {
	m := metrics.Router{
		ID: r.ID, Connected: r.Connected, Desired: r.FlowsWanted, Installed: r.FlowsInstalled,
		Refused: r.FlowsRefused, Foreign: r.FlowsForeign, State: r.State, Problems: len(r.Problems),
	}
	if n != nil && n.Connected {
		m.Connection = &metrics.Connection{Unsent: n.Load.Unsent, Requests: n.Load.Requests}
	}
	if n != nil && n.Known {
		age := -1.0
		if n.Read {
			age = n.Age.Seconds()
		}
		m.Counters = &metrics.Counters{Age: age, Dropped: map[string]uint64{
			"blackhole": n.Total[compile.RoleBlackhole].Packets, "unmatched": n.Total[compile.RoleDrop].Packets,
			"forged": n.Total[compile.RoleForged].Packets,
		}}
		for _, i := range n.Interfaces {
			out.Interfaces = append(out.Interfaces, countedInterface(r.ID, i))
		}
		for _, route := range n.Routes {
			m := metrics.Route{Router: r.ID, Destination: route.ID, Packets: make(map[string]uint64), Bytes: make(map[string]uint64)}
			for action, roles := range routeActions {
				sum := route.ByRole.Sum(roles...)
				m.Packets[action], m.Bytes[action] = sum.Packets, sum.Bytes
			}
			out.Routes = append(out.Routes, m)
		}
	}
	out.Routers = append(out.Routers, m)
}

func countedInterface(router string, i counters.Object) metrics.Interface {
	return metrics.Interface{
		Router:          router,
		ID:              i.ID,
		ReceivedPackets: i.ByRole[compile.RoleIn].Packets,
		ReceivedBytes:   i.ByRole[compile.RoleIn].Bytes,
		RoutedPackets:   i.ByRole.Routed().Packets,
		RoutedBytes:     i.ByRole.Routed().Bytes,
		KernelPackets:   i.ByRole[compile.RoleFromKernel].Packets,
		KernelBytes:     i.ByRole[compile.RoleFromKernel].Bytes,
		ARPReplies:      i.ByRole[compile.RoleARP].Packets,
		NDReplies:       i.ByRole[compile.RoleND].Packets,
		EchoReplies:     i.ByRole[compile.RoleEcho].Packets,
		Limited:         i.ByRole.Limited(),
		TTLExpired:      i.ByRole[compile.RoleTTL].Packets,
		Fallback:        i.ByRole.Fallback(),
	}
}
