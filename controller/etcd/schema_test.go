package etcd_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// Hosts with this ofdvr and with a later one share an etcd. While the schema version is the same, new
// keys are ignored, and an object with a new key is quarantined by name. With a later schema version,
// this ofdvr keeps what it has, says so, and writes nothing.
func TestLaterVersions(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a := newDesk(t, e.Endpoints)
	if _, err := a.Write(t.Context(), ledger.ReplaceAll(routing.Model{Networks: []routing.Network{network("blue")}, Ports: []routing.Port{port("p", "blue", 1)}}, false)); err != nil {
		t.Fatal(err)
	}
	c := client(t, e.Endpoints)
	put := func(key, value string) {
		t.Helper()
		if _, err := c.Put(t.Context(), etcd.DefaultPrefix+key, value); err != nil {
			t.Fatal(err)
		}
	}
	put("meta", `{"schema": 1, "complete": true, "later": {"x": 1}}`)
	put("later", "{}")
	put("later/key", "{}")
	put("net/green", `{"id": "green", "later": true}`)
	put("net/red", `{"id": "red"}`)
	a.has(routing.KindNetwork, "red", true)
	if s := a.Intent(); len(s.Quarantined()) != 1 || !strings.Contains(s.Quarantined()[0].Error(), "key /ofdvr/1/net/green: ") || !strings.Contains(s.Quarantined()[0].Error(), "later") || a.source().Err != nil {
		t.Errorf("with keys of a later version: quarantined %v, error %v", s.Quarantined(), a.source().Err)
	}
	if err := a.put(routing.Model{Ports: []routing.Port{port("q", "blue", 2)}}); err != nil {
		t.Errorf("a write beside a later version: %v", err)
	}

	put("meta", `{"schema": 2, "complete": true}`)
	put("port/blue/new", "in another language")
	lab.Eventually(t, time.Minute, "the host to say that the schema is later", func() error {
		if err := a.source().Err; err == nil || !strings.Contains(err.Error(), "the keys have schema version 2, but this ofdvr supports versions up to 1: run a later ofdvr") {
			return errors.Join(errors.New("it does not"), err)
		}
		return nil
	})
	for _, id := range []string{"p", "q"} {
		if !a.Intent().Has(ledger.Object{Kind: routing.KindPort, ID: id}) {
			t.Errorf("port %s is lost with a later schema", id)
		}
	}
	for _, d := range []*desk{a, newDesk(t, e.Endpoints)} {
		if err := d.put(routing.Model{Networks: []routing.Network{network("black")}}); err == nil || !strings.Contains(err.Error(), "schema version 2") {
			t.Errorf("a write with a later schema: %v", err)
		}
		if d.Intent().Complete {
			t.Error("with a later schema, the intent is complete, so unknown objects would be removed")
		}
	}
	if resp, err := c.Get(t.Context(), etcd.DefaultPrefix+"meta"); err != nil || !strings.Contains(string(resp.Kvs[0].Value), `"schema": 2`) {
		t.Errorf("the key meta has changed: %v, %v", resp, err)
	}
	if _, err := c.Delete(t.Context(), etcd.DefaultPrefix+"port/blue/new"); err != nil {
		t.Fatal(err)
	}
	put("meta", `{"schema": 1, "complete": true}`)
	lab.Eventually(t, time.Minute, "the host to go on when the schema is as before", func() error {
		return a.put(routing.Model{Ports: []routing.Port{port("r", "blue", 3)}})
	})
}
