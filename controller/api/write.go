package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// Writing has the parameters of every write.
type Writing struct {
	Wait    string `query:"wait" enum:"applied" doc:"applied: answer when the switches have confirmed the write"`
	Timeout string `query:"timeout" default:"5s" example:"5s" doc:"Time limit of wait, at most 5m. After this time the answer lists the pending parts with the reasons"`
	DryRun  bool   `query:"dry_run" doc:"Change nothing, and return the plan: changes of objects, flows and rows of OVSDB"`
}

// A writeOutput is the answer to a write.
type writeOutput struct {
	Status int
	ETag   string `header:"ETag" doc:"ETag of the written object"`
	Body   Written
}

// A request is a write with its parameters.
type request struct {
	Writing
	sent    *Sent // nil if it has no body
	edit    ledger.Edit
	place   func(path string) string    // translates a path in the put objects to a path in the body; nil if both are equal
	warn    *routing.Model              // objects that the write puts, for warnings; set before edit returns
	plan    bool                        // answer with the plan even if the write is not a dry run
	created bool                        // answer 201 if an object was created
	made    *bool                       // answer 201 if *made is true when edit returns; may be nil
	tag     func(*ledger.Intent) string // returns the ETag of the written object; nil if it has none
}

// write carries out a write, or plans it.
func (s *service) write(ctx context.Context, q request) (*writeOutput, error) {
	timeout, err := time.ParseDuration(q.Timeout)
	if err != nil || timeout < 0 || timeout > maxWait {
		p := problem(http.StatusUnprocessableEntity, "the request has a mistake")
		p.Errors = []Mistake{{Parameter: "timeout", Detail: fmt.Sprintf("want a time like 5s, of at most %v, got %q", maxWait, q.Timeout)}}
		return nil, p
	}
	var plan *PlanDocument
	if q.DryRun || q.plan {
		before, r, err := s.intent.Try(q.edit)
		if err != nil {
			return nil, q.failed(err)
		}
		p, err := s.switches.Plan(ctx, before, r.Intent, r.Touched)
		switch {
		case err == nil:
			plan = planDocument(p)
		case !errors.Is(err, errors.ErrUnsupported): // without switches, the plan is only about objects
			return nil, failure(err)
		}
		if q.DryRun {
			return q.answer(before.Revision, r, plan), nil
		}
	}
	limit, cancel := context.WithTimeout(ctx, bodyTimeout)
	defer cancel()
	r, err := s.intent.Write(limit, q.edit)
	if err != nil {
		return nil, q.failed(err)
	}
	out := q.answer(r.Intent.Revision, r, plan)
	if q.sent != nil {
		q.sent.release() // frees the turn, so that other bodies do not wait until the switches have confirmed this write
	}
	if q.Wait == "" {
		return out, nil
	}
	pending, err := s.await(ctx, timeout, r)
	if err != nil {
		return nil, failure(err)
	}
	applied := len(pending) == 0
	out.Body.Applied, out.Body.Pending = &applied, pending
	if !applied {
		out.Status = http.StatusAccepted
	}
	return out, nil
}

// pathInBody translates a path in the put objects to a path in the body.
func (q *request) pathInBody(path string) string {
	if q.place == nil {
		return path
	}
	return q.place(path)
}

// failed returns the Problem of an error from the ledger. The paths of its mistakes are
// translated to paths in the body.
func (q *request) failed(err error) *Problem {
	var errs []error
	for _, err := range joined(err) {
		if e, ok := errors.AsType[*routing.PathError](err); ok && !strings.HasPrefix(e.Path, "delete.") {
			err = &routing.PathError{Path: q.pathInBody(e.Path), Err: e.Err}
		}
		errs = append(errs, err)
	}
	return failure(errors.Join(errs...))
}

func (q *request) answer(revision uint64, r ledger.Result, plan *PlanDocument) *writeOutput {
	out := &writeOutput{Status: http.StatusOK, Body: Written{Revision: revision, Plan: plan, Objects: make([]Outcome, len(r.Objects))}}
	for i, o := range r.Objects {
		out.Body.Objects[i] = Outcome{o.Object.Kind.String(), o.Object.ID, o.Op}
		if q.created && o.Op == ledger.Created && !q.DryRun {
			out.Status = http.StatusCreated
		}
	}
	if q.made != nil && *q.made && !q.DryRun {
		out.Status = http.StatusCreated
	}
	if q.tag != nil {
		out.ETag = q.tag(r.Intent)
	}
	if q.warn != nil {
		for _, e := range r.Intent.Index.Warnings(q.warn) {
			out.Body.Warnings = append(out.Body.Warnings, Mistake{Pointer: topology.Pointer(q.pathInBody(e.Path)), Detail: e.Err.Error()})
		}
	}
	return out
}

// await waits until a write is applied or the timeout has passed. It returns the pending changes,
// including flows that the switches refuse.
func (s *service) await(ctx context.Context, timeout time.Duration, r ledger.Result) ([]controller.Pending, error) {
	if len(r.Touched) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return s.switches.Await(ctx, r)
}
