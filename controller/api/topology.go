package api

import (
	"bufio"
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// A topologyInput is the input of writes that replace the whole topology.
type topologyInput struct {
	Conditional
	Writing
	Sent
	AllowEmpty bool `query:"allow_empty" doc:"Accept a body without objects, which deletes everything. A dry run does not need this parameter"`
	AsFile     bool `query:"as_file" doc:"With dry_run=true: plan for the case that the body replaces the daemon's topology file"`
}

type bodyInput struct {
	Conditional
	Writing
	Sent
}

// registerTopology registers the operations on many objects.
func (s *service) registerTopology(a huma.API) {
	tags := []string{"topology"}
	huma.Register(a, huma.Operation{
		OperationID: "get-topology", Method: http.MethodGet, Path: "/v1/topology", Summary: "Everything, as a topology file in JSON", Tags: tags,
		Responses: map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			"application/json": {Schema: a.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[topology.Topology](), true, "Topology")}}},
			"304": {Description: "The client already has this answer, because it sent the ETag of this answer in If-None-Match"}},
	}, func(_ context.Context, in *Revalidating) (*huma.StreamResponse, error) {
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			st := s.intent.Intent()
			tag := s.topologyTag(st)
			ctx.SetHeader("ETag", tag)
			if in.unchanged(tag) {
				ctx.SetStatus(http.StatusNotModified)
				return
			}
			ctx.SetHeader("Content-Type", "application/json")
			w := bufio.NewWriter(ctx.BodyWriter())
			topology.WriteJSON(w, st.Index.Model())
			w.Flush() // an error here means that the client has disconnected
		}}, nil
	})
	errs := []int{403, 409, 412, 413, 422, 503, 507}
	replace := func(ctx context.Context, in *topologyInput) (*writeOutput, error) {
		c, err := topology.DecodeTopology(in.text(), s.also)
		if err != nil {
			return nil, mistaken(err)
		}
		if in.AsFile {
			return s.planFile(ctx, in, &c.Put)
		}
		return s.write(ctx, request{Writing: in.Writing, sent: &in.Sent, edit: in.on(s.topologyTag, ledger.ReplaceAll(c.Put, in.AllowEmpty || in.DryRun)), warn: &c.Put, plan: true, tag: s.topologyTag})
	}
	withBody(s, a, huma.Operation{
		OperationID: "put-topology", Method: http.MethodPut, Path: "/v1/topology", Tags: tags, MaxBodyBytes: maxBody, Errors: errs,
		Summary: "Replace all objects except those that a file declares; the answer has the plan",
	}, topology.Topology{}, replace)
	withBody(s, a, huma.Operation{
		OperationID: "plan-topology", Method: http.MethodPost, Path: "/v1/topology", Tags: tags, MaxBodyBytes: maxBody, Errors: errs[:5],
		Summary: "The plan of replacing all objects, with dry_run=true",
	}, topology.Topology{}, dryRunOnly(replace, func(in *topologyInput) bool { return in.DryRun }))
	withBody(s, a, huma.Operation{
		OperationID: "patch-topology", Method: http.MethodPatch, Path: "/v1/topology", Tags: tags, MaxBodyBytes: maxBody, Errors: errs,
		Summary: "Put and delete many objects in one step, all or none",
	}, topology.BatchBody{}, func(ctx context.Context, in *bodyInput) (*writeOutput, error) {
		c, err := topology.DecodeBatch(in.text(), s.also)
		if err != nil {
			return nil, mistaken(err)
		}
		return s.write(ctx, request{Writing: in.Writing, sent: &in.Sent, edit: in.on(s.topologyTag, ledger.Apply(c)), place: topology.ShapeBatch.Path, warn: &c.Put, tag: s.topologyTag})
	})
	snapshot := func(ctx context.Context, in *putInput) (*writeOutput, error) {
		snap, err := topology.DecodeSnapshot(in.text(), s.also)
		if err != nil {
			return nil, mistaken(err)
		}
		if snap.Router.ID != in.ID {
			p := problem(http.StatusUnprocessableEntity, "the body has a mistake")
			p.Errors = []Mistake{{Pointer: "/router/id", Detail: "it differs from the ID in the path"}}
			return nil, p
		}
		put := routing.Model{Networks: snap.Networks, Routers: []routing.Router{snap.Router}, Ports: snap.Ports}
		tag := tagOf(ledger.Object{Kind: routing.KindRouter, ID: in.ID})
		return s.write(ctx, request{Writing: in.Writing, sent: &in.Sent, edit: in.on(tag, ledger.ReplaceRouter(ledger.Snapshot(snap))),
			place: topology.ShapeSnapshot.Path, warn: &put, tag: tag})
	}
	withBody(s, a, huma.Operation{
		OperationID: "put-snapshot", Method: http.MethodPut, Path: "/v1/routers/{id}/snapshot", Tags: []string{"routers"}, MaxBodyBytes: maxBody, Errors: errs,
		Summary: "Replace a router, its networks and all ports on them",
	}, topology.SnapshotBody{}, snapshot)
	withBody(s, a, huma.Operation{
		OperationID: "plan-snapshot", Method: http.MethodPost, Path: "/v1/routers/{id}/snapshot", Tags: []string{"routers"}, MaxBodyBytes: maxBody, Errors: errs[:5],
		Summary: "The plan of a snapshot of a router, with dry_run=true",
	}, topology.SnapshotBody{}, dryRunOnly(snapshot, func(in *putInput) bool { return in.DryRun }))
	huma.Register(a, huma.Operation{
		OperationID: "complete", Method: http.MethodPost, Path: "/v1/complete", Tags: tags, Errors: []int{403, 503, 507},
		Summary: "Declare the intent complete: existing bridges and flows that are not part of it are removed",
	}, func(ctx context.Context, in *struct{ Writing }) (*writeOutput, error) {
		return s.write(ctx, request{Writing: in.Writing, edit: ledger.Complete, plan: true})
	})
}

// planFile plans a change in which the objects of m replace those of the daemon's topology file.
func (s *service) planFile(ctx context.Context, in *topologyInput, m *routing.Model) (*writeOutput, error) {
	if !in.DryRun {
		return nil, problem(http.StatusUnprocessableEntity, "as_file=true needs dry_run=true: only the daemon's host can change its topology file")
	}
	q := request{Writing: in.Writing, warn: m}
	before, r, err := s.intent.TryFile(*m)
	if err != nil {
		return nil, q.failed(err)
	}
	p, err := s.switches.Plan(ctx, before, r.Intent, r.Touched)
	if err != nil {
		return nil, failure(err)
	}
	return q.answer(before.Revision, r, planDocument(p)), nil
}
