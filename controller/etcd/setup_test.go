package etcd_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/test/lab"
)

// A vault is a cluster of etcd with TLS.
type vault struct {
	*lab.Etcd
	t  *testing.T
	ca *lab.Authority
}

// newVault starts a cluster. Only with --client-cert-auth it knows its clients.
func newVault(t *testing.T, members int, flags ...string) *vault {
	t.Helper()
	lab.Require(t)
	ca, err := lab.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e, err := lab.StartSecureEtcd(t.Context(), t.TempDir(), members, 20000+int(nextPort.Add(20)), ca, append(flags, "--trusted-ca-file", ca.CA)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return &vault{e, t, ca}
}

// as opens the store with the certificate for a common name.
func (v *vault) as(name string) *etcd.Store {
	v.t.Helper()
	config, err := v.ca.Client(name)
	if err != nil {
		v.t.Fatal(err)
	}
	s, err := etcd.Open(etcd.Config{Endpoints: v.Endpoints, TLS: config})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(s.Close)
	return s
}

// client returns a plain client with the certificate for a common name.
func (v *vault) client(name string) *clientv3.Client {
	v.t.Helper()
	config, err := v.ca.Client(name)
	if err != nil {
		v.t.Fatal(err)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: v.Endpoints, TLS: config, Logger: zap.NewNop()})
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { c.Close() })
	return c
}

// setup prepares etcd and returns the number of steps.
func (v *vault) setup(name string, f etcd.Fleet) int {
	v.t.Helper()
	steps, _, err := v.as(name).Setup(v.t.Context(), f)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, step := range steps {
		if err := step.Run(v.t.Context()); err != nil {
			v.t.Fatal(err)
		}
	}
	return len(steps)
}

// With a host's certificate, only the host's own keys can be written, whatever the host tries.
// Everything can be read. A writer can also write the intent, and clients without a user can do
// nothing.
func TestRoles(t *testing.T) {
	t.Parallel()
	v := newVault(t, 3, "--client-cert-auth")
	fleet := etcd.Fleet{Hosts: []string{"h1", "h 2"}, Writers: []string{"h 2", "admin"}, EnableAuth: true}
	if n := v.setup("root", fleet); n == 0 {
		t.Error("no steps")
	}
	if n := v.setup("root", fleet); n != 0 {
		t.Errorf("the second time there are %d steps", n)
	}
	const prefix = etcd.DefaultPrefix
	own := func(h string) []string {
		return []string{"host/" + h, "alive/" + h, "ack/" + h, "on/" + h + "/blue/vm1", "said/" + h + "/7"}
	}
	intent := strings.Fields("net/blue rtr/r1 port/blue/vm1 own/id/vm1 own/mac/blue/02:00:00:00:00:01 own/ip/blue/10.0.0.1 meta layout sync sync/1 ask ask/7")
	foreign := []string{"cluster", "x", "hos", "host", "host/h11", "alive/h11", "on/h1", "on/h11/blue/vm1", "said/h11/7", "../x", ""}
	for _, test := range []struct {
		user string
		may  []string
		not  [][]string
	}{
		{"h1", own("h1"), [][]string{own("h2"), own("h%202"), intent, foreign}},
		{"h 2", append(own("h%202"), intent...), [][]string{{"alive/h1", "ack/h1", "on/h1/blue/vm1", "said/h1/7"}, {"cluster", "x", "alive/h%2022"}}},
		{"admin", append(intent, "host/h1"), [][]string{{"alive/h1", "ack/h1", "on/h1/blue/vm1", "said/h1/7", "cluster"}}},
		{"mallory", nil, [][]string{own("h1"), own("mallory"), intent, foreign}},
	} {
		c := v.client(test.user)
		for _, k := range test.may {
			if _, err := c.Put(t.Context(), prefix+k, "{}"); err != nil {
				t.Errorf("%s may write %s: %v", test.user, k, err)
			}
			if _, err := c.Get(t.Context(), prefix+k); err != nil {
				t.Errorf("%s may read %s: %v", test.user, k, err)
			}
		}
		for _, keys := range test.not {
			for _, k := range keys {
				_, put := c.Put(t.Context(), prefix+k, "{}")
				_, remove := c.Delete(t.Context(), prefix+k)
				_, txn := c.Txn(t.Context()).Then(clientv3.OpPut(prefix+k, "{}")).Commit()
				_, hidden := c.Txn(t.Context()).If(clientv3.Compare(clientv3.CreateRevision(prefix+"none"), ">", 0)).Else(clientv3.OpTxn(nil, []clientv3.Op{clientv3.OpDelete(prefix + k)}, nil)).Commit()
				for _, err := range []error{put, remove, txn, hidden} {
					if !errors.Is(err, rpctypes.ErrPermissionDenied) {
						t.Errorf("%s writes %s: %v", test.user, k, err)
					}
				}
			}
		}
		if test.may != nil {
			if _, err := c.Get(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithLimit(10)); err != nil {
				t.Errorf("%s may read the prefix: %v", test.user, err)
			}
			watching, cancel := context.WithCancel(t.Context())
			if w, ok := <-c.Watch(watching, prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify()); !ok || w.Err() != nil || w.Canceled {
				t.Errorf("%s may watch the prefix: %v", test.user, w.Err())
			}
			cancel()
		}
		if _, err := c.Get(t.Context(), "/other"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("%s reads outside the prefix: %v", test.user, err)
		}
		_, all := c.Delete(t.Context(), prefix, clientv3.WithPrefix())
		_, outside := c.Put(t.Context(), "/other", "x")
		_, grant := c.UserGrantRole(t.Context(), test.user, "root")
		_, off := c.AuthDisable(t.Context())
		for what, err := range map[string]error{"all": all, "outside": outside, "grant": grant, "off": off} {
			if !errors.Is(err, rpctypes.ErrPermissionDenied) && !errors.Is(err, rpctypes.ErrUserNotFound) {
				t.Errorf("%s, %s: %v", test.user, what, err)
			}
		}
	}
	if _, err := v.client("mallory").Get(t.Context(), prefix+"meta"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("a client without a user reads: %v", err)
	}
	v.setup("root", etcd.Fleet{Remove: []string{"h1"}})
	if _, err := v.client("h1").Put(t.Context(), prefix+"host/h1", "{}"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("a removed host writes: %v", err)
	}
}

// A host that is not a writer has the intent, and its writes fail with the reason and the remedy.
func TestNotAWriter(t *testing.T) {
	t.Parallel()
	v := newVault(t, 3, "--client-cert-auth")
	v.setup("root", etcd.Fleet{Hosts: []string{"h1", "h2"}, Writers: []string{"h1"}, EnableAuth: true})
	h1, h2 := deskOn(t, v.as("h1")), deskOn(t, v.as("h2"))
	if err := h1.put(routing.Model{Networks: []routing.Network{network("blue")}}); err != nil {
		t.Fatal(err)
	}
	h2.has(routing.KindNetwork, "blue", true)
	err := h2.put(routing.Model{Networks: []routing.Network{network("green")}})
	if !errors.Is(err, ledger.ErrForbidden) || !strings.Contains(err.Error(), `user "h2"`) || !strings.Contains(err.Error(), "ofdvr etcd init --writers h2") {
		t.Errorf("error: %v", err)
	}
	v.setup("root", etcd.Fleet{Writers: []string{"h2"}})
	if err := h2.put(routing.Model{Networks: []routing.Network{network("green")}}); err != nil {
		t.Errorf("h2 is a writer now: %v", err)
	}
	h1.has(routing.KindNetwork, "green", true)
}

// Authentication is not enabled if hosts or the operator would lose access.
func TestEnableAuth(t *testing.T) {
	t.Parallel()
	v := newVault(t, 1) // wants certificates, but does not know its clients by them
	_, _, err := v.as("h1").Setup(t.Context(), etcd.Fleet{EnableAuth: true})
	if err == nil || !strings.Contains(err.Error(), `common name root. This one has "h1"`) {
		t.Errorf("with a host's certificate: %v", err)
	}
	steps, _, err := v.as("root").Setup(t.Context(), etcd.Fleet{Hosts: []string{"h1"}, EnableAuth: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, step := range steps {
		err := step.Run(t.Context())
		if last := i == len(steps)-1; (err != nil) != last || last && !strings.Contains(err.Error(), "start it with --client-cert-auth; authentication was disabled again") {
			t.Errorf("%s: %v", step.Text, err)
		}
	}
	c := v.client("h1")
	if _, err := c.Put(t.Context(), "/x", "without authentication, all may write"); err != nil {
		t.Error(err)
	}
	if users, err := c.UserList(t.Context()); err != nil || len(users.Users) != 2 {
		t.Errorf("users %v, error %v; want h1 and root", users, err)
	}
	plain, err := etcd.Open(etcd.Config{Endpoints: cluster(t, 1).Endpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, _, err := plain.Setup(t.Context(), etcd.Fleet{EnableAuth: true}); err == nil || !strings.Contains(err.Error(), "has no TLS") {
		t.Errorf("without TLS: %v", err)
	}
	for _, name := range []string{"root", ""} {
		if _, _, err := plain.Setup(t.Context(), etcd.Fleet{Hosts: []string{name}}); err == nil {
			t.Errorf("%q is a host", name)
		}
	}
}
