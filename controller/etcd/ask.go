package etcd

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ofdvr/ofdvr/controller/inquiry"
)

// Questions to the daemons of all hosts, below the prefix. Both keys have leases, because nothing
// else deletes them if their writer ends.
//
//	ask/<id>            a question
//	said/<host>/<id>    the answer of a host
//	alive/<host>        the host's daemon is connected to etcd
const askDir = askKey + "/"

const (
	// askLease is the time in seconds after which questions and answers are deleted.
	askLease = 60
	// lookEvery is the time between looks whether a host that has not answered is alive.
	lookEvery = time.Second
)

// Ask asks hosts, and returns an answer for each, by host. The deadline of ctx limits the time for the
// answers. Ask waits for the hosts that are alive, or for all hosts if none is. A host that has not
// answered has an Error with the reason. Ask does not ask q.From.
func (s *Store) Ask(ctx context.Context, q inquiry.Question, hosts []string) ([]inquiry.Answer, error) {
	began := time.Now()
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("ask other hosts: no time limit")
	}
	q.Millis = max(1, time.Until(deadline).Milliseconds())
	value, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if len(value) > inquiry.MaxQuestion {
		return nil, fmt.Errorf("ask other hosts: the question has %d bytes, and at most %d are allowed", len(value), inquiry.MaxQuestion)
	}
	a := asking{Store: s, began: began, id: rand.Text(), got: make(map[string]inquiry.Answer), waiting: make(map[string]bool)}
	for _, h := range hosts {
		if h != q.From {
			a.waiting[h] = true
		}
	}
	if len(a.waiting) == 0 {
		return nil, nil
	}
	alive, err := s.alive(ctx)
	if err == nil {
		err = a.put(ctx, value)
	}
	switch {
	case isDenied(err):
		name, _ := s.identity() // if it cannot be read, the text has no name
		return nil, fmt.Errorf("ask other hosts: %w: the daemon's user %q in %s may not write keys below %s. Run the command on a host that may, or make this host a writer: ofdvr etcd init --writers %s",
			inquiry.ErrForbidden, name, s.Name(), s.cfg.Prefix+askDir, cmp.Or(name, "NAME"))
	case err != nil:
		return nil, fmt.Errorf("ask other hosts through %s: %w", s.Name(), err)
	}
	defer a.end()
	a.collect(ctx, alive)
	return a.answers(), nil
}

// asking is a question that waits for answers.
type asking struct {
	*Store
	began    time.Time
	id       string
	lease    clientv3.LeaseID
	revision int64 // of the question
	got      map[string]inquiry.Answer
	waiting  map[string]bool // hosts without an answer
	alive    map[string]bool // at the last look; nil if it is not known
}

// put writes the question.
func (a *asking) put(ctx context.Context, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	lease, err := a.client.Grant(ctx, askLease)
	if err != nil {
		return err
	}
	a.lease = lease.ID
	resp, err := a.client.Put(ctx, a.cfg.Prefix+askDir+a.id, string(value), clientv3.WithLease(lease.ID))
	if err != nil {
		a.end()
		return err
	}
	a.revision = resp.Header.Revision
	return nil
}

// end deletes the question. If that fails, its lease does it later.
func (a *asking) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	a.client.Revoke(ctx, a.lease)
}

// collect collects answers until all hosts that are alive have answered, or ctx is done.
func (a *asking) collect(ctx context.Context, alive map[string]bool) {
	a.alive = alive
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	next := a.revision
	for !a.done() && ctx.Err() == nil {
		ending, cancel := context.WithCancel(ctx)
		watch := a.watcher.Watch(clientv3.WithRequireLeader(ending), a.cfg.Prefix+saidDir, clientv3.WithPrefix(), clientv3.WithRev(next), clientv3.WithFilterDelete())
		for lost := false; !lost && !a.done() && ctx.Err() == nil; {
			select {
			case <-ctx.Done():
			case <-look.C:
				if now, err := a.Store.alive(ctx); err == nil {
					a.alive = now
				}
			case resp, ok := <-watch:
				lost = !ok || resp.Err() != nil
				for _, e := range resp.Events {
					a.take(string(e.Kv.Key), e.Kv.Value)
					next = e.Kv.ModRevision
				}
				next = max(next, resp.CompactRevision)
			}
		}
		cancel()
		if !a.done() {
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
			a.read(ctx)
		}
	}
	if len(a.waiting) > 0 {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if now, err := a.Store.alive(late); err == nil {
			a.alive = now
		}
	}
}

// done reports whether all hosts that are alive have answered.
func (a *asking) done() bool {
	if len(a.alive) == 0 {
		return len(a.waiting) == 0
	}
	for h := range a.waiting {
		if a.alive[h] {
			return false
		}
	}
	return true
}

// read takes the answers that lie in etcd, in case the watch has missed them.
func (a *asking) read(ctx context.Context) {
	for h := range maps.Clone(a.waiting) {
		if !a.alive[h] && len(a.alive) > 0 {
			continue
		}
		key := a.cfg.Prefix + saidDir + url.PathEscape(h) + "/" + a.id
		resp, err := a.client.Get(ctx, key)
		if err != nil {
			return
		}
		for _, kv := range resp.Kvs {
			a.take(key, kv.Value)
		}
	}
}

// take takes an answer if it is one to this question.
func (a *asking) take(key string, value []byte) {
	host, id, _ := strings.Cut(strings.TrimPrefix(key, a.cfg.Prefix+saidDir), "/")
	host, err := url.PathUnescape(host)
	if err != nil || id != a.id || !a.waiting[host] {
		return
	}
	answer, err := inquiry.Decode(value)
	if err != nil {
		answer = inquiry.Answer{Error: fmt.Sprintf("its answer cannot be read: %v", err)}
	}
	answer.Host, answer.Came = host, time.Now()
	a.got[host] = answer
	delete(a.waiting, host)
}

// answers returns an answer for each host.
func (a *asking) answers() []inquiry.Answer {
	waited := time.Since(a.began).Round(100 * time.Millisecond)
	for h := range a.waiting {
		reason := fmt.Sprintf("no answer within %v, although its daemon is connected to etcd: it is too slow, or its ofdvr is too old to answer", waited)
		switch {
		case len(a.alive) == 0:
			reason = fmt.Sprintf("no answer within %v", waited)
		case !a.alive[h]:
			reason = "not alive: its daemon is not connected to etcd. Check whether ofdvr runs there, and whether it reaches etcd"
		}
		a.got[h] = inquiry.Answer{Host: h, Error: reason}
	}
	out := slices.Collect(maps.Values(a.got))
	slices.SortFunc(out, func(x, y inquiry.Answer) int { return strings.Compare(x.Host, y.Host) })
	return out
}

// alive returns the hosts whose daemons are connected to etcd.
func (s *Store) alive(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	dir := s.cfg.Prefix + aliveDir
	resp, err := s.client.Get(ctx, dir, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		if id, err := url.PathUnescape(strings.TrimPrefix(string(kv.Key), dir)); err == nil {
			out[id] = true
		}
	}
	return out, nil
}
