package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/inquiry"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// Error returns the detail, followed by the mistakes.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	for _, m := range p.Errors {
		fmt.Fprintf(&b, "\n  %s%s: %s", m.Pointer, m.Parameter, m.Detail)
	}
	return b.String()
}

// GetStatus and ContentType are the methods that huma requires of an error.
func (p *Problem) GetStatus() int            { return p.Status }
func (p *Problem) ContentType(string) string { return "application/problem+json" }

func problem(status int, format string, args ...any) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p) // an error here means that the client has disconnected
}

// Refuse answers a request with a Problem.
func Refuse(w http.ResponseWriter, status int, format string, args ...any) {
	problem(status, format, args...).write(w)
}

// OwnOrigin returns a handler that refuses cross-site requests that could change the intent. A
// browser may send such requests with its user's client certificate.
func OwnOrigin(h http.Handler) http.Handler {
	p := http.NewCrossOriginProtection()
	p.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Refuse(w, http.StatusForbidden, "cross-site request refused: the browser sends this %s for a page of another origin, %q; use the page of ofdvr itself", r.Method, r.Header.Get("Origin"))
	}))
	return p.Handler(h)
}

// ownErrors converts huma's errors to Problems. Huma reports unreadable parameters and bodies.
func ownErrors(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problem(e.Status, "%s", e.Detail)
	if e.Detail == "validation failed" {
		p.Detail = "the request has a mistake"
	}
	for _, d := range e.Errors {
		m := Mistake{Detail: plainMessage(d.Message, d.Value)}
		place, name, _ := strings.Cut(d.Location, ".")
		if m.Parameter = name; place == "body" {
			m.Parameter, m.Pointer = "", topology.Pointer(name)
		}
		p.Errors = append(p.Errors, m)
	}
	return p, nil
}

// plainMessages maps the beginnings of huma's messages about values to our texts.
var plainMessages = []struct{ begin, says string }{
	{"invalid integer", "want a whole number"},
	{"invalid boolean", "want true or false"},
	{"expected number >= ", "want at least "},
	{"expected number <= ", "want at most "},
	{"expected value to be one of ", "want one of "},
}

// plainMessage returns huma's message about a value without Go's terms.
func plainMessage(message string, value any) string {
	if strings.Contains(message, "ParseAddr(") {
		return fmt.Sprintf("%q is not an IP address", fmt.Sprint(value))
	}
	for _, m := range plainMessages {
		if rest, ok := strings.CutPrefix(message, m.begin); ok {
			return m.says + strings.Trim(rest, `"`)
		}
	}
	return message
}

// maxMistakes is the number of mistakes that one answer lists.
const maxMistakes = 1000

// mistaken returns the Problem of a body with mistakes. Their paths are paths in the
// body.
func mistaken(err error) *Problem {
	p := problem(http.StatusUnprocessableEntity, "")
	more := 0
	for _, err := range joined(err) {
		var m Mistake
		var inUse *routing.InUseError
		if e, ok := errors.AsType[*topology.Error](err); ok {
			m = Mistake{Pointer: topology.Pointer(e.Path), Line: e.Line, Column: e.Column, Detail: e.Err.Error()}
			if k, ok := errors.AsType[*topology.KeyError](err); ok {
				m.Pointer += topology.PointerTo(k.Key)
			}
		} else if e, ok := errors.AsType[*routing.PathError](err); ok {
			m = Mistake{Pointer: topology.Pointer(e.Path), Detail: e.Err.Error()}
		} else {
			m.Detail = err.Error()
		}
		if errors.As(err, &inUse) {
			p.Status = http.StatusConflict
			for _, o := range inUse.By[:min(len(inUse.By), maxMistakes)] {
				p.InUseBy = append(p.InUseBy, Reference{o.Kind.String(), o.ID})
			}
		}
		if len(p.Errors) == maxMistakes {
			more++
			continue
		}
		p.Errors = append(p.Errors, m)
	}
	switch n := len(p.Errors) + more; {
	case n == 1 && p.InUseBy != nil:
		p.Detail = p.Errors[0].Detail + "; delete that first, or use cascade=true"
		p.Errors = nil
	case n == 1:
		p.Detail = "the body has a mistake"
	default:
		p.Detail = fmt.Sprintf("the body has %d mistakes", n)
	}
	if more > 0 {
		p.Detail += fmt.Sprintf(", of which the first %d are listed", maxMistakes)
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// joined returns the errors that err joins. If err is no join, it returns err.
func joined(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, err := range j.Unwrap() {
			out = append(out, joined(err)...)
		}
		return out
	}
	return []error{err}
}

// failure returns the Problem of an error from the intent or the switches.
func failure(err error) *Problem {
	var p *Problem
	var declared *ledger.DeclaredError
	var inUse *routing.InUseError
	var path *routing.PathError
	var store *ledger.StoreError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &declared):
		return problem(http.StatusForbidden, "%v", err)
	case errors.As(err, &inUse), errors.As(err, &path):
		return mistaken(err)
	case errors.Is(err, ledger.ErrEmpty):
		return problem(http.StatusUnprocessableEntity, "%v; use allow_empty=true if that is meant", err)
	case errors.Is(err, ledger.ErrNotFound):
		return problem(http.StatusNotFound, "%v", err)
	case errors.Is(err, ledger.ErrCompacted):
		return problem(http.StatusGone, "%v", err)
	case errors.As(err, new(*trace.NotFoundError)), errors.Is(err, controller.ErrNoArrival):
		return problem(http.StatusNotFound, "%v", err)
	case errors.As(err, new(*trace.AmbiguousError)):
		return problem(http.StatusConflict, "%v", err)
	case errors.Is(err, controller.ErrNotConnected), errors.Is(err, controller.ErrCannotVerify):
		return problem(http.StatusConflict, "%v", err)
	case errors.Is(err, ledger.ErrNoFile):
		return problem(http.StatusConflict, "%v", err)
	case errors.Is(err, inquiry.ErrNotShared):
		return problem(http.StatusConflict, "%v", err)
	case errors.Is(err, inquiry.ErrForbidden):
		return problem(http.StatusForbidden, "%v", err)
	case errors.Is(err, ledger.ErrNoStore):
		return problem(http.StatusForbidden, "nothing can be written: %v", err)
	case errors.Is(err, ledger.ErrForbidden):
		return problem(http.StatusForbidden, "%v", err)
	case errors.Is(err, ledger.ErrTooLarge):
		return problem(http.StatusRequestEntityTooLarge, "%v", err)
	case errors.As(err, &store) && errors.Is(err, syscall.ENOSPC):
		return problem(http.StatusInsufficientStorage, "%v", err)
	case errors.Is(err, errors.ErrUnsupported):
		return problem(http.StatusNotImplemented, "%v", err)
	case errors.Is(err, context.DeadlineExceeded):
		return problem(http.StatusGatewayTimeout, "%v; the request may still be carried out", err)
	}
	return problem(http.StatusServiceUnavailable, "%v", err)
}
