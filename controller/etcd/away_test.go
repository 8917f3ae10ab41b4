package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// client returns a client that writes keys as no ofdvr would.
func client(t *testing.T, endpoints []string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// source returns the state of the source etcd.
func (d *desk) source() *ledger.SourceState { return d.Intent().Sources[0] }

// While etcd is away, a host keeps its intent and says so. Afterwards it has the difference.
func TestAway(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a, b := newDesk(t, e.Endpoints), newDesk(t, e.Endpoints)
	if err := a.put(routing.Model{Networks: []routing.Network{network("blue")}}); err != nil {
		t.Fatal(err)
	}
	b.has(routing.KindNetwork, "blue", true)
	e.Kill(0)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := a.Write(ctx, ledger.Put(routing.Model{Networks: []routing.Network{network("red")}})); !errors.As(err, new(*ledger.StoreError)) {
		t.Errorf("a write while etcd is away: %v", err)
	}
	lab.Eventually(t, time.Minute, "a host to say that etcd is away", func() error {
		if b.source().Err == nil {
			return errors.New("it has no error")
		}
		return nil
	})
	if !b.Intent().Has(ledger.Object{Kind: routing.KindNetwork, ID: "blue"}) {
		t.Error("the intent is lost while etcd is away")
	}
	if err := e.Start(0); err != nil {
		t.Fatal(err)
	}
	if err := e.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, time.Minute, "a write to succeed", func() error {
		return a.put(routing.Model{Networks: []routing.Network{network("green")}})
	})
	b.has(routing.KindNetwork, "green", true)
	lab.Eventually(t, time.Minute, "the host to say that etcd is back", func() error { return b.source().Err })
}

// A host sees that etcd is back although nobody writes.
func TestBackWithoutWrites(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a := filled(t, e, twoRouters())
	e.Kill(0)
	lab.Eventually(t, time.Minute, "a host to say that etcd is away", func() error {
		if a.source().Err == nil {
			return errors.New("it has no error")
		}
		return nil
	})
	if err := e.Start(0); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, time.Minute, "a host to say that etcd is back", func() error { return a.source().Err })
}

// A host that starts while etcd is away has an incomplete intent, and the intent when etcd is
// back.
func TestStartsWithoutEtcd(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a := newDesk(t, e.Endpoints)
	if err := a.put(routing.Model{Networks: []routing.Network{network("blue")}}); err != nil {
		t.Fatal(err)
	}
	e.Kill(0)
	b := newDesk(t, e.Endpoints)
	if s := b.Intent(); s.Complete || b.source().Err == nil {
		t.Errorf("without etcd: complete %v, error %v", s.Complete, b.source().Err)
	}
	if err := e.Start(0); err != nil {
		t.Fatal(err)
	}
	b.has(routing.KindNetwork, "blue", true)
	if err := b.source().Err; err != nil {
		t.Errorf("with etcd: %v", err)
	}
}

// A host that has missed changes, and whose revision is compacted, reads everything again.
func TestCompaction(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a := newDesk(t, e.Endpoints)
	if err := a.put(routing.Model{Networks: []routing.Network{network("blue"), network("red")}}); err != nil {
		t.Fatal(err)
	}
	c := client(t, e.Endpoints)
	e.Kill(0) // ends the watch of a
	if err := e.Start(0); err != nil {
		t.Fatal(err)
	}
	resp, err := c.Delete(t.Context(), "/ofdvr/1/net/red")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Compact(t.Context(), resp.Header.Revision); err != nil {
		t.Fatal(err)
	}
	a.has(routing.KindNetwork, "red", false)
	a.has(routing.KindNetwork, "blue", true)
}

// Values that no ofdvr would write affect no other object, and errors name their key. Keys of a
// later version are not used.
func TestPoison(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a := newDesk(t, e.Endpoints)
	if err := a.put(routing.Model{Networks: []routing.Network{network("blue")}}); err != nil {
		t.Fatal(err)
	}
	c := client(t, e.Endpoints)
	poison := map[string]string{
		"net/bad": "{", "net/other": `{"id": "third"}`, "net/unknown": `{"id": "unknown", "later": 1}`, "port/blue/p": `{"id": "p", "network": "gone", "mac": "02:00:00:00:00:01"}`,
		"rtr/%zz": "{}", "strange/key": "x", "net/": "{}",
	}
	for k, v := range poison {
		if _, err := c.Put(t.Context(), "/ofdvr/1/"+k, v); err != nil {
			t.Fatal(err)
		}
	}
	check := func(d *desk) error {
		var all []string
		for _, q := range d.Intent().Quarantined() {
			all = append(all, q.Error())
		}
		text := strings.Join(all, "\n")
		for _, k := range []string{"net/bad", "net/other", "net/unknown", "port/blue/p"} {
			if !strings.Contains(text, "key /ofdvr/1/"+k) {
				return fmt.Errorf("no error names key %s:\n%s", k, text)
			}
		}
		if !d.Intent().Has(ledger.Object{Kind: routing.KindNetwork, ID: "blue"}) {
			return errors.New("another object is lost")
		}
		return nil
	}
	lab.Eventually(t, time.Minute, "the poison to be quarantined", func() error { return check(a) })
	b := newDesk(t, e.Endpoints)
	if err := check(b); err != nil {
		t.Errorf("at the start: %v", err)
	}
	if err := b.put(routing.Model{Networks: []routing.Network{network("bad")}}); err != nil {
		t.Errorf("a write replaces poison: %v", err)
	}
	for _, o := range []ledger.Object{{Kind: routing.KindNetwork, ID: "other"}, {Kind: routing.KindPort, ID: "p"}} {
		if _, err := b.Write(t.Context(), ledger.Delete(o, false)); err != nil {
			t.Errorf("a write deletes poison, %v: %v", o, err)
		}
	}
	if left, err := c.Get(t.Context(), "/ofdvr/1/", clientv3.WithPrefix()); err != nil || slices.ContainsFunc(left.Kvs, func(kv *mvccpb.KeyValue) bool {
		return strings.HasSuffix(string(kv.Key), "/other") || strings.HasSuffix(string(kv.Key), "/p")
	}) {
		t.Errorf("deleted poison is still there: %v", err)
	}
	const orphan = "/ofdvr/1/own/mac/blue/02:00:00:00:00:09"
	if _, err := c.Put(t.Context(), orphan, "port lost"); err != nil {
		t.Fatal(err)
	}
	if err := b.put(routing.Model{Ports: []routing.Port{port("q", "blue", 9)}}); err == nil || !strings.Contains(err.Error(), "already used by port lost") || !strings.Contains(err.Error(), orphan) {
		t.Errorf("an address that an unknown port owns: %v", err)
	}
	if _, err := c.Put(t.Context(), "/ofdvr/1/meta", `{"schema": 99, "complete": true}`); err != nil {
		t.Fatal(err)
	}
	later := newDesk(t, e.Endpoints)
	if err := later.source().Err; err == nil || !strings.Contains(err.Error(), "schema version 99") || later.Intent().Complete {
		t.Errorf("schema version 99: %v", err)
	}
}

// A port cannot be added to a network that another host deletes at the same time, and a write that
// is too large for a transaction is refused.
func TestDependencies(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a, b := newDesk(t, e.Endpoints), newDesk(t, e.Endpoints)
	for i := range 30 {
		n := fmt.Sprint("n", i)
		if err := a.put(routing.Model{Networks: []routing.Network{network(n)}}); err != nil {
			t.Fatal(err)
		}
		b.has(routing.KindNetwork, n, true)
		errs := make(chan error, 2)
		go func() {
			_, err := a.Write(t.Context(), ledger.Delete(ledger.Object{Kind: routing.KindNetwork, ID: n}, false))
			errs <- err
		}()
		go func() { errs <- b.put(routing.Model{Ports: []routing.Port{port(fmt.Sprint("p", i), n, 1)}}) }()
		failed := 0
		for range 2 {
			if err := <-errs; err != nil {
				if errors.As(err, new(*ledger.StoreError)) {
					t.Fatal(err)
				}
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%d of two contradicting writes failed, want 1", failed)
		}
	}
	if q := a.Intent().Quarantined(); len(q) > 0 {
		t.Errorf("quarantined: %v", q)
	}
	var m routing.Model
	for i := range 200 {
		m.Networks = append(m.Networks, network(fmt.Sprint("many", i)))
	}
	if err := a.put(m); !errors.Is(err, ledger.ErrTooLarge) || !strings.Contains(err.Error(), "--max-txn-ops") {
		t.Errorf("200 networks in one write: %v", err)
	}
	for i := range 20_000 {
		m.Networks = append(m.Networks, network(fmt.Sprintf("%060d", i)))
	}
	if err := a.put(m); !errors.Is(err, ledger.ErrTooLarge) {
		t.Errorf("20,000 networks in one write, more than a message of gRPC: %v", err)
	}
}
