package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An objectCondition is a condition in the API's form.
type objectCondition struct {
	Type, Status, Reason, Message string
	Observed                      uint64    `json:"observed_revision"`
	Changed                       time.Time `json:"last_transition_time"`
}

// conditions returns the conditions of an object.
func (s *site) conditions(path string) []objectCondition {
	s.t.Helper()
	var st struct{ Conditions []objectCondition }
	s.must(200, "GET", path+"/status", "").into(s.t, &st)
	if len(st.Conditions) != 3 {
		s.t.Fatalf("conditions %+v", st.Conditions)
	}
	return st.Conditions
}

// watchConditions starts to watch changes. next returns the next conditions of an object in the
// stream.
func (s *site) watchConditions() (next func(id string) []objectCondition) {
	s.t.Helper()
	ctx, cancel := context.WithCancelCause(s.t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://ofdvr/v1/watch?conditions=true", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.HTTPUnix(apiSocket).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	return func(id string) []objectCondition {
		s.t.Helper()
		late := time.AfterFunc(patience, func() { cancel(fmt.Errorf("no change within %v", patience)) })
		defer late.Stop()
		for lines.Scan() {
			var e struct {
				ID, Op     string
				Conditions []objectCondition
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &e); err != nil {
					s.t.Fatalf("%s: %v", data, err)
				}
				if e.ID == id && e.Op == "conditions" {
					return e.Conditions
				}
			}
		}
		s.t.Fatalf("the stream ended before the conditions of %s: %v (%v)", id, lines.Err(), context.Cause(ctx))
		return nil
	}
}

// Conditions have the time of their last change. A port's condition changes with the port and with
// the connection of the switch, but not with other ports. The stream has each change.
func TestConditionsChange(t *testing.T) {
	t.Parallel()
	s, _, _ := written(t)
	next := s.watchConditions()
	first := next("r1")
	if first[1].Type != "Programmed" || first[1].Status != "True" || first[1].Changed.IsZero() {
		t.Errorf("conditions of r1: %+v", first)
	}
	vm1 := s.conditions("/v1/ports/vm1")
	if vm1[0].Type != "Accepted" || vm1[0].Status != "True" || vm1[1].Status != "True" || vm1[1].Changed.IsZero() || vm1[2].Status != "False" {
		t.Errorf("conditions of vm1: %+v", vm1)
	}
	began := time.Now().Add(-time.Second) // the times in the API are rounded
	a := s.must(201, "PUT", "/v1/ports/new"+applied, `{"network": "green", "mac": "02:00:00:00:02:77", "addresses": ["10.0.2.77"]}`)
	var write struct{ Revision uint64 }
	a.into(t, &write)
	for c := next("new"); ; c = next("new") {
		if c[1].Status == "True" {
			if c[1].Observed < write.Revision || c[1].Changed.Before(began) || c[1].Reason != "Confirmed" {
				t.Errorf("conditions of the new port: %+v; the port was written at revision %d", c, write.Revision)
			}
			break
		}
		if c[1].Reason != "Pending" || c[1].Message == "" {
			t.Errorf("conditions of the new port: %+v", c)
		}
	}
	if now := s.conditions("/v1/ports/vm1"); !now[1].Changed.Equal(vm1[1].Changed) || now[1].Observed < write.Revision {
		t.Errorf("vm1 was programmed at %v; the condition now has time %v and revision %d", vm1[1].Changed, now[1].Changed, now[1].Observed)
	}
	r1 := s.conditions("/v1/routers/r1")
	s.Switch().Kill()
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for c := next("r1"); c[1].Status != "True" || !c[1].Changed.After(r1[1].Changed); c = next("r1") {
		t.Logf("conditions of r1: %+v", c)
	}
	s.settle()
	if now := s.conditions("/v1/ports/vm1"); now[1].Status != "True" || !now[1].Changed.After(vm1[1].Changed) {
		t.Errorf("vm1 was programmed at %v, and at %v on the new connection", vm1[1].Changed, now[1].Changed)
	}
}
