package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Counters are the answer of GET /v1/counters.
type Counters struct {
	At         float64             `json:"at" doc:"When they were told, in seconds since the daemon began; of a switch with very many flows they may be some seconds older"`
	Interfaces []InterfaceCounters `json:"interfaces" doc:"Of all routers whose switch was read, by router"`
	Ports      []PortCounters      `json:"ports" doc:"Those with the most packets, as many as --port-metrics says"`
}

// InterfaceCounters are the sums of one router interface, as the API shows them.
// They are those of the metrics.
type InterfaceCounters struct {
	Router          string            `json:"router"`
	Interface       string            `json:"interface"`
	RoutedPackets   uint64            `json:"routed_packets" doc:"That the switch routed out of the interface"`
	RoutedBytes     uint64            `json:"routed_bytes" doc:"Of these packets"`
	ReceivedPackets uint64            `json:"received_packets" doc:"That came in by the interface to be routed, or for the router itself"`
	ReceivedBytes   uint64            `json:"received_bytes" doc:"Of these packets"`
	KernelPackets   uint64            `json:"kernel_packets" doc:"From the kernel, that the switch sent out of the interface"`
	ARPReplies      uint64            `json:"arp_replies" doc:"ARP requests that the switch answered"`
	NDReplies       uint64            `json:"nd_replies" doc:"Neighbour solicitations that the switch answered"`
	EchoReplies     uint64            `json:"echo_replies" doc:"Pings to the interface's addresses that the switch answered"`
	TTLExpired      uint64            `json:"ttl_expired" doc:"Packets whose TTL ran out"`
	Limited         map[string]uint64 `json:"limited" doc:"Packets that were dropped because there were too many, by kind: resolution, echo, ttl and unknown"`
	Fallback        map[string]uint64 `json:"fallback" doc:"Packets that were handed to the kernel, or dropped without a fallback, by reason"`
}

// PortCounters are what was routed to a port.
type PortCounters struct {
	Router    string `json:"router"`
	Interface string `json:"interface" doc:"By which the router reaches it"`
	Port      string `json:"port"`
	Packets   uint64 `json:"packets"`
	Bytes     uint64 `json:"bytes"`
}

func (s *service) registerCounters(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "counters", Method: http.MethodGet, Path: "/v1/counters", Summary: "What the switches have counted for each router interface",
		Description: "The sums never go back, also when flows are made anew or the daemon restarts. Readings that are younger than a second are used again.",
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
				continue // rather than zeros that jump
			}
			for _, i := range r.Interfaces {
				out.Interfaces = append(out.Interfaces, interfaceCounters(r.Router, i))
			}
		}
		for _, p := range counters.Ports {
			out.Ports = append(out.Ports, PortCounters{p.Router, p.Interface, p.Port, p.Packets, p.Bytes})
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
