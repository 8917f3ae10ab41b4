package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// A member is a host without switches that shares its intent in etcd.
type member struct {
	*desk
	*etcd.Member
	stop func()
}

// still is a Node whose state is always the same.
type still struct{}

func (still) State(context.Context) (etcd.State, error) {
	return etcd.State{Confirmed: true, Machines: 3, Problems: 1}, nil
}

func (still) StoredClaims(hosts.Stored)                {}
func (still) StoredClaimsChanged([]hosts.StoredChange) {}

// newMember starts a host.
func newMember(t *testing.T, endpoints []string, cfg etcd.MemberConfig) *member {
	t.Helper()
	return newMemberOn(t, endpoints, cfg, still{})
}

// newMemberOn starts a host with a Node.
func newMemberOn(t *testing.T, endpoints []string, cfg etcd.MemberConfig, node etcd.Node) *member {
	t.Helper()
	s, err := etcd.Open(etcd.Config{Endpoints: endpoints})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	cfg.Log, cfg.Version = zap.NewNop(), "v1"
	m := etcd.NewMember(s, cfg)
	d := deskFor(t, m, discard{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx, node)
	}()
	stop := func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return &member{d, m, stop}
}

func tunnel(address string) routing.Tunnel {
	return routing.Tunnel{Address: netip.MustParseAddr(address)}
}

// host waits until the intent has a host with a tunnel and an uplink.
func (m *member) host(id string, want routing.Tunnel, uplink string) {
	m.t.Helper()
	lab.Eventually(m.t, time.Minute, fmt.Sprintf("host %s to have tunnel %v", id, want), func() error {
		if h := m.Intent().Index.Host(id); h == nil || h.Tunnel != want || h.Uplink != uplink {
			return fmt.Errorf("it is %+v", h)
		}
		return nil
	})
}

// A host registers its address, also if etcd answers later. It changes its address, but not its other
// keys, and takes no other host's address.
func TestRegister(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	e.Kill(0)
	a := newMember(t, e.Endpoints, etcd.MemberConfig{Host: "h/1", Tunnel: tunnel("192.0.2.1"), KeepType: true})
	lab.Eventually(t, time.Minute, "the host to say that it is not registered", func() error {
		if text := strings.Join(a.Problems(), "\n"); !strings.Contains(text, "host h/1 could not register its tunnel address 192.0.2.1") {
			return fmt.Errorf("problems: %q", text)
		}
		return nil
	})
	if err := e.Start(0); err != nil {
		t.Fatal(err)
	}
	a.host("h/1", tunnel("192.0.2.1"), "")
	lab.Eventually(t, time.Minute, "the problem to end", func() error {
		if len(a.Problems()) > 0 {
			return fmt.Errorf("problems: %q", a.Problems())
		}
		return nil
	})

	changed := routing.Host{ID: "h/1", Tunnel: routing.Tunnel{Type: routing.TunnelVXLAN, Address: netip.MustParseAddr("192.0.2.1")}, Uplink: "eth1"}
	if err := a.put(routing.Model{Hosts: []routing.Host{changed}}); err != nil {
		t.Fatal(err)
	}
	a.stop()
	b := newMember(t, e.Endpoints, etcd.MemberConfig{Host: "h/1", Tunnel: tunnel("192.0.2.7"), KeepType: true})
	b.host("h/1", routing.Tunnel{Type: routing.TunnelVXLAN, Address: netip.MustParseAddr("192.0.2.7")}, "eth1")
	b.stop()
	c := newMember(t, e.Endpoints, etcd.MemberConfig{Host: "h/1", Tunnel: tunnel("192.0.2.7")})
	c.host("h/1", tunnel("192.0.2.7"), "eth1")

	d := newMember(t, e.Endpoints, etcd.MemberConfig{Host: "h2", Tunnel: tunnel("192.0.2.7")})
	lab.Eventually(t, time.Minute, "the conflict to be named", func() error {
		if text := strings.Join(d.Problems(), "\n"); !strings.Contains(text, "192.0.2.7: host h/1 has this address in the intent") {
			return fmt.Errorf("problems: %q", text)
		}
		return nil
	})
	if _, err := c.Write(t.Context(), ledger.Delete(ledger.Object{Kind: routing.KindHost, ID: "h/1"}, false)); err != nil {
		t.Fatal(err)
	}
	d.host("h2", tunnel("192.0.2.7"), "") // it tries again
	if h := d.Intent().Index.Host("h/1"); h != nil {
		t.Errorf("a host that was removed has come back: %+v", h)
	}
}

// All hosts know which hosts are alive, with their state. A lost lease is replaced, a stopped daemon
// is away at once, and no other key vanishes with it.
func TestAlive(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a := newMember(t, e.Endpoints, etcd.MemberConfig{Host: "a", Tunnel: tunnel("192.0.2.1"), API: []string{"unix:/a"}})
	b := newMember(t, e.Endpoints, etcd.MemberConfig{Host: "b", Tunnel: tunnel("192.0.2.2")})
	alive := func(what string, want func(map[string]etcd.Liveness) bool) {
		t.Helper()
		lab.Eventually(t, time.Minute, what, func() error {
			got, err := b.Alive(t.Context())
			if err == nil && !want(got) {
				err = fmt.Errorf("alive are %+v", got)
			}
			return err
		})
	}
	alive("both hosts to be alive", func(got map[string]etcd.Liveness) bool {
		l := got["a"]
		return len(got) == 2 && l.Version == "v1" && l.Machines == 3 && l.Problems == 1 && len(l.API) == 1 && !l.Started.IsZero()
	})
	c := client(t, e.Endpoints)
	kv := func() (int64, int64) {
		resp, err := c.Get(t.Context(), "/ofdvr/1/alive/a")
		if err != nil || len(resp.Kvs) == 0 {
			return 0, 0
		}
		return resp.Kvs[0].Lease, resp.Kvs[0].ModRevision
	}
	lease, _ := kv()
	if _, err := c.Revoke(t.Context(), clientv3.LeaseID(lease)); err != nil {
		t.Fatal(err)
	}
	lab.Eventually(t, time.Minute, "a new lease", func() error {
		if now, _ := kv(); now == 0 || now == lease {
			return errors.New("no new lease was granted")
		}
		return nil
	})
	a.stop()
	alive("the stopped daemon to be away", func(got map[string]etcd.Liveness) bool { return len(got) == 1 && got["b"].Run != 0 })
	b.host("a", tunnel("192.0.2.1"), "")
}

// Two daemons with the same host ID say so.
func TestTwins(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	a := newMember(t, e.Endpoints, etcd.MemberConfig{Host: "a", API: []string{"unix:/first"}})
	b := newMember(t, e.Endpoints, etcd.MemberConfig{Host: "a", API: []string{"unix:/second"}})
	for m, other := range map[*member]string{a: "unix:/second", b: "unix:/first"} {
		lab.Eventually(t, time.Minute, "a daemon to find the other", func() error {
			if text := strings.Join(m.Problems(), "\n"); !strings.Contains(text, "another daemon also runs as host a: its API is at "+other) {
				return fmt.Errorf("problems: %q", text)
			}
			return nil
		})
	}
}
