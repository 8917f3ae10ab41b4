package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/routing/compile"
)

func (s *service) registerCounters(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "counters", Method: http.MethodGet, Path: "/v1/counters", Summary: "Counters of each router interface, from the switches",
		Description: "Sums never decrease, also if flows are created again or the daemon restarts. A reading is used for one second.",
		Tags:        []string{"status"}, Errors: []int{503},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body Counters }, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		counters, err := s.switches.Counters(ctx)
		if err != nil {
			return nil, failure(err)
		}
		out := Counters{At: counters.At.Seconds(), Interfaces: []InterfaceCounters{}, Ports: []PortCounters{}}
		for _, r := range counters.Routers {
			if !r.Known {
				continue // counters of unknown value are left out: if they were 0 now, they would later jump to the real values
			}
			for _, i := range r.Interfaces {
				out.Interfaces = append(out.Interfaces, interfaceCounters(r.Router, i))
			}
		}
		for _, p := range counters.Ports {
			out.Ports = append(out.Ports, PortCounters{p.Router, p.Interface, p.Port, p.Packets, p.Bytes})
		}
		if f := counters.Fabric; f != nil && f.Known {
			sent, received := f.Total.Carried()
			out.Fabric = &FabricCounters{sent.Packets, sent.Bytes, received.Packets, received.Bytes, f.Total.Lost()}
		}
		return &struct{ Body Counters }{out}, nil
	})
}

func interfaceCounters(router string, c counters.Object) InterfaceCounters {
	routed, received := c.ByRole.Routed(), c.ByRole[compile.RoleIn]
	return InterfaceCounters{
		Router:          router,
		Interface:       c.ID,
		RoutedPackets:   routed.Packets,
		RoutedBytes:     routed.Bytes,
		ReceivedPackets: received.Packets,
		ReceivedBytes:   received.Bytes,
		KernelPackets:   c.ByRole[compile.RoleFromKernel].Packets,
		ARPReplies:      c.ByRole[compile.RoleARP].Packets,
		NDReplies:       c.ByRole[compile.RoleND].Packets,
		EchoReplies:     c.ByRole[compile.RoleEcho].Packets,
		TTLExpired:      c.ByRole[compile.RoleTTL].Packets,
		Limited:         c.ByRole.Limited(),
		Fallback:        c.ByRole.Fallback(),
	}
}
