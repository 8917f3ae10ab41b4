package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"iter"
	"net/http"
	"net/netip"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// Listing has the parameters of every list.
type Listing struct {
	Revalidating
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many objects at most"`
	After  string `query:"after" doc:"Continue after this place: the value of next in the previous page"`
	ID     string `query:"id" doc:"Only the object with this ID"`
	Name   string `query:"name" doc:"Only objects with this name"`
	Labels string `query:"labels" example:"tier=web,!old" doc:"Only objects with these labels: key=value, key!=value, key (has the key) and !key (does not have the key), separated by commas; all must match"`
}

// A list describes how objects of type T are listed as documents of type D.
type list[T, D any] struct {
	from    func(x *routing.Index, id string) iter.Seq[T] // objects from id on, sorted by ID
	id      func(T) string
	meta    func(T) *routing.Meta
	keep    func(x *routing.Index, v T) bool
	convert func(T) D
}

// page returns the page that begins at the end of the previous page. Its ETag depends on
// the objects and not on the revision.
func page[T, D any](s *service, p Listing, l list[T, D]) (*tagged[Page[D]], error) {
	after, err := base64.RawURLEncoding.DecodeString(p.After)
	if err != nil {
		return nil, badParameter("after", "this is not a value of next of any page")
	}
	labels, err := routing.ParseSelector(p.Labels)
	if err != nil {
		return nil, badParameter("labels", err.Error())
	}
	st := s.intent.Intent()
	out := Page[D]{Revision: st.Revision, Items: []D{}}
	last := ""
	for v := range l.from(st.Index, max(string(after), p.ID)) {
		if p.ID != "" && l.id(v) != p.ID {
			break // all following objects have larger IDs
		}
		meta := l.meta(v)
		if p.After != "" && l.id(v) == string(after) || p.Name != "" && !meta.HasName(p.Name) || !labels.Matches(meta) || !l.keep(st.Index, v) {
			continue
		}
		if len(out.Items) == p.Limit {
			out.Next = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		out.Items = append(out.Items, l.convert(v))
		last = l.id(v)
	}
	text, err := json.Marshal(Page[D]{Items: out.Items, Next: out.Next})
	if err != nil {
		return nil, failure(err)
	}
	return answer(p.Revalidating, "W/"+tagOfText(text), out), nil
}

// badParameter returns the problem of a parameter with a mistake.
func badParameter(name, detail string) *Problem {
	p := problem(http.StatusUnprocessableEntity, "the request has a mistake")
	p.Errors = []Mistake{{Parameter: name, Detail: detail}}
	return p
}

func (s *service) registerLists(a huma.API) {
	op := func(name string) huma.Operation {
		return revalidated(huma.Operation{OperationID: "list-" + name, Method: http.MethodGet, Path: "/v1/" + name, Summary: "List " + name + ", by ID", Tags: []string{name}})
	}
	huma.Register(a, op("hosts"), func(_ context.Context, in *Listing) (*tagged[Page[topology.Host]], error) {
		return page(s, *in, list[*routing.Host, topology.Host]{
			from:    (*routing.Index).Hosts,
			id:      func(h *routing.Host) string { return h.ID },
			meta:    func(h *routing.Host) *routing.Meta { return h.Meta },
			keep:    func(*routing.Index, *routing.Host) bool { return true },
			convert: func(h *routing.Host) topology.Host { return topology.HostOf(*h) },
		})
	})
	type networksInput struct {
		Listing
		Router string `query:"router" doc:"Only networks on which this router has an interface"`
		VLAN   uint16 `query:"vlan" doc:"Only the network with this VLAN"`
		VNI    uint32 `query:"vni" doc:"Only the network with this VNI"`
	}
	huma.Register(a, op("networks"), func(_ context.Context, in *networksInput) (*tagged[Page[topology.Network]], error) {
		return page(s, in.Listing, list[routing.Network, topology.Network]{
			from: (*routing.Index).Networks,
			id:   func(n routing.Network) string { return n.ID },
			meta: func(n routing.Network) *routing.Meta { return n.Meta },
			keep: func(x *routing.Index, n routing.Network) bool {
				return (in.VLAN == 0 || n.VLAN == in.VLAN) && (in.VNI == 0 || n.VNI == in.VNI) && (in.Router == "" || joins(x, n.ID, in.Router))
			},
			convert: topology.NetworkOf,
		})
	})
	type routersInput struct {
		Listing
		Network string `query:"network" doc:"Only routers with an interface on this network"`
	}
	huma.Register(a, op("routers"), func(_ context.Context, in *routersInput) (*tagged[Page[topology.Router]], error) {
		return page(s, in.Listing, list[*routing.Router, topology.Router]{
			from: (*routing.Index).Routers,
			id:   func(r *routing.Router) string { return r.ID },
			meta: func(r *routing.Router) *routing.Meta { return r.Meta },
			keep: func(_ *routing.Index, r *routing.Router) bool {
				return in.Network == "" || slices.ContainsFunc(r.Interfaces, func(f routing.Interface) bool { return f.Network == in.Network })
			},
			convert: func(r *routing.Router) topology.Router { return topology.RouterOf(*r) },
		})
	})
	type portsInput struct {
		Listing
		PortFilter
	}
	huma.Register(a, op("ports"), func(_ context.Context, in *portsInput) (*tagged[Page[topology.Port]], error) {
		from, keep, err := in.ports()
		if err != nil {
			return nil, err
		}
		return page(s, in.Listing, list[routing.Port, topology.Port]{
			from:    from,
			id:      func(p routing.Port) string { return p.ID },
			meta:    func(p routing.Port) *routing.Meta { return p.Meta },
			keep:    keep,
			convert: topology.PortOf,
		})
	})
}

// PortFilter selects ports.
type PortFilter struct {
	Network string     `query:"network" doc:"Only those on this network"`
	Router  string     `query:"router" doc:"Only ports on networks on which this router has an interface"`
	Address netip.Addr `query:"address" doc:"Only those with this address"`
	MAC     string     `query:"mac" doc:"Only ports with this MAC address"`
	Host    string     `query:"host" doc:"Only ports that are expected on this host"`
}

// ports returns a list of ports, and a function that reports whether f selects a port.
func (f *PortFilter) ports() (list func(*routing.Index, string) iter.Seq[routing.Port], keep func(*routing.Index, routing.Port) bool, err error) {
	var mac ofproto.MAC
	if f.MAC != "" {
		if mac, err = ofproto.ParseMAC(f.MAC); err != nil {
			return nil, nil, badParameter("mac", err.Error())
		}
	}
	list = (*routing.Index).Ports
	if f.Network != "" {
		list = func(x *routing.Index, from string) iter.Seq[routing.Port] { return x.PortsOn(f.Network, from) }
	}
	return list, func(x *routing.Index, p routing.Port) bool {
		return (f.Router == "" || joins(x, p.Network, f.Router)) && (f.MAC == "" || p.MAC == mac) && (f.Host == "" || p.Host == f.Host) &&
			(!f.Address.IsValid() || slices.Contains(p.Addresses, f.Address))
	}, nil
}

// joins reports whether a router has an interface on a network.
func joins(x *routing.Index, network, router string) bool {
	return slices.ContainsFunc(x.Legs(network), func(l routing.Leg) bool { return l.Router.ID == router })
}
