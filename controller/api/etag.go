package api

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// Conditional has the parameters by which a write is carried out only if the client knows the
// current state of the object.
type Conditional struct {
	IfMatch     string `header:"If-Match" doc:"Write only if the object has one of these ETags; * for any. Otherwise the answer is 412"`
	IfNoneMatch string `header:"If-None-Match" doc:"*: write only if the object does not exist. Otherwise the answer is 412"`
}

// Revalidating has the parameters of a repeated read, by which a client says which answers it
// already has.
type Revalidating struct {
	IfNoneMatch string `header:"If-None-Match" doc:"ETags of earlier answers. If the content still has one of these ETags, the answer is 304 without a body"`
}

// unchanged reports whether the client already has the answer with ETag tag. The comparison is weak
// (RFC 9110 §13.1.2).
func (r Revalidating) unchanged(tag string) bool {
	return r.IfNoneMatch != "" && matches(strings.ReplaceAll(r.IfNoneMatch, `W/"`, `"`), strings.TrimPrefix(tag, "W/"))
}

// revalidated adds the status 304 to the description of a read.
func revalidated(op huma.Operation) huma.Operation {
	op.Responses = map[string]*huma.Response{"304": {Description: "The client already has this answer, because it sent the ETag of this answer in If-None-Match"}}
	return op
}

// A tagged is an answer with an ETag. With status 304 it has no body.
type tagged[D any] struct {
	Status int
	ETag   string `header:"ETag" doc:"Value for If-None-Match in a later request; the ETag of an object also for If-Match"`
	Body   D
}

// answer returns an answer with an ETag, or 304 if the client has it.
func answer[D any](r interface{ unchanged(tag string) bool }, tag string, body D) *tagged[D] {
	if r.unchanged(tag) {
		return &tagged[D]{Status: http.StatusNotModified, ETag: tag}
	}
	return &tagged[D]{Status: http.StatusOK, ETag: tag, Body: body}
}

// etag returns the ETag of an object, or "" if it does not exist. The ETag depends only on the
// object.
func etag(s *ledger.Intent, o ledger.Object) string {
	b := textOf(s, o)
	if b == nil {
		return ""
	}
	return tagOfText(b)
}

// textOf returns the document of an object, or nil if it does not exist.
func textOf(s *ledger.Intent, o ledger.Object) []byte {
	switch o.Kind {
	case routing.KindHost:
		if h := s.Index.Host(o.ID); h != nil {
			return topology.AppendHost(nil, h)
		}
	case routing.KindNetwork:
		if n, ok := s.Index.Network(o.ID); ok {
			return topology.AppendNetwork(nil, &n)
		}
	case routing.KindRouter:
		if r := s.Index.Router(o.ID); r != nil {
			return topology.AppendRouter(nil, r)
		}
	case routing.KindPort:
		if p, ok := s.Index.Port(o.ID); ok {
			return topology.AppendPort(nil, &p)
		}
	}
	return nil
}

// tagOfText returns the ETag of a text.
func tagOfText(b []byte) string {
	sum := sha256.Sum256(b)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}

// on returns edit with the conditions of c. tag returns the ETag that the conditions are about.
func (c Conditional) on(tag func(*ledger.Intent) string, edit ledger.Edit) ledger.Edit {
	if c.IfMatch == "" && c.IfNoneMatch == "" {
		return edit
	}
	return func(s *ledger.Intent) (ledger.Proposal, error) {
		now := tag(s)
		switch {
		case c.IfMatch != "" && !matches(c.IfMatch, now):
			if now == "" {
				now = "none, because it does not exist"
			}
			return ledger.Proposal{}, problem(http.StatusPreconditionFailed, "it has changed since it was read: its ETag is %s, not %s; read it again", now, c.IfMatch)
		case c.IfNoneMatch != "" && matches(c.IfNoneMatch, now):
			return ledger.Proposal{}, problem(http.StatusPreconditionFailed, "it exists already")
		}
		return edit(s)
	}
}

// matches reports whether tag is among the ETags of a header (RFC 9110 §13.1.1). tag is "" if the
// object does not exist.
func matches(header, tag string) bool {
	if tag == "" {
		return false
	}
	for want := range strings.SplitSeq(header, ",") {
		if want = strings.TrimSpace(want); want == "*" || want == tag {
			return true
		}
	}
	return false
}
