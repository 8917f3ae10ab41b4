package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	// leaseTime is the time after which the key of a daemon that has died vanishes.
	leaseTime = 10 * time.Second
	// aliveEvery is the time between two looks at the state of this host. The key is written only if
	// the state has changed.
	aliveEvery = 10 * time.Second
)

// Liveness is the state of a living daemon, as its host wrote it.
type Liveness struct {
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Revision uint64    `json:"revision"` // of etcd, that its switches have confirmed
	Machines int       `json:"machines"` // plugged in
	Problems int       `json:"problems"`
	API      []string  `json:"api,omitempty"` // endpoints

	Run uint64 `json:"run"` // a random number of the daemon
}

var errLeaseLost = errors.New("the lease has ended")

// live keeps the key of this host. If the lease is lost, it makes a new one at once.
func (m *Member) live(ctx context.Context, node Node) error {
	for {
		err := m.lease(ctx, node)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pause := time.Second
		if errors.Is(err, errLeaseLost) {
			pause = 10 * time.Millisecond
		}
		m.cfg.Log.Warn("this host's key of liveness in etcd was lost, will write it again", zap.Error(err))
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// lease keeps the key with one lease until the lease is lost or ctx is done.
func (m *Member) lease(ctx context.Context, node Node) error {
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	grant, err := m.keys.client.Grant(limited, int64(leaseTime/time.Second))
	cancel()
	if err != nil {
		return err
	}
	defer func() { // the other hosts need not wait until it expires
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		m.keys.client.Revoke(ctx, grant.ID)
	}()
	ctx, cancel = context.WithCancel(ctx)
	defer cancel()
	kept, err := m.keys.client.KeepAlive(ctx, grant.ID)
	if err != nil {
		return err
	}
	tick := time.NewTicker(aliveEvery)
	defer tick.Stop()
	now := Liveness{Version: m.cfg.Version, Started: m.started, API: m.cfg.API, Run: m.run}
	for written := ""; ; {
		if err := m.look(ctx, node, &now); err != nil {
			return err
		}
		value, err := json.Marshal(now)
		if err != nil {
			return err
		}
		if err := m.writeAlive(ctx, grant.ID, string(value), written); err != nil {
			return err
		}
		for written = string(value); ; {
			select {
			case _, ok := <-kept:
				if !ok {
					return errLeaseLost
				}
				continue
			case <-tick.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			break
		}
	}
}

// look updates the state of this host.
func (m *Member) look(ctx context.Context, node Node, l *Liveness) error {
	revision := m.progress.now() // before the state, which is at least as new
	s, err := node.State(ctx)
	if err != nil {
		return err
	}
	l.Machines, l.Problems = s.Machines, s.Problems
	if s.Confirmed {
		l.Revision = revision
	}
	return nil
}

// writeAlive writes a value unless the key has it. written is what this lease has written before.
func (m *Member) writeAlive(ctx context.Context, lease clientv3.LeaseID, value, written string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	key := m.keys.cfg.Prefix + aliveDir + url.PathEscape(m.cfg.Host)
	now, err := m.keys.client.Get(ctx, key)
	if err != nil {
		return err
	}
	var twin error
	if len(now.Kvs) > 0 {
		var other Liveness
		if json.Unmarshal(now.Kvs[0].Value, &other) == nil && other.Run != m.run && written != "" {
			twin = fmt.Errorf("another daemon also runs as host %s: its API is at %s. Give each host its own --host", m.cfg.Host, strings.Join(other.API, ", "))
		}
		if string(now.Kvs[0].Value) == value && now.Kvs[0].Lease == int64(lease) {
			m.problems.set("twin", nil)
			return nil
		}
	}
	m.problems.set("twin", twin)
	if _, err = m.keys.client.Put(ctx, key, value, clientv3.WithLease(lease)); err != nil && strings.Contains(err.Error(), "lease not found") {
		return errLeaseLost
	}
	return err
}

// Alive returns the hosts whose daemons are alive. It is at most about a second old. If etcd does
// not answer, it returns what was read last, with the error.
func (m *Member) Alive(ctx context.Context) (map[string]Liveness, error) {
	return m.others.get(ctx, func(ctx context.Context) (map[string]Liveness, error) {
		resp, err := m.keys.client.Get(ctx, m.keys.cfg.Prefix+aliveDir, clientv3.WithPrefix())
		if err != nil {
			return nil, fmt.Errorf("read which hosts are alive from %s: %w", m.Name(), err)
		}
		out := make(map[string]Liveness, len(resp.Kvs))
		for _, kv := range resp.Kvs {
			var l Liveness
			id, err := url.PathUnescape(strings.TrimPrefix(string(kv.Key), m.keys.cfg.Prefix+aliveDir))
			if err == nil && json.Unmarshal(kv.Value, &l) == nil {
				out[id] = l
			}
		}
		return out, nil
	})
}
