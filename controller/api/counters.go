package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/routing"
)

// Counters are the answer of GET /v1/counters.
type Counters struct {
	Read       time.Time           `json:"read" doc:"When they were read"`
	Interfaces []InterfaceCounters `json:"interfaces" doc:"Of all routers, by router"`
}

// InterfaceCounters are the sums of one router interface, as the API shows them.
// They are those of the metrics, and what came in.
type InterfaceCounters struct {
	Router          string            `json:"router"`
	Interface       string            `json:"interface"`
	RoutedPackets   uint64            `json:"routed_packets" doc:"That the switch routed out of the interface"`
	RoutedBytes     uint64            `json:"routed_bytes" doc:"Of these packets"`
	ReceivedPackets uint64            `json:"received_packets" doc:"That came in by the interface to be routed, or for the router itself"`
	ReceivedBytes   uint64            `json:"received_bytes" doc:"Of these packets"`
	ARPReplies      uint64            `json:"arp_replies" doc:"ARP requests that the switch answered"`
	NDReplies       uint64            `json:"nd_replies" doc:"Neighbour solicitations that the switch answered"`
	EchoReplies     uint64            `json:"echo_replies" doc:"Pings to the interface's addresses that the switch answered"`
	TTLExpired      uint64            `json:"ttl_expired" doc:"Packets whose TTL ran out"`
	Limited         uint64            `json:"limited" doc:"Packets that were not answered, because there were too many"`
	Fallback        map[string]uint64 `json:"fallback" doc:"Packets that were handed to the kernel, or dropped without a fallback, by reason"`
}

// FallbackReasons are the reasons for which packets are handed to the kernel, each
// with the roles of the flows that do it.
func FallbackReasons() map[string][]routing.Role {
	return map[string][]routing.Role{
		"ttl":       {routing.RoleTTL},
		"mtu":       {routing.RoleTooBig},
		"exception": {routing.RoleException, routing.RoleKernel},
		"no_route":  {routing.RoleNoRoute},
		"unknown":   {routing.RoleUnknown},
		"other":     {routing.RoleFallback},
	}
}

func (s *service) registerCounters(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "counters", Method: http.MethodGet, Path: "/v1/counters", Summary: "What the switches have counted for each router interface",
		Description: "The sums never go back while the daemon runs, also when flows are made anew. Readings that are younger than a second are used again.",
		Tags:        []string{"status"}, Errors: []int{503},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body Counters }, error) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		counters, err := s.switches.Counters(ctx)
		if err != nil {
			return nil, failure(err)
		}
		out := Counters{Read: time.Now(), Interfaces: make([]InterfaceCounters, len(counters))}
		for i := range counters {
			out.Interfaces[i] = interfaceCounters(&counters[i])
		}
		return &struct{ Body Counters }{out}, nil
	})
}

func interfaceCounters(c *controller.InterfaceCounters) InterfaceCounters {
	d := InterfaceCounters{
		Router:          c.Router,
		Interface:       c.Interface,
		RoutedPackets:   c.ByRole[routing.RoleDeliver].Packets + c.ByRole[routing.RoleExtra].Packets,
		RoutedBytes:     c.ByRole[routing.RoleDeliver].Bytes + c.ByRole[routing.RoleExtra].Bytes,
		ReceivedPackets: c.ByRole[routing.RoleIn].Packets,
		ReceivedBytes:   c.ByRole[routing.RoleIn].Bytes,
		ARPReplies:      c.ByRole[routing.RoleARP].Packets,
		NDReplies:       c.ByRole[routing.RoleND].Packets,
		EchoReplies:     c.ByRole[routing.RoleEcho].Packets,
		TTLExpired:      c.ByRole[routing.RoleTTL].Packets,
		Limited:         c.ByRole[routing.RoleLimited].Packets,
		Fallback:        make(map[string]uint64),
	}
	for reason, roles := range FallbackReasons() {
		d.Fallback[reason] = 0
		for _, role := range roles {
			d.Fallback[reason] += c.ByRole[role].Packets
		}
	}
	return d
}
