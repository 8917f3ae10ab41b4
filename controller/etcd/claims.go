package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ofdvr/ofdvr/controller/hosts"
)

const (
	// claimsPage is the number of claims in an answer while they are read.
	claimsPage = 5000
	// claimsAtOnce is the number of claims that a transaction writes; etcd allows 128 by default.
	claimsAtOnce = 120
	// correctEvery is the time between two comparisons of the claims in etcd with those of this host.
	// A claim that this daemon has not written itself is removed only then, because the daemon may not
	// know all machines yet.
	correctEvery = 10 * time.Second
)

// claims are the claims of this host.
type claims struct {
	wake chan struct{} // capacity 1; full if want has changed

	mu   sync.Mutex
	want map[string]string   // values by key; nil if not known
	have map[string]storedAt // in etcd; nil if not known
	mine map[string]bool     // keys that this daemon has written
}

// A storedAt is a value at a revision; "" if the key was deleted.
type storedAt struct {
	value    string
	revision int64
}

// Claim makes the claims those of this host. Run writes them. It does not block.
func (m *Member) Claim(all map[hosts.ClaimedPort]hosts.Claim) {
	want := make(map[string]string, len(all))
	for p, c := range all {
		value, _ := json.Marshal(c) // cannot fail: it has only numbers
		want[m.ownClaims()+url.PathEscape(p.Network)+"/"+url.PathEscape(p.Port)] = string(value)
	}
	m.claims.mu.Lock()
	m.claims.want = want
	m.claims.mu.Unlock()
	select {
	case m.claims.wake <- struct{}{}:
	default: // already awake
	}
}

// ownClaims returns the directory of this host's claims.
func (m *Member) ownClaims() string {
	return m.keys.cfg.Prefix + onDir + url.PathEscape(m.cfg.Host) + "/"
}

// writeClaims makes the claims in etcd those of this host. While a transaction is written, changes
// gather for the next one.
func (m *Member) writeClaims(ctx context.Context) error {
	tick := time.NewTicker(correctEvery)
	defer tick.Stop()
	for {
		correct := false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-m.claims.wake:
		case <-tick.C:
			correct = true
		}
		err := m.retry(ctx, "claims", func(ctx context.Context) error {
			for more := true; more; {
				var err error
				if more, err = m.writeSome(ctx, correct); err != nil {
					return fmt.Errorf("host %s could not write in etcd which machines are plugged in here, so other hosts may not know it: %w", m.cfg.Host, explained(err))
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

// writeSome writes claims in one transaction. It reports whether there may be more.
func (m *Member) writeSome(ctx context.Context, correct bool) (more bool, err error) {
	puts, gone := m.claims.differences(correct && !m.problems.has("twin"))
	var ops []clientv3.Op
	for _, key := range slices.Sorted(maps.Keys(puts)) {
		ops = append(ops, clientv3.OpPut(key, puts[key]))
	}
	for _, key := range gone {
		ops = append(ops, clientv3.OpDelete(key))
	}
	if len(ops) == 0 {
		return false, nil
	}
	ops = ops[:min(len(ops), claimsAtOnce)]
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := m.keys.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return false, err
	}
	for _, op := range ops {
		value := ""
		if op.IsPut() {
			value = string(op.ValueBytes())
		}
		m.claims.stored(string(op.KeyBytes()), storedAt{value, resp.Header.Revision}, true)
	}
	return true, nil
}

// differences returns the claims to write and those to remove. correct means that claims that this
// daemon has not written are removed, and that those are written again that others have changed.
func (c *claims) differences(correct bool) (puts map[string]string, gone []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.want == nil || c.have == nil {
		return nil, nil
	}
	puts = make(map[string]string)
	for key, value := range c.want {
		if have := c.have[key].value; !sameClaim(have, value) && (correct || !c.mine[key] || have != "") {
			puts[key] = value
		}
	}
	for key, at := range c.have {
		if _, wanted := c.want[key]; !wanted && at.value != "" && (correct || c.mine[key]) {
			gone = append(gone, key)
		}
	}
	slices.Sort(gone)
	return puts, gone
}

// sameClaim reports whether two values are claims with the same turn. A claim of an earlier daemon stays
// if it is right.
func sameClaim(a, b string) bool {
	var x, y hosts.Claim
	return a == b || json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && x.Turn == y.Turn
}

// stored notes the state of a key unless a later one is known.
func (c *claims) stored(key string, at storedAt, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.have == nil || c.have[key].revision > at.revision {
		return
	}
	if at.value == "" && !mine { // the watch has passed the deletion
		delete(c.have, key)
		delete(c.mine, key)
		return
	}
	c.have[key] = at
	if mine {
		if c.mine == nil {
			c.mine = make(map[string]bool)
		}
		c.mine[key] = at.value != ""
	}
}

// followClaims reads the claims of all hosts, and follows their changes.
func (m *Member) followClaims(ctx context.Context, node Node) error {
	for {
		err := m.retry(ctx, "read claims", func(ctx context.Context) error {
			revision, err := m.readClaims(ctx, node)
			if err != nil {
				return fmt.Errorf("read from %s where machines are plugged in: %w", m.Name(), explained(err))
			}
			m.problems.set("read claims", nil)
			return m.watchClaims(ctx, node, revision+1)
		})
		if err != nil {
			return err
		}
	}
}

// readClaims reads the claims of all hosts at one revision.
func (m *Member) readClaims(ctx context.Context, node Node) (revision int64, err error) {
	all, have := make(hosts.Stored), make(map[string]storedAt)
	dir := m.keys.cfg.Prefix + onDir
	for from := dir; ; {
		get, cancel := context.WithTimeout(ctx, requestTimeout)
		resp, err := m.keys.client.Get(get, from, clientv3.WithRange(clientv3.GetPrefixRangeEnd(dir)), clientv3.WithLimit(claimsPage), clientv3.WithRev(revision))
		cancel()
		if err != nil {
			return 0, err
		}
		if revision == 0 {
			revision = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			if strings.HasPrefix(string(kv.Key), m.ownClaims()) {
				have[string(kv.Key)] = storedAt{string(kv.Value), kv.ModRevision}
			}
			if host, port, c, ok := m.claimOf(kv); ok {
				if all[host] == nil {
					all[host] = make(map[string]hosts.Claim)
				}
				all[host][port] = c
			}
		}
		if !resp.More {
			break
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
	node.StoredClaims(all)
	m.claims.mu.Lock()
	m.claims.have = have
	m.claims.mu.Unlock()
	select {
	case m.claims.wake <- struct{}{}:
	default: // already awake
	}
	return revision, nil
}

// claimOf parses a claim. ok is false if it is malformed.
func (m *Member) claimOf(kv *mvccpb.KeyValue) (host, port string, c hosts.Claim, ok bool) {
	parts := strings.Split(strings.TrimPrefix(string(kv.Key), m.keys.cfg.Prefix+onDir), "/")
	if len(parts) != 3 {
		return "", "", c, false
	}
	host, err := url.PathUnescape(parts[0])
	port, bad := url.PathUnescape(parts[2])
	return host, port, c, err == nil && bad == nil && (len(kv.Value) == 0 || json.Unmarshal(kv.Value, &c) == nil)
}

// watchClaims follows changes of claims. It returns nil if they must be read again.
func (m *Member) watchClaims(ctx context.Context, node Node, from int64) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for resp := range m.keys.watcher.Watch(ctx, m.keys.cfg.Prefix+onDir, clientv3.WithPrefix(), clientv3.WithRev(from)) {
		if resp.CompactRevision != 0 {
			return nil
		}
		if err := resp.Err(); err != nil {
			return err
		}
		if changes := m.claimsChanged(resp.Events); len(changes) > 0 {
			node.StoredClaimsChanged(changes)
		}
	}
	return nil
}

// claimsChanged returns the changes of claims in events. A port may change its network: then its
// former key is deleted in the transaction that puts the new one.
func (m *Member) claimsChanged(events []*clientv3.Event) []hosts.StoredChange {
	type claimed struct{ host, port string }
	put := make(map[claimed]int64) // revisions
	gone := make(map[claimed]bool)
	changes := make(map[string]*hosts.StoredChange)
	for _, e := range events {
		if key := string(e.Kv.Key); strings.HasPrefix(key, m.ownClaims()) {
			m.claims.stored(key, storedAt{string(e.Kv.Value), e.Kv.ModRevision}, false)
		}
		host, port, c, ok := m.claimOf(e.Kv)
		if !ok {
			continue
		}
		change := changes[host]
		if change == nil {
			change = &hosts.StoredChange{Host: host, Put: make(map[string]hosts.Claim)}
			changes[host] = change
		}
		at := claimed{host, port}
		switch {
		case e.Type == clientv3.EventTypePut:
			put[at], change.Put[port] = e.Kv.ModRevision, c
			delete(gone, at)
		case put[at] != e.Kv.ModRevision:
			delete(change.Put, port)
			gone[at] = true
		}
	}
	for at := range gone {
		changes[at.host].Gone = append(changes[at.host].Gone, at.port)
	}
	var out []hosts.StoredChange
	for _, c := range changes {
		out = append(out, *c)
	}
	return out
}
