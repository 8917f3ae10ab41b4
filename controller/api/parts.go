package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// A part describes a kind of router parts, interfaces or routes, that have their own paths in the
// API. P is the type of a part, and D the type of its document.
type part[P, D any] struct {
	kind   string // such as interface
	key    string // key of the router's list of such parts
	name   string // name of the path parameter
	called string // noun for messages, with a format verb for the name
	list   func(*routing.Router) *[]P
	is     func(p *P, name string) bool
	decode func(text []byte, name string, check func(P) error) (P, error)
	append func([]byte, *P) []byte
	doc    func(P) D
}

var (
	interfaceParts = part[routing.Interface, topology.Interface]{
		kind: "interface", key: "interfaces", name: "network", called: "interface on network %s",
		list:   func(r *routing.Router) *[]routing.Interface { return &r.Interfaces },
		is:     func(f *routing.Interface, network string) bool { return f.Network == network },
		decode: topology.DecodeInterface, append: topology.AppendInterface, doc: topology.InterfaceOf,
	}
	routeParts = part[routing.Route, topology.Route]{
		kind: "route", key: "routes", name: "destination", called: "route to %s",
		list:   func(r *routing.Router) *[]routing.Route { return &r.Routes },
		is:     func(r *routing.Route, destination string) bool { return r.Destination.String() == destination },
		decode: topology.DecodeRoute, append: topology.AppendRoute, doc: topology.RouteOf,
	}
)

// InterfacePath names an interface of a router.
type InterfacePath struct {
	ID      string `path:"id" doc:"ID of the router; percent-encoded where a URL needs it"`
	Network string `path:"network" doc:"ID of the network on which the router has the interface"`
}

func (p *InterfacePath) names() (router, name string, bad *Problem) { return p.ID, p.Network, nil }

// RoutePath names a route of a router.
type RoutePath struct {
	ID          string `path:"id" doc:"ID of the router; percent-encoded where a URL needs it"`
	Destination string `path:"destination" example:"10.9.0.0%2F16" doc:"Destination of the route, a prefix, with its slash percent-encoded"`
}

func (p *RoutePath) names() (router, name string, bad *Problem) {
	to, err := netip.ParsePrefix(p.Destination)
	if err != nil {
		return "", "", badParameter("destination", fmt.Sprintf("%q is not a prefix: want one like 10.9.0.0%%2F16", p.Destination))
	}
	return p.ID, to.String(), nil
}

type (
	getInterface struct {
		InterfacePath
		Revalidating
	}
	putInterface struct {
		InterfacePath
		Conditional
		Writing
		Sent
	}
	deleteInterface struct {
		InterfacePath
		Conditional
		Writing
	}
	getRoute struct {
		RoutePath
		Revalidating
	}
	putRoute struct {
		RoutePath
		Conditional
		Writing
		Sent
	}
	deleteRoute struct {
		RoutePath
		Conditional
		Writing
	}
)

// A namer is the input of a request about a part of a router.
type namer interface {
	names() (router, name string, bad *Problem)
}

// A partWriter is the input of a write of a part.
type partWriter interface {
	namer
	on(tag func(*ledger.Intent) string, edit ledger.Edit) ledger.Edit
	writing() Writing
}

func (w Writing) writing() Writing { return w }

func (s *service) registerParts(a huma.API) {
	registerPart[getInterface, putInterface, deleteInterface](s, a, interfaceParts)
	registerPart[getRoute, putRoute, deleteRoute](s, a, routeParts)
}

// registerPart registers the requests about a kind of parts. G, U and X are the inputs of GET, PUT
// and DELETE.
func registerPart[G, U, X, P, D any](s *service, a huma.API, part part[P, D]) {
	op := func(verb, method, summary string, errs ...int) huma.Operation {
		return huma.Operation{OperationID: verb + "-router-" + part.kind, Method: method, Path: "/v1/routers/{id}/" + part.key + "/{" + part.name + "}",
			Summary: summary + " of a router", Tags: []string{"routers"}, Errors: errs}
	}
	huma.Register(a, revalidated(op("get", http.MethodGet, "Get one "+part.kind, 404, 409, 422)), func(_ context.Context, in *G) (*tagged[D], error) {
		router, name, bad := any(in).(namer).names()
		if bad != nil {
			return nil, bad
		}
		r, i, err := part.find(s.intent.Intent(), router, name)
		if err != nil {
			return nil, failure(err)
		}
		if i < 0 {
			return nil, part.missing(router, name)
		}
		p := (*part.list(r))[i]
		return answer(any(in).(interface{ unchanged(string) bool }), tagOfText(part.append(nil, &p)), part.doc(p)), nil
	})
	put := op("put", http.MethodPut, "Create or replace one "+part.kind, 403, 404, 409, 412, 413, 415, 422, 503, 507)
	put.MaxBodyBytes = maxObject
	var d D
	withBody(s, a, put, d, func(ctx context.Context, in *U) (*writeOutput, error) {
		text := any(in).(interface{ sent() *Sent }).sent()
		made := new(bool)
		return part.write(ctx, s, any(in).(partWriter), text, made, func(st *ledger.Intent, r *routing.Router, name string, i int) error {
			list := part.list(r)
			place := i
			if i < 0 {
				place = len(*list)
			}
			*made = i < 0
			one, err := part.decode(text.text(), name, func(p P) error {
				with := *r
				*part.list(&with) = withPart(*list, place, p)
				return below(st.Index.Check(routing.Change{Put: routing.Model{Routers: []routing.Router{with}}}), part.prefix(place))
			})
			if err != nil {
				return mistaken(err)
			}
			*list = withPart(*list, place, one)
			return nil
		})
	})
	huma.Register(a, op("delete", http.MethodDelete, "Delete one "+part.kind, 403, 404, 409, 412, 422, 503, 507), func(ctx context.Context, in *X) (*writeOutput, error) {
		return part.write(ctx, s, any(in).(partWriter), nil, nil, func(_ *ledger.Intent, r *routing.Router, name string, i int) error {
			if i < 0 {
				return part.missing(r.ID, name)
			}
			list := part.list(r)
			if *list = slices.Delete(slices.Clone(*list), i, i+1); len(*list) == 0 {
				*list = nil
			}
			return nil
		})
	})
}

// withPart returns a copy of list with p at index i. If i is the length of list, it appends p.
func withPart[P any](list []P, i int, p P) []P {
	list = slices.Clone(list)
	if i == len(list) {
		return append(list, p)
	}
	list[i] = p
	return list
}

// prefix returns the path of the part at index i, in a change with one router. All paths in the
// part begin with it.
func (part *part[P, D]) prefix(i int) string { return fmt.Sprintf("routers[0].%s[%d].", part.key, i) }

// find returns a router and the index of one of its parts, or -1 if the router does not
// have that part.
func (part *part[P, D]) find(st *ledger.Intent, router, name string) (*routing.Router, int, error) {
	r := st.Index.Router(router)
	if r == nil {
		return nil, 0, st.NotFound(ledger.Object{Kind: routing.KindRouter, ID: router})
	}
	found := -1
	for i := range *part.list(r) {
		if !part.is(&(*part.list(r))[i], name) {
			continue
		}
		if found >= 0 {
			return nil, 0, problem(http.StatusConflict, "router %q has more than one "+part.called+": write the router itself", router, name)
		}
		found = i
	}
	return r, found, nil
}

func (part *part[P, D]) missing(router, name string) *Problem {
	return problem(http.StatusNotFound, "router %q has no "+part.called, router, name)
}

// write carries out a write of a part. change modifies a copy of the router. i is the index of the
// part.
func (part *part[P, D]) write(ctx context.Context, s *service, in partWriter, sent *Sent, made *bool, change func(st *ledger.Intent, r *routing.Router, name string, i int) error) (*writeOutput, error) {
	router, name, bad := in.names()
	if bad != nil {
		return nil, bad
	}
	tag := func(st *ledger.Intent) string {
		r, i, err := part.find(st, router, name)
		if err != nil || i < 0 {
			return ""
		}
		return tagOfText(part.append(nil, &(*part.list(r))[i]))
	}
	prefix := ""
	put := new(routing.Model)
	edit := func(st *ledger.Intent) (ledger.Proposal, error) {
		old, i, err := part.find(st, router, name)
		if err != nil {
			return ledger.Proposal{}, err
		}
		prefix = part.prefix(i)
		if i < 0 {
			prefix = part.prefix(len(*part.list(old)))
		}
		r := *old
		if err := change(st, &r, name, i); err != nil {
			return ledger.Proposal{}, err
		}
		put.Routers = []routing.Router{r}
		return ledger.Proposal{Change: routing.Change{Put: *put}}, nil
	}
	return s.write(ctx, request{Writing: in.writing(), sent: sent, edit: in.on(tag, edit), tag: tag, warn: put, made: made,
		place: func(path string) string { return inPart(path, prefix) }})
}

// inPart returns path without prefix. If path does not begin with prefix, it returns "".
func inPart(path, prefix string) string {
	if rest, ok := strings.CutPrefix(path, prefix); ok {
		return rest
	}
	return ""
}

// below returns the errors that err joins. It shortens their paths with [inPart].
func below(err error, prefix string) error {
	var errs []error
	for _, err := range joined(err) {
		if e, ok := errors.AsType[*routing.PathError](err); ok {
			err = &routing.PathError{Path: inPart(e.Path, prefix), Err: e.Err}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
