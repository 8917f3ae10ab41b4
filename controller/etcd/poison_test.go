package etcd_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// poisons are values that no ofdvr writes for an object with ID p.
var poisons = map[string]string{
	"empty":         "",
	"cut":           `{"id": "p"`,
	"null":          "null",
	"list":          "[]",
	"text":          `"p"`,
	"number":        "1e999",
	"bytes":         "\xff\xfe\x00",
	"two":           `{"id": "p"} {"id": "p"}`,
	"twice":         `{"id": "p", "id": "q"}`,
	"unnamed":       `{}`,
	"other":         `{"id": "q"}`,
	"type":          `{"id": 7}`,
	"later":         `{"id": "p", "a_key_of_a_later_version": {"x": [1, 2]}}`,
	"deep":          strings.Repeat("[", 100_000),
	"deep inside":   `{"id": "p", "labels": ` + strings.Repeat(`{"x":`, 100_000),
	"long":          `{"id": "p", "name": "` + strings.Repeat("n", 1_400_000) + `"}`,
	"blank":         strings.Repeat(" ", 1_400_000),
	"many keys":     `{"id": "p"` + strings.Repeat(`, "k": 1`, 150_000) + "}",
	"many labels":   `{"id": "p", "labels": {` + strings.Repeat(`"k": "v", `, 100_000) + `"z": "z"}}`,
	"many elements": `{"id": "p", "addresses": [` + strings.Repeat(`"10.0.0.1", `, 100_000) + `"10.0.0.2"]}`,
	"long number":   `{"id": "p", "mtu": ` + strings.Repeat("9", 1_000_000) + "}",
}

// A value that is not an object, or is absurdly large, affects no other object, whatever its kind. A
// short error names its key. A write replaces it.
func TestPoisonOfEachKind(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a := newDesk(t, e.Endpoints)
	if err := a.put(routing.Model{Networks: []routing.Network{network("blue")}, Ports: []routing.Port{port("good", "blue", 1)}}); err != nil {
		t.Fatal(err)
	}
	c := client(t, e.Endpoints)
	good := func(d *desk, when string) {
		t.Helper()
		if !d.Intent().Has(ledger.Object{Kind: routing.KindPort, ID: "good"}) {
			t.Fatalf("%s: another object is lost", when)
		}
		lab.Eventually(t, time.Minute, "etcd to answer", func() error { return d.Intent().Sources[0].Err }) // a slow disk may make etcd pause
	}
	quarantined := func(d *desk, key string) error {
		for _, q := range d.Intent().Quarantined() {
			text := q.Error()
			if len(text) > 1000 {
				return fmt.Errorf("a text of %d bytes: %.300s…", len(text), text)
			}
			if strings.Contains(text, "key "+key+": ") {
				return nil
			}
		}
		return fmt.Errorf("no error names the key %s: %.1000s", key, fmt.Sprint(d.Intent().Quarantined()))
	}
	for what, value := range poisons {
		for _, key := range []string{"host/p", "net/p", "rtr/p", "port/blue/p"} {
			key = etcd.DefaultPrefix + key
			if _, err := c.Put(t.Context(), key, value); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			lab.Eventually(t, time.Minute, what+" to be quarantined", func() error { return quarantined(a, key) })
			good(a, key+", "+what)
		}
		b := newDesk(t, e.Endpoints)
		for _, key := range []string{"host/p", "net/p", "rtr/p", "port/blue/p"} {
			if err := quarantined(b, etcd.DefaultPrefix+key); err != nil {
				t.Errorf("%s, at the start: %v", what, err)
			}
		}
		good(b, what+", at the start")
		for _, dir := range []string{"host/p", "net/p", "rtr/p", "port/blue/p"} {
			if _, err := c.Delete(t.Context(), etcd.DefaultPrefix+dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := a.put(routing.Model{Networks: []routing.Network{network("p")}, Ports: []routing.Port{port("p", "blue", 2)}}); err != nil {
		t.Errorf("a write after the poison: %v", err)
	}
}

// Keys that are absurdly long or no text do not disturb other objects, and their errors are short.
func TestPoisonousKeys(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a := newDesk(t, e.Endpoints)
	c := client(t, e.Endpoints)
	long := strings.Repeat("k", 1_000_000)
	for _, key := range []string{"net/" + long, "port/" + long + "/x", "port/x/" + long, "own/id/" + long, long, "net/\xff", "net/%ff", "net/%00", "net/\n", "net//", "port//x", "port/x/", "port/x", "host/..", "rtr/%", "/", ""} {
		if _, err := c.Put(t.Context(), etcd.DefaultPrefix+key, `{"id": "x"}`); err != nil {
			t.Fatal(err)
		}
	}
	check := func(d *desk) {
		t.Helper()
		if err := d.put(routing.Model{Networks: []routing.Network{network("blue")}}); err != nil {
			t.Fatal(err)
		}
		if len(d.Intent().Quarantined()) == 0 {
			t.Error("nothing is quarantined")
		}
		for _, q := range d.Intent().Quarantined() {
			if text := q.Error(); len(text) > 1000 {
				t.Errorf("a text of %d bytes: %.200s…", len(text), text)
			}
		}
	}
	check(a)
	check(newDesk(t, e.Endpoints))
	s, err := etcd.Open(etcd.Config{Endpoints: e.Endpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := s.Check(t.Context(), func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	for i := range r.Findings {
		if text := r.Findings[i].String(); len(text) > 1000 {
			t.Errorf("a finding of %d bytes: %.200s…", len(text), text)
		}
	}
}

// Keys that no ofdvr writes take little memory. The test runs alone, because it measures the memory of
// the whole process. make test-full has 100,000 keys.
func TestJunk(t *testing.T) {
	n := 10_000
	if lab.Full() {
		n = 100_000
	}
	limit := 8<<20 + n*640 // bytes
	e := cluster(t, 1)
	a := newDesk(t, e.Endpoints)
	c := client(t, e.Endpoints)
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	for i := 0; i < n; i += 100 {
		var ops []clientv3.Op
		for j := range 100 {
			ops = append(ops, clientv3.OpPut(fmt.Sprintf("%s%s/junk%d", etcd.DefaultPrefix, []string{"net", "junk"}[j%2], i+j), strings.Repeat("x", 1000)))
		}
		if _, err := c.Txn(t.Context()).Then(ops...).Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.put(routing.Model{Networks: []routing.Network{network("blue")}}); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, time.Minute, "half of the junk to be quarantined", func() error {
		if got := len(a.Intent().Quarantined()); got < n/2 {
			return errors.New(fmt.Sprint(got))
		}
		return nil
	})
	if took := heap() - before; took > limit {
		t.Errorf("%d keys take %d MiB", n, took>>20)
	} else {
		t.Logf("%d keys take %d MiB", n, took>>20)
	}
}
