package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/routing"
)

// A Machine describes the place of a port's machine on the integration bridge.
type Machine struct {
	Port       string  `json:"port" doc:"ID of the port"`
	Network    string  `json:"network" doc:"ID of its network"`
	State      string  `json:"state" enum:"seen,not_seen,elsewhere,unknown" doc:"seen: the machine is on the integration bridge, in the VLAN of its network. not_seen: there is no evidence of the machine. elsewhere: the machine is in another VLAN, or has another MAC address. unknown: ofdvr cannot look for the machine, for example because ovs-vswitchd does not run"`
	BridgePort string  `json:"bridge_port,omitempty" doc:"The port of the integration bridge where the machine is or should be"`
	OFPort     uint32  `json:"ofport,omitempty" doc:"The OpenFlow number of bridge_port"`
	VLAN       *uint16 `json:"vlan,omitempty" doc:"The VLAN of the machine at bridge_port; 0: none. Absent without bridge_port"`
	Tagged     bool    `json:"tagged,omitempty" doc:"bridge_port is a trunk port, and packets of the machine have a VLAN tag there. Absent: they have no tag"`
	WantedVLAN uint16  `json:"wanted_vlan,omitempty" doc:"The VLAN of the machine's network. Absent: not known"`
	Remote     bool    `json:"remote,omitempty" doc:"The machine is behind bridge_port, which leads to other hosts"`
	Host       string  `json:"host,omitempty" doc:"The other host on which the machine is or is expected. Absent: this host, or not known"`
	Says       string  `json:"says" doc:"The evidence, in words"`
	Remedy     string  `json:"remedy,omitempty" doc:"What to do about it"`
}

// MachineCounts is the answer of GET /v1/machines/counts: the number of ports in each state. Only
// ports that are up and bound are counted.
type MachineCounts struct {
	Seen      int `json:"seen"`
	NotSeen   int `json:"not_seen"`
	Elsewhere int `json:"elsewhere"`
	Unknown   int `json:"unknown"`
}

type machinesInput struct {
	Listing
	PortFilter
	At    string `query:"at" doc:"Only machines that are on this host, as far as known"`
	State string `query:"state" enum:"seen,not_seen,elsewhere,unknown" doc:"Only those in this state"`
}

func (s *service) registerMachines(a huma.API) {
	huma.Register(a, revalidated(huma.Operation{
		OperationID: "list-machines", Method: http.MethodGet, Path: "/v1/machines", Summary: "Whether the machines of ports are on the integration bridge, by the port's ID",
		Description: "The answer is computed from the interfaces and tags in Open vSwitch's database and the MAC table of the integration bridge. Both are read again for a request if the last reading is older than a second.",
		Tags:        []string{"ports"}, Errors: []int{503},
	}), func(ctx context.Context, in *machinesInput) (*tagged[Page[Machine]], error) {
		from, keep, err := in.ports()
		if err != nil {
			return nil, err
		}
		e, err := s.evidence(ctx)
		if err != nil {
			return nil, err
		}
		var v *machines.View // view of the same index as the page, so that both agree
		return page(s, in.Listing, list[routing.Port, Machine]{
			from: from,
			id:   func(p routing.Port) string { return p.ID },
			meta: func(p routing.Port) *routing.Meta { return p.Meta },
			keep: func(x *routing.Index, p routing.Port) bool {
				if v == nil {
					v = machines.NewView(x, e)
				}
				if !keep(x, p) || in.State == "" && in.At == "" {
					return keep(x, p)
				}
				m := v.Look(&p)
				return (in.State == "" || string(m.State) == in.State) && (in.At == "" || v.Place(m) == in.At)
			},
			convert: func(p routing.Port) Machine { return machineDocument(&p, v.Look(&p)) },
		})
	})
	huma.Register(a, huma.Operation{
		OperationID: "count-machines", Method: http.MethodGet, Path: "/v1/machines/counts", Summary: "How many machines of ports that are up are in each state",
		Tags: []string{"ports"}, Errors: []int{503},
	}, func(ctx context.Context, _ *struct{}) (*struct{ Body MachineCounts }, error) {
		e, err := s.evidence(ctx)
		if err != nil {
			return nil, err
		}
		n := machines.NewView(s.intent.Intent().Index, e).Count(nil)
		return &struct{ Body MachineCounts }{MachineCounts{n[machines.Seen], n[machines.NotSeen], n[machines.Elsewhere], n[machines.Unknown]}}, nil
	})
}

func (s *service) evidence(ctx context.Context) (*machines.Evidence, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	e, err := s.switches.Machines(ctx)
	if err != nil {
		return nil, failure(err)
	}
	return e, nil
}

// machine returns the machine of a port, or nil if the port no longer exists.
func (s *service) machine(ctx context.Context, id string) (*Machine, error) {
	e, err := s.evidence(ctx)
	if err != nil {
		return nil, err
	}
	x := s.intent.Intent().Index
	p, ok := x.Port(id)
	if !ok {
		return nil, nil
	}
	d := machineDocument(&p, machines.NewView(x, e).Look(&p))
	return &d, nil
}

func machineDocument(p *routing.Port, m machines.Sighting) Machine {
	d := Machine{Port: p.ID, Network: p.Network, State: string(m.State), BridgePort: m.Port, OFPort: uint32(m.OFPort), WantedVLAN: m.Wanted, Tagged: m.Tagged, Remote: m.Remote, Host: m.Host, Says: m.Says, Remedy: m.Remedy}
	if m.Port != "" {
		d.VLAN = &m.VLAN
	}
	return d
}
