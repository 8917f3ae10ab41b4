package localcopy_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/localcopy"
	"github.com/ofdvr/ofdvr/controller/store"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

var nextPort atomic.Int32

func cluster(t *testing.T) *lab.Etcd {
	t.Helper()
	lab.Require(t)
	e, err := lab.StartEtcd(t.Context(), t.TempDir(), 1, 24000+int(nextPort.Add(2)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// A host is a daemon's ledger, with the intent of etcd and a copy in a directory.
type host struct {
	*ledger.Ledger
	copy *localcopy.Copy
	stop func()
	t    *testing.T
}

func start(t *testing.T, endpoints []string, dir string) *host {
	t.Helper()
	s, err := etcd.Open(etcd.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	c := localcopy.New(dir, localcopy.Origin{Endpoints: endpoints, Prefix: etcd.DefaultPrefix}, zap.NewNop())
	over := c.Over(s)
	l, err := ledger.Open(t.Context(), ledger.Config{Sources: []ledger.Source{over}, Write: over, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { l.Run(ctx, c); done <- struct{}{} }()
	go func() { c.Run(ctx, l.Intent); done <- struct{}{} }()
	h := &host{Ledger: l, copy: c, t: t}
	h.stop = func() {
		cancel()
		<-done
		<-done
		s.Close()
		done <- struct{}{} // stop may be called again
		done <- struct{}{}
	}
	t.Cleanup(h.stop)
	return h
}

func (h *host) write(edits ...ledger.Edit) {
	h.t.Helper()
	for _, e := range edits {
		if _, err := h.Write(h.t.Context(), e); err != nil {
			h.t.Fatal(err)
		}
	}
}

// portNamed is the port with an ID.
func portNamed(id string) ledger.Object { return ledger.Object{Kind: routing.KindPort, ID: id} }

func network(id string) routing.Network { return routing.Network{ID: id, MTU: 1500} }

func port(id, network string, n byte) routing.Port {
	return routing.Port{ID: id, Network: network, MAC: ofproto.MAC{2, 0, 0, 0, 0, n}, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, n})}}
}

// mustEqual fails the test if the copy in a directory has other objects than an intent.
func mustEqual(t *testing.T, dir string, want *routing.Index) {
	t.Helper()
	if c := routing.NewIndex(store.Salvage(dir).Model).ChangeTo(want); c.Len() > 0 {
		t.Errorf("the copy lacks %+v", c)
	}
}

// The copy has what etcd has, also after objects have changed, moved and gone. A daemon that starts
// without etcd uses it, removes nothing, and says so. When etcd answers, it has etcd's intent.
func TestStartsWithoutEtcd(t *testing.T) {
	t.Parallel()
	e, dir := cluster(t), filepath.Join(t.TempDir(), "state", "copy")
	h := start(t, e.Endpoints, dir)
	h.write(ledger.Put(routing.Model{Networks: []routing.Network{network("blue"), network("red")}, Ports: []routing.Port{port("a", "blue", 1), port("b", "blue", 2), port("c", "red", 3)}}))
	h.stop()
	mustEqual(t, dir, h.Intent().Index)

	h = start(t, e.Endpoints, dir)
	h.write(ledger.Put(routing.Model{Ports: []routing.Port{port("a", "red", 1), port("b", "blue", 4)}}), ledger.Delete(portNamed("c"), false))
	h.stop()
	want := h.Intent().Index
	mustEqual(t, dir, want)

	e.Kill(0)
	began := time.Now()
	h = start(t, e.Endpoints, dir)
	t.Logf("started after %v", time.Since(began))
	in := h.Intent()
	if c := in.Index.ChangeTo(want); c.Len() > 0 {
		t.Errorf("without etcd, the intent lacks %+v", c)
	}
	if !h.copy.Used() {
		t.Error("the copy is not said to be used")
	}
	if err := in.Sources[0].Err; in.Complete || err == nil || !strings.Contains(err.Error(), "copy on this host's disk") {
		t.Errorf("without etcd: complete %v, error %v", in.Complete, err)
	}
	h.stop()
	mustEqual(t, dir, want) // the copy is not a copy of itself

	h = start(t, e.Endpoints, dir)
	if err := e.Start(0); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, time.Minute, "etcd to be read", func() error { return h.Intent().Sources[0].Err })
	h.write(ledger.Delete(portNamed("a"), false))
	if h.copy.Used() {
		t.Error("the copy is said to be used still")
	}
	if h.Intent().Has(portNamed("a")) {
		t.Error("the port is still there")
	}
}

// A copy of another etcd is not used, and is replaced.
func TestAnotherEtcd(t *testing.T) {
	t.Parallel()
	one, other, dir := cluster(t), cluster(t), filepath.Join(t.TempDir(), "copy")
	h := start(t, one.Endpoints, dir)
	h.write(ledger.Put(routing.Model{Networks: []routing.Network{network("blue")}}))
	h.stop()
	other.Kill(0)
	h = start(t, other.Endpoints, dir)
	if n, _, _ := h.Intent().Index.Len(); n != 0 {
		t.Errorf("%d networks of another etcd are used", n)
	}
	if err := other.Start(0); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, time.Minute, "etcd to be read", func() error { return h.Intent().Sources[0].Err })
	h.write(ledger.Put(routing.Model{Networks: []routing.Network{network("red")}}))
	h.stop()
	mustEqual(t, dir, h.Intent().Index)
}

// A damaged copy is replaced. Before that, a daemon starts with what can be read of it.
func TestDamagedCopy(t *testing.T) {
	t.Parallel()
	e, dir := cluster(t), filepath.Join(t.TempDir(), "copy")
	h := start(t, e.Endpoints, dir)
	h.write(ledger.Put(routing.Model{Networks: []routing.Network{network("blue")}}))
	h.stop()
	file := filepath.Join(dir, store.FileName)
	for name, damage := range map[string]func() error{
		"empty":     func() error { return os.Truncate(file, 0) },
		"cut":       func() error { return os.Truncate(file, 5000) },
		"text":      func() error { return os.WriteFile(file, []byte(strings.Repeat("text", 5000)), 0o600) },
		"no origin": func() error { return os.Remove(filepath.Join(dir, "origin.json")) },
		"bad origin": func() error {
			return os.WriteFile(filepath.Join(dir, "origin.json"), []byte("{"), 0o600)
		},
		"removed": func() error { return os.RemoveAll(dir) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		h := start(t, e.Endpoints, dir)
		if err := h.Intent().Sources[0].Err; err != nil {
			t.Errorf("%s: etcd answers, but the error is %v", name, err)
		}
		lab.Eventually(t, time.Minute, name+": the copy to be written", func() error {
			if _, err := os.Stat(filepath.Join(dir, "origin.json")); err != nil || h.copy.Problem() != nil {
				return errors.Join(err, h.copy.Problem())
			}
			return nil
		})
		h.stop()
		mustEqual(t, dir, h.Intent().Index)
		if t.Failed() {
			t.Fatal(name, fmt.Sprint(h.copy.Problem()))
		}
	}
}
