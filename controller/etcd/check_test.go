package etcd_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/routing"
)

// Check names each wrong key, and repairs only the index of owners. What commits of hosts have written
// is right.
func TestCheck(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	s, err := etcd.Open(etcd.Config{Endpoints: e.Endpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check := func() *etcd.Report {
		t.Helper()
		r, err := s.Check(t.Context(), func(int) {})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := check(); r.Keys != 0 || len(r.Findings) != 0 {
		t.Errorf("an empty prefix: %+v", r)
	}
	d := newDesk(t, e.Endpoints)
	m := routing.Model{Networks: []routing.Network{network("blue"), network("a/b c")}}
	for i := range 20 {
		m.Ports = append(m.Ports, port(fmt.Sprintf("p/%d", i), m.Networks[i%2].ID, i+1))
	}
	if err := d.put(m); err != nil {
		t.Fatal(err)
	}
	if r := check(); len(r.Findings) != 0 || r.Networks != 2 || r.Ports != 20 {
		t.Errorf("after a commit: %+v", r)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: e.Endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const prefix = etcd.DefaultPrefix
	object := func(id, network string, n int) string {
		return fmt.Sprintf(`{"id":%q,"network":%q,"mac":"02:00:00:00:01:%02x"}`, id, network, n)
	}
	keys := map[string][2]string{ // the value, and what check says of it
		"junk":                           {"x", "ofdvr has no such key"},
		"netx/blue":                      {"x", "ofdvr has no such key"},
		"own":                            {"x", "ofdvr has no such key"},
		"net/bad":                        {"{", "unexpected"},
		"rtr/huge":                       {strings.Repeat(" ", 1<<20+1), "more than 1048576"},
		"net/%62lack":                    {`{"id":"black"}`, `belongs to the key /ofdvr/1/net/black`},
		"port/blue/p%2F1":                {object("p/1", "blue", 1), `port "p/1" also has the key /ofdvr/1/port/a%2Fb%20c/p%2F1`},
		"port/blue/other":                {object("another", "blue", 2), `"another"`},
		"port/none/lost":                 {object("lost", "none", 3), `network "none"`},
		"own/id/lost":                    {"none", ""},
		"own/mac/none/02:00:00:00:01:03": {"port lost", ""},
		"own/ip/blue/10.9.9.9":           {"port gone", `it names "port gone", which does not exist`},
		"own/id/p%2F2":                   {"green", `it names "green", but /ofdvr/1/port/blue/p%2F2 has "blue"`},
		"alive/h1":                       {"", ""}, "on/h1/blue/vm1": {"", ""}, "ack/h1": {"7", ""}, "said/h1/7": {"x", ""}, "sync": {"7", ""}, "ask/7": {"x", ""}, "cluster": {"x", ""}, "layout": {"", ""},
	}
	for k, v := range keys {
		if _, err := c.Put(t.Context(), prefix+k, v[0]); err != nil {
			t.Fatal(err)
		}
	}
	const missing = "own/mac/blue/02:00:00:00:00:05"
	if _, err := c.Delete(t.Context(), prefix+missing); err != nil {
		t.Fatal(err)
	}
	keys[missing] = [2]string{"", "it is missing, but /ofdvr/1/port/blue/p%2F4 needs it"}
	r := check()
	for k, v := range keys {
		i := slices.IndexFunc(r.Findings, func(f etcd.Finding) bool { return f.Key == prefix+k })
		if v[1] == "" && i >= 0 || v[1] != "" && (i < 0 || !strings.Contains(r.Findings[i].Text, v[1])) {
			t.Errorf("key %s: want %q, findings:\n%v", k, v[1], r.Findings)
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Repairable() != strings.HasPrefix(f.Key, prefix+"own/") {
			t.Errorf("%v: repairable %v", f, f.Repairable())
		}
		if !f.Repairable() {
			continue
		}
		if done, err := s.Repair(t.Context(), f); err != nil || !done {
			t.Errorf("repair %v: %v, %v", f, done, err)
		}
		if done, err := s.Repair(t.Context(), f); err != nil || done {
			t.Errorf("the key has changed, and is repaired: %v, %v, %v", f, done, err)
		}
	}
	before := len(r.Findings)
	r = check()
	for i := range r.Findings {
		if r.Findings[i].Repairable() {
			t.Errorf("after the repair: %v", &r.Findings[i])
		}
	}
	if len(r.Findings) >= before {
		t.Errorf("%d findings after the repair, %d before", len(r.Findings), before)
	}
}

// 10,000 wrong keys are counted, and the first are listed.
func TestCheckManyWrongKeys(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	s, err := etcd.Open(etcd.Config{Endpoints: e.Endpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := clientv3.New(clientv3.Config{Endpoints: e.Endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const n = 10_000
	for i := 0; i < n; i += 100 {
		var ops []clientv3.Op
		for j := i; j < i+100; j++ {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("%sjunk/%d", etcd.DefaultPrefix, j), "x"))
		}
		if _, err := c.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	last := 0
	r, err := s.Check(t.Context(), func(keys int) { last = keys })
	if err != nil {
		t.Fatal(err)
	}
	if r.Keys != n || last != n || len(r.Findings)+r.More != n+1 || len(r.Findings) > 1000 {
		t.Errorf("keys %d, reported %d, findings %d and %d more", r.Keys, last, len(r.Findings), r.More)
	}
}
