package main

import (
	"context"
	"errors"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/metrics"
	"github.com/ofdvr/ofdvr/routing"
)

// fallbackReasons are the roles of flows that hand packets to the kernel, by
// the reason that metrics give.
var fallbackReasons = map[string][]routing.Role{
	"ttl":       {routing.RoleTTL},
	"mtu":       {routing.RoleTooBig},
	"exception": {routing.RoleException, routing.RoleKernel},
	"no_route":  {routing.RoleNoRoute},
	"unknown":   {routing.RoleUnknown},
	"other":     {routing.RoleFallback},
}

// metricsState reads from c what metrics show.
func metricsState(c *controller.Controller) func(context.Context) (metrics.State, error) {
	return func(ctx context.Context) (metrics.State, error) {
		s, err := c.Status(ctx)
		counters, err2 := c.Counters(ctx)
		if err := errors.Join(err, err2); err != nil {
			return metrics.State{}, err
		}
		in := s.Intent
		out := metrics.State{
			Revision: in.Revision, Objects: map[string]int{"network": in.Networks, "router": in.Routers, "port": in.Ports},
			StoreWritable: in.Store != nil && in.Store.Mistakes == nil, OVSDBConnected: s.OVSDB != nil && s.OVSDB.Connected, Standby: s.Standby, States: controller.RouterStates(),
		}
		if in.File != nil {
			out.FileMistakes = len(in.File.Mistakes)
		}
		for _, r := range s.Routers {
			out.Routers = append(out.Routers, metrics.Router{
				ID: r.ID, Connected: r.Connected, Wanted: r.FlowsWanted, Present: r.FlowsInstalled,
				Refused: r.FlowsRefused, Foreign: r.FlowsForeign, State: r.State,
			})
		}
		for _, i := range counters {
			m := metrics.Interface{
				Router:        i.Router,
				ID:            i.Interface,
				RoutedPackets: i.ByRole[routing.RoleDeliver].Packets + i.ByRole[routing.RoleExtra].Packets,
				RoutedBytes:   i.ByRole[routing.RoleDeliver].Bytes + i.ByRole[routing.RoleExtra].Bytes,
				ARPReplies:    i.ByRole[routing.RoleARP].Packets,
				NDReplies:     i.ByRole[routing.RoleND].Packets,
				EchoReplies:   i.ByRole[routing.RoleEcho].Packets,
				Limited:       i.ByRole[routing.RoleLimited].Packets,
				TTLExpired:    i.ByRole[routing.RoleTTL].Packets,
				Fallback:      make(map[string]uint64, len(fallbackReasons)),
			}
			for reason, roles := range fallbackReasons {
				for _, role := range roles {
					m.Fallback[reason] += i.ByRole[role].Packets
				}
			}
			out.Interfaces = append(out.Interfaces, m)
		}
		return out, nil
	}
}
