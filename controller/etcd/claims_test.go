package etcd_test

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/test/lab"
)

// listener is a Node that keeps the claims of all hosts.
type listener struct {
	still
	mu     sync.Mutex
	claims hosts.Stored
}

func (l *listener) StoredClaims(all hosts.Stored) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claims = all
}

func (l *listener) StoredClaimsChanged(changes []hosts.StoredChange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range changes {
		l.claims.Apply(c)
	}
}

// has waits until a host claims these ports.
func (l *listener) has(t *testing.T, host string, want map[string]hosts.Claim) {
	t.Helper()
	lab.Eventually(t, time.Minute, "the claims of host "+host, func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !maps.Equal(l.claims[host], want) {
			return fmt.Errorf("they are %v", l.claims[host])
		}
		return nil
	})
}

// claiming returns the ports p0 to p<n-1> of network n/1, and their claims.
func claiming(n int, run uint64) (map[hosts.ClaimedPort]hosts.Claim, map[string]hosts.Claim) {
	own, stored := make(map[hosts.ClaimedPort]hosts.Claim), make(map[string]hosts.Claim)
	for i := range n {
		c := hosts.Claim{Turn: uint64(i), Run: run, Version: 1}
		id := fmt.Sprintf("p/%d", i)
		own[hosts.ClaimedPort{Network: "n/1", Port: id}], stored[id] = c, c
	}
	return own, stored
}

// All hosts see the claims of a host. They are written in few transactions, survive the host, and its
// next daemon removes only those that are wrong.
func TestClaims(t *testing.T) {
	t.Parallel()
	e := cluster(t, 3)
	c := client(t, e.Endpoints)
	revision := func() int64 {
		resp, err := c.Get(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		return resp.Header.Revision
	}
	var ear listener
	b := newMemberOn(t, e.Endpoints, etcd.MemberConfig{Host: "b"}, &ear)
	a := newMember(t, e.Endpoints, etcd.MemberConfig{Host: "h/a"})
	lab.Eventually(t, time.Minute, "both to be alive", func() error {
		if all, _ := b.Alive(t.Context()); len(all) < 2 {
			return errors.New("they are not")
		}
		return nil
	})
	own, want := claiming(300, 1)
	before := revision()
	a.Claim(own)
	ear.has(t, "h/a", want)
	if n := revision() - before; n > 3 {
		t.Errorf("300 claims took %d transactions", n)
	}
	delete(own, hosts.ClaimedPort{Network: "n/1", Port: "p/0"})
	delete(want, "p/0")
	moved := hosts.ClaimedPort{Network: "n/1", Port: "p/1"}
	own[hosts.ClaimedPort{Network: "n2", Port: "p/1"}] = own[moved]
	delete(own, moved)
	a.Claim(own)
	ear.has(t, "h/a", want)
	a.stop()
	lab.Eventually(t, time.Minute, "the stopped daemon to be away", func() error {
		if all, _ := b.Alive(t.Context()); len(all) > 1 {
			return errors.New("it is not")
		}
		return nil
	})
	ear.has(t, "h/a", want) // its routes stay

	before = revision()
	a = newMember(t, e.Endpoints, etcd.MemberConfig{Host: "h/a"})
	own, _ = claiming(299, 2)
	delete(own, hosts.ClaimedPort{Network: "n/1", Port: "p/0"})
	own[hosts.ClaimedPort{Network: "n2", Port: "p/1"}] = own[moved]
	delete(own, moved)
	last := hosts.ClaimedPort{Network: "n/1", Port: "p/298"}
	changed := hosts.Claim{Turn: 1000, Run: 2, Version: 1}
	own[last], want["p/298"] = changed, changed
	delete(want, "p/299")
	a.Claim(own)
	ear.has(t, "h/a", want) // right claims are not written again: they have run 1
	resp, err := c.Get(t.Context(), "/ofdvr/1/on/", clientv3.WithPrefix(), clientv3.WithMinModRev(before+1), clientv3.WithCountOnly())
	if err != nil || resp.Count != int64(len(own)) {
		t.Errorf("etcd has %d claims, want %d; error %v", resp.Count, len(own), err)
	}
}

// A host corrects its claims when another program has deleted them, and when etcd was away.
func TestClaimsCorrected(t *testing.T) {
	t.Parallel()
	e := cluster(t, 1)
	var ear listener
	newMemberOn(t, e.Endpoints, etcd.MemberConfig{Host: "b"}, &ear)
	a := newMember(t, e.Endpoints, etcd.MemberConfig{Host: "a"})
	own, want := claiming(3, 1)
	a.Claim(own)
	ear.has(t, "a", want)
	if _, err := client(t, e.Endpoints).Delete(t.Context(), "/ofdvr/1/on/", clientv3.WithPrefix()); err != nil {
		t.Fatal(err)
	}
	ear.has(t, "a", nil)
	ear.has(t, "a", want)
	e.Kill(0)
	own, want = claiming(5, 1)
	a.Claim(own)
	if err := e.Start(0); err != nil {
		t.Fatal(err)
	}
	ear.has(t, "a", want)
}
