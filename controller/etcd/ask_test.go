package etcd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/inquiry"
	"github.com/ofdvr/ofdvr/test/lab"
)

// open returns a Store.
func open(t *testing.T, endpoints []string) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(etcd.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// answerer answers the questions to a host with a function. It returns the warnings that it logs.
func answerer(t *testing.T, endpoints []string, host string, answer inquiry.Answerer) *observer.ObservedLogs {
	t.Helper()
	s := open(t, endpoints)
	core, logs := observer.New(zapcore.WarnLevel)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Answer(ctx, host, answer, zap.New(core))
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return logs
}

// live writes the keys that say that hosts are alive.
func live(t *testing.T, c *clientv3.Client, hosts ...string) {
	t.Helper()
	for _, h := range hosts {
		if _, err := c.Put(t.Context(), "/ofdvr/1/alive/"+h, "{}"); err != nil {
			t.Fatal(err)
		}
	}
}

// said is an answer that names its host.
func said(host string) inquiry.Answerer {
	return func(_ context.Context, q inquiry.Question) (inquiry.Reply, error) {
		if q.Kind == "fail" {
			return inquiry.Reply{}, errors.New("it fails")
		}
		return inquiry.Reply{Body: host + " " + q.Kind + " " + q.Args["x"]}, nil
	}
}

// askAll asks hosts within a time, and returns their answers as texts, by host.
func askAll(t *testing.T, s *etcd.Store, within time.Duration, q inquiry.Question, hosts ...string) map[string]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	answers, err := s.Ask(ctx, q, hosts)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, a := range answers {
		out[a.Host] = a.Error
		if a.Error == "" {
			var text string
			if err := json.Unmarshal(a.Body, &text); err != nil {
				t.Fatal(err)
			}
			out[a.Host] = text
		}
		out[a.Host] += a.Cut
	}
	return out
}

// All hosts that are alive answer a question. The others are named with the reason. Afterwards the
// question is gone, and the answers have leases.
func TestAsk(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	c := client(t, e.Endpoints)
	const odd = "h 2/x"
	answerer(t, e.Endpoints, "h1", said("h1"))
	answerer(t, e.Endpoints, odd, said(odd))
	s := open(t, e.Endpoints)
	q := inquiry.Question{Kind: "status", From: "h0", Args: map[string]string{"x": "y"}}
	if got := askAll(t, s, time.Minute, q, "h0", "h1", odd); got["h1"] != "h1 status y" || got[odd] != odd+" status y" || len(got) != 2 {
		t.Errorf("if no host is known to be alive: %q", got)
	}
	live(t, c, "h1", "slow", "h%202%2Fx")
	slow := make(chan struct{}, 100) // more than there are questions
	answerer(t, e.Endpoints, "slow", func(ctx context.Context, _ inquiry.Question) (inquiry.Reply, error) {
		<-ctx.Done() // when the time for an answer is over
		slow <- struct{}{}
		return inquiry.Reply{}, context.Cause(ctx)
	})
	if got := askAll(t, s, time.Minute, q, "h1", odd, "away"); got["h1"] != "h1 status y" || !strings.Contains(got["away"], "not alive") {
		t.Errorf("with a host that is not alive: %q", got)
	}
	q.Kind = "fail"
	if got := askAll(t, s, time.Minute, q, "h1"); got["h1"] != "it fails" {
		t.Errorf("a failure: %q", got)
	}
	q.Kind, q.To = "status", []string{odd}
	if got := askAll(t, s, time.Minute, q, odd); got[odd] != odd+" status y" {
		t.Errorf("a question to one host: %q", got)
	}
	q.To = nil
	lab.Eventually(t, time.Minute, "the slow host to get a question", func() error {
		got := askAll(t, s, time.Second, q, "h1", "slow")
		if !strings.Contains(got["slow"], "no answer within") || !strings.Contains(got["slow"], "too slow") {
			t.Fatalf("with a slow host: %q", got)
		}
		if got["h1"] != "h1 status y" { // the machine is too busy for a second
			return fmt.Errorf("with a slow host: %q", got)
		}
		select {
		case <-slow:
			return nil
		default:
			return errors.New("not yet")
		}
	})
	left, err := c.Get(t.Context(), "/ofdvr/1/ask/", clientv3.WithPrefix())
	if err != nil || len(left.Kvs) > 0 {
		t.Errorf("questions that are left: %v, %v", left.Kvs, err)
	}
	left, err = c.Get(t.Context(), "/ofdvr/1/said/", clientv3.WithPrefix())
	if err != nil || len(left.Kvs) == 0 {
		t.Errorf("no answers are left: %v", err)
	}
	for _, kv := range left.Kvs {
		if ttl, err := c.TimeToLive(t.Context(), clientv3.LeaseID(kv.Lease)); err != nil || ttl.GrantedTTL != 60 {
			t.Errorf("key %s has a lease of %v seconds: %v", kv.Key, ttl.GrantedTTL, err)
		}
	}
}

// Malformed questions are ignored, and each is logged once. A host that reads them again at a lost
// watch does not log them again.
func TestMalformedQuestions(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	c := client(t, e.Endpoints)
	logs := answerer(t, e.Endpoints, "h1", said("h1"))
	for key, value := range map[string]string{"a": "{", "b": `{"kind": "status"}`, "c": strings.Repeat("x", inquiry.MaxQuestion+1), "d/e": ""} {
		if _, err := c.Put(t.Context(), "/ofdvr/1/ask/"+key, value); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, e.Endpoints)
	q := inquiry.Question{Kind: "status", From: "h0"}
	for range 2 {
		if got := askAll(t, s, time.Minute, q, "h1"); got["h1"] != "h1 status " {
			t.Errorf("beside malformed questions: %q", got)
		}
		e.Kill(0)
		if err := e.Start(0); err != nil {
			t.Fatal(err)
		}
		if err := e.Healthy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	named := make(map[string]int)
	for _, l := range logs.FilterMessage("ignored a malformed question in etcd").All() {
		named[fmt.Sprint(l.ContextMap()["key"])]++
	}
	for _, key := range []string{"a", "b", "c", "d/e"} {
		if n := named["/ofdvr/1/ask/"+key]; n != 1 {
			t.Errorf("key %s was logged %d times", key, n)
		}
	}
}

// An answer that is too large for etcd is shortened and says so, or is an error.
func TestLargeAnswers(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	random := func(n int) []string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf("%x", i*7919*104729*1299709))
		}
		return out
	}
	answerer(t, e.Endpoints, "h1", func(_ context.Context, q inquiry.Question) (inquiry.Reply, error) {
		list := random(1 << 18)
		text := strings.Join(list, " ")
		r := inquiry.Reply{Body: &text}
		if q.Kind == "long" {
			r.Shorten = func() string {
				list = list[:len(list)/2]
				text = strings.Join(list, " ")
				return fmt.Sprintf(" and %d are left out", 1<<18-len(list))
			}
		}
		return r, nil
	})
	s := open(t, e.Endpoints)
	got := askAll(t, s, time.Minute, inquiry.Question{Kind: "long", From: "h0"}, "h1")["h1"]
	if want := strings.Join(random(1<<18), " "); !strings.HasPrefix(got, want[:1000]) || !strings.HasSuffix(got, " are left out") || len(got) < inquiry.MaxAnswer {
		t.Errorf("a long answer has %d bytes: %.100s", len(got), got)
	}
	if got := askAll(t, s, time.Minute, inquiry.Question{Kind: "fixed", From: "h0"}, "h1")["h1"]; !strings.Contains(got, "at most 131072 pass through etcd") {
		t.Errorf("an answer that cannot be shorter: %.100q", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := s.Ask(ctx, inquiry.Question{Kind: strings.Repeat("x", inquiry.MaxQuestion), From: "h0"}, []string{"h1"}); err == nil {
		t.Error("a question that is too large was asked")
	}
}

// While etcd is away, a question is an error, and afterwards the hosts answer again.
func TestAskWhileAway(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	answerer(t, e.Endpoints, "h1", said("h1"))
	s := open(t, e.Endpoints)
	e.Kill(0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := s.Ask(ctx, inquiry.Question{Kind: "status", From: "h0"}, []string{"h1"}); err == nil || !strings.Contains(err.Error(), "ask other hosts through etcd at") {
		t.Errorf("without etcd: %v", err)
	}
	if err := e.Start(0); err != nil {
		t.Fatal(err)
	}
	if err := e.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := askAll(t, s, time.Minute, inquiry.Question{Kind: "status", From: "h0"}, "h1"); got["h1"] != "h1 status " {
		t.Errorf("with etcd again: %q", got)
	}
}

// A host without the role of a writer may answer, but not ask, and not answer in the name of another.
func TestAskNeedsRole(t *testing.T) {
	t.Parallel()
	v := newVault(t, 1, "--client-cert-auth")
	v.setup("root", etcd.Fleet{Hosts: []string{"h1", "h2"}, Writers: []string{"h2"}, EnableAuth: true})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h1, h2 := v.as("h1"), v.as("h2")
	_, err := h1.Ask(ctx, inquiry.Question{Kind: "status", From: "h1"}, []string{"h1", "h2"})
	if !errors.Is(err, inquiry.ErrForbidden) || !strings.Contains(err.Error(), "/ofdvr/1/ask/") || !strings.Contains(err.Error(), "ofdvr etcd init --writers h1") {
		t.Errorf("a host that is no writer asks: %v", err)
	}
	core, logs := observer.New(zapcore.WarnLevel)
	run, stop := context.WithCancel(context.Background())
	var g errgroup.Group
	t.Cleanup(func() { g.Wait() })
	t.Cleanup(stop)
	g.Go(func() error { return h1.Answer(run, "h1", said("h1"), zap.New(core)) })
	g.Go(func() error { return h1.Answer(run, "h3", said("not h3"), zap.New(core)) })
	q := inquiry.Question{Kind: "status", From: "h2"}
	if got := askAll(t, h2, time.Minute, q, "h1"); got["h1"] != "h1 status " {
		t.Errorf("a host that is no writer answers: %q", got)
	}
	lab.Eventually(t, time.Minute, "the answer in the name of another host to be refused", func() error {
		if got := askAll(t, h2, time.Second, q, "h1", "h3"); !strings.Contains(got["h3"], "no answer") {
			t.Fatalf("another host answers for h3: %q", got)
		}
		if logs.FilterMessage("could not write the answer to a question to etcd").Len() == 0 {
			return errors.New("no warning")
		}
		return nil
	})
}
