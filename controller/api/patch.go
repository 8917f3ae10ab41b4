package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// registerPatch registers the merge patch of an object of a kind.
func registerPatch[D any](s *service, a huma.API, res resource[D], d D) {
	one := res.kind.String()
	withBody(s, a, huma.Operation{
		OperationID: "patch-" + one, Method: http.MethodPatch, Path: "/v1/" + res.name + "/{id}", Summary: "Change a part of a " + one, Tags: []string{res.name},
		Description:  "The body is a JSON merge patch (RFC 7396): its keys replace those of the object, null sets a key to its default, and a list is replaced as a whole.",
		MaxBodyBytes: maxObject, Errors: []int{403, 404, 409, 412, 413, 415, 422, 503, 507},
	}, d, func(ctx context.Context, in *putInput) (*writeOutput, error) {
		o := ledger.Object{Kind: res.kind, ID: in.ID}
		put := new(routing.Model)
		edit := func(st *ledger.Intent) (ledger.Proposal, error) {
			text := textOf(st, o)
			if text == nil {
				return ledger.Proposal{}, st.NotFound(o)
			}
			text, err := topology.MergePatch(text, in.text())
			if err != nil {
				return ledger.Proposal{}, mistaken(err)
			}
			c, err := res.decode(text, in.ID, func(c *routing.Change) error { return st.Index.Check(*c) })
			if err := errors.Join(res.shape.UnknownNulls(in.text()), err); err != nil {
				return ledger.Proposal{}, patched(err)
			}
			*put = c.Put
			return ledger.Proposal{Change: c}, nil
		}
		tag := tagOf(o)
		return s.write(ctx, request{Writing: in.Writing, sent: &in.Sent, edit: in.on(tag, edit), place: res.shape.Path, warn: put, tag: tag})
	})
}

// patched returns the problem of an object that has mistakes after a patch. The problem has no
// lines and columns, because they would refer to the object, which the client has not sent.
func patched(err error) *Problem {
	p := mistaken(err)
	for i := range p.Errors {
		p.Errors[i].Line, p.Errors[i].Column = 0, 0
	}
	return p
}
