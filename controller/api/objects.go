package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// A resource is a kind of objects. D is the document of an object.
type resource[D any] struct {
	kind   routing.Kind
	name   string // name of the kind, in the plural
	decode func(body []byte, id string, also func(*routing.Change) error) (routing.Change, error)
	shape  topology.Shape
	get    func(x *routing.Index, id string) (D, bool)
}

var (
	hosts = resource[topology.Host]{routing.KindHost, "hosts", topology.DecodeHost, topology.ShapeHost,
		func(x *routing.Index, id string) (d topology.Host, ok bool) {
			if h := x.Host(id); h != nil {
				return topology.HostOf(*h), true
			}
			return d, false
		}}
	networks = resource[topology.Network]{routing.KindNetwork, "networks", topology.DecodeNetwork, topology.ShapeNetwork,
		func(x *routing.Index, id string) (d topology.Network, ok bool) {
			n, ok := x.Network(id)
			return topology.NetworkOf(n), ok
		}}
	routers = resource[topology.Router]{routing.KindRouter, "routers", topology.DecodeRouter, topology.ShapeRouter,
		func(x *routing.Index, id string) (d topology.Router, ok bool) {
			if r := x.Router(id); r != nil {
				return topology.RouterOf(*r), true
			}
			return d, false
		}}
	ports = resource[topology.Port]{routing.KindPort, "ports", topology.DecodePort, topology.ShapePort,
		func(x *routing.Index, id string) (d topology.Port, ok bool) {
			p, ok := x.Port(id)
			return topology.PortOf(p), ok
		}}
)

func (s *service) registerObjects(a huma.API) {
	register(s, a, hosts)
	register(s, a, networks)
	register(s, a, routers)
	register(s, a, ports)
	s.registerLists(a)
	s.registerParts(a)
}

// ByID is the path parameter that names the object of a request.
type ByID struct {
	ID string `path:"id" doc:"ID of the object; percent-encoded where a URL needs it"`
}

type getInput struct {
	ByID
	Revalidating
}

type putInput struct {
	ByID
	Conditional
	Writing
	Sent
}

// register registers the operations on one object of a kind.
func register[D any](s *service, a huma.API, res resource[D]) {
	one := res.kind.String()
	path, tags := "/v1/"+res.name+"/{id}", []string{res.name}
	huma.Register(a, revalidated(huma.Operation{
		OperationID: "get-" + one, Method: http.MethodGet, Path: path, Summary: "Get a " + one, Tags: tags, Errors: []int{404},
	}), func(_ context.Context, in *getInput) (*tagged[D], error) {
		st, o := s.intent.Intent(), ledger.Object{Kind: res.kind, ID: in.ID}
		d, ok := res.get(st.Index, in.ID)
		if !ok {
			return nil, failure(st.NotFound(o))
		}
		return answer(in.Revalidating, etag(st, o), d), nil
	})
	huma.Register(a, huma.Operation{
		OperationID: "get-" + one + "-status", Method: http.MethodGet, Path: path + "/status", Summary: "The state of a " + one, Tags: tags, Errors: []int{404},
	}, func(ctx context.Context, in *ByID) (*struct{ Body ObjectStatus }, error) {
		st, err := s.objectStatus(ctx, ledger.Object{Kind: res.kind, ID: in.ID})
		switch {
		case err != nil:
		case res.kind == routing.KindPort:
			st.Machine, err = s.machine(ctx, in.ID)
		case res.kind == routing.KindHost:
			st.Host, err = s.host(ctx, in.ID)
		}
		return &struct{ Body ObjectStatus }{st}, err
	})
	put := func(ctx context.Context, in *putInput) (*writeOutput, error) {
		c, err := res.decode(in.text(), in.ID, s.also)
		if err != nil {
			return nil, mistaken(err)
		}
		tag := tagOf(ledger.Object{Kind: res.kind, ID: in.ID})
		return s.write(ctx, request{Writing: in.Writing, sent: &in.Sent, edit: in.on(tag, ledger.Apply(c)), place: res.shape.Path, warn: &c.Put, created: true, tag: tag})
	}
	var d D
	withBody(s, a, huma.Operation{
		OperationID: "put-" + one, Method: http.MethodPut, Path: path, Summary: "Create or replace a " + one, Tags: tags, MaxBodyBytes: maxObject,
		Errors: []int{403, 409, 412, 413, 422, 503, 507},
	}, d, put)
	withBody(s, a, huma.Operation{
		OperationID: "plan-" + one, Method: http.MethodPost, Path: path, Summary: "The plan of the PUT of a " + one + ", with dry_run=true", Tags: tags, MaxBodyBytes: maxObject,
		Errors: []int{403, 409, 412, 413, 422},
	}, d, dryRunOnly(put, func(in *putInput) bool { return in.DryRun }))
	registerPatch(s, a, res, d)
	type deleteInput struct {
		ByID
		Conditional
		Writing
		Cascade bool `query:"cascade" doc:"Of a network: also delete the ports and router interfaces on it. Of a host: also remove the key host from its ports"`
	}
	huma.Register(a, huma.Operation{
		OperationID: "delete-" + one, Method: http.MethodDelete, Path: path, Summary: "Delete a " + one, Tags: tags, Errors: []int{403, 404, 409, 412, 503, 507},
	}, func(ctx context.Context, in *deleteInput) (*writeOutput, error) {
		o := ledger.Object{Kind: res.kind, ID: in.ID}
		return s.write(ctx, request{Writing: in.Writing, edit: in.on(tagOf(o), ledger.Delete(o, in.Cascade))})
	})
}

// host returns the status of a host, or nil if the host no longer exists.
func (s *service) host(ctx context.Context, id string) (*controller.HostStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	st, err := s.switches.Status(ctx)
	if err != nil {
		return nil, failure(err)
	}
	for i := range st.Hosts {
		if st.Hosts[i].ID == id {
			return &st.Hosts[i], nil
		}
	}
	return nil, nil
}

func tagOf(o ledger.Object) func(*ledger.Intent) string {
	return func(s *ledger.Intent) string { return etag(s, o) }
}

// also finds mistakes in the content of a change. The decoder finds mistakes of form.
func (s *service) also(c *routing.Change) error { return s.intent.Intent().Index.Check(*c) }

// withBody registers an operation that has the document d as its body. Huma does not validate the
// body against the document's schema, because package topology finds all mistakes with their
// positions.
func withBody[I, O any](s *service, a huma.API, op huma.Operation, d any, handler func(context.Context, *I) (*O, error)) {
	media := "application/json"
	if _, batch := d.(topology.BatchBody); op.Method == http.MethodPatch && !batch {
		media = mergePatch
	}
	body := &huma.RequestBody{Required: true, Content: make(map[string]*huma.MediaType)}
	op.RequestBody = body
	huma.Register(a, op, func(ctx context.Context, in *I) (*O, error) {
		b := any(in).(interface{ sent() *Sent }).sent()
		defer b.release()
		if p := b.wrongType(media); p != nil {
			return nil, p
		}
		if p := s.receive(ctx, b, int(op.MaxBodyBytes)); p != nil {
			return nil, p
		}
		if looksLikeYAML(b.text()) {
			return nil, yamlProblem()
		}
		return handler(ctx, in)
	})
	// The schema is set after the registration, because otherwise huma would read the body.
	if media == mergePatch { // a patch may have any part of d, and null
		body.Content[media] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}}
		return
	}
	body.Content[media] = &huma.MediaType{Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(d), true, "Body")}
}

// dryRunOnly returns a handler that refuses requests without dry_run.
func dryRunOnly[I, O any](handler func(context.Context, *I) (*O, error), dry func(*I) bool) func(context.Context, *I) (*O, error) {
	return func(ctx context.Context, in *I) (*O, error) {
		if !dry(in) {
			return nil, problem(http.StatusMethodNotAllowed, "POST only plans: add dry_run=true for the plan, or use PUT to write")
		}
		return handler(ctx, in)
	}
}

func (s *service) objectStatus(ctx context.Context, o ledger.Object) (ObjectStatus, error) {
	st := s.intent.Intent()
	if !st.Has(o) {
		return ObjectStatus{}, failure(st.NotFound(o))
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	conds, err := s.switches.Conditions(ctx, []ledger.Object{o})
	if err != nil {
		return ObjectStatus{}, failure(err)
	}
	source := st.DeclaredBy(o)
	if store := st.Store(); source == "" && store != nil {
		source = store.Name
	}
	return ObjectStatus{Kind: o.Kind.String(), ID: o.ID, Source: source, Conditions: conditionsOf(conds[0])}, nil
}
