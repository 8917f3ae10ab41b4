package etcd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// A view is the state of the keys that this host has, at one revision.
type view struct {
	revision uint64
	complete bool
	dirs     map[string]bool   // directories of ports that are loaded, below the prefix
	homes    map[string]string // the networks of this host's machines, by iface-id; "" if the port does not exist
	ports    map[string]string // the network of each loaded port, by ID
	span     *routing.Span     // as last reported; nil: not known, or everything
}

// loading reports whether ports of the span are missing yet.
func (s *Store) loading(v *view) bool { return s.cfg.Host != "" && v.span == nil }

// Load reads the hosts, networks and routers, and the ports that this host needs, at one revision.
func (s *Store) Load(ctx context.Context) (ledger.Contents, error) {
	c := ledger.Contents{Model: new(routing.Model), Loaded: time.Now()}
	v, err := s.load(ctx, &c)
	if err != nil {
		if ctx.Err() != nil {
			return c, context.Cause(ctx)
		}
		return ledger.Contents{Model: new(routing.Model), Err: fmt.Errorf("read %s: %w", s.Name(), err), Loading: s.cfg.Host != ""}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view != nil {
		v.span = s.view.span
	}
	s.view = v
	c.Revision, c.Complete, c.Span, c.Loading = v.revision, v.complete, v.span, s.loading(v)
	if c.Loading {
		c.Span = new(routing.Span) // nothing
	}
	return c, nil
}

func (s *Store) load(ctx context.Context, c *ledger.Contents) (*view, error) {
	v := &view{dirs: make(map[string]bool), ports: make(map[string]string)}
	s.mu.Lock()
	machines := slices.Collect(maps.Keys(s.machines))
	for dir := range s.needs {
		v.dirs[dir] = true
	}
	s.mu.Unlock()
	get, cancel := context.WithTimeout(ctx, requestTimeout)
	resp, err := s.client.Get(get, s.cfg.Prefix+metaKey)
	cancel()
	if err != nil {
		return nil, err
	}
	v.revision = uint64(resp.Header.Revision)
	for _, kv := range resp.Kvs {
		m, err := parseMeta(kv.Value)
		if err != nil {
			return nil, err
		}
		v.complete = m.Complete
	}
	u := ledger.Update{Change: routing.Change{Put: *c.Model}}
	for _, dir := range slices.Concat([]string{hostDir, networkDir, routerDir}, slices.Sorted(maps.Keys(v.dirs))) {
		if dir != portDir && v.dirs[portDir] && strings.HasPrefix(dir, portDir) {
			continue // included
		}
		if err := s.list(ctx, dir, v.revision, func(kv *mvccpb.KeyValue) { s.put(v, kv, &u) }); err != nil {
			return nil, err
		}
	}
	*c.Model, c.Unusable = u.Change.Put, u.Unusable
	v.homes, err = s.homes(ctx, machines, v.revision)
	return v, err
}

// Limits of the answers of etcd while a directory is read.
const (
	firstPage = 100  // keys
	maxPage   = 5000 // keys
	pageBytes = 4 << 20
)

// list calls add for each key in a directory, at a revision.
func (s *Store) list(ctx context.Context, dir string, at uint64, add func(*mvccpb.KeyValue)) error {
	from := s.cfg.Prefix + dir
	end := clientv3.GetPrefixRangeEnd(from)
	for limit := int64(firstPage); ; {
		get, cancel := context.WithTimeout(ctx, requestTimeout)
		resp, err := s.client.Get(get, from, clientv3.WithRange(end), clientv3.WithLimit(limit), clientv3.WithRev(int64(at)))
		cancel()
		if err != nil {
			return err
		}
		size := int64(0)
		for _, kv := range resp.Kvs {
			size += int64(len(kv.Key) + len(kv.Value))
			add(kv)
		}
		if !resp.More {
			return nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
		limit = max(1, min(2*limit, maxPage, limit*pageBytes/max(size, 1)))
	}
}

// put adds the object of a key to u and v.
func (s *Store) put(v *view, kv *mvccpb.KeyValue, u *ledger.Update) {
	k := s.object(string(kv.Key))
	if k.kind == 0 {
		return
	}
	if k.kind == routing.KindPort {
		v.ports[k.id] = k.net
	}
	if err := k.parse(kv.Value, &u.Change.Put); err != nil {
		u.Unusable = append(u.Unusable, ledger.Unusable{Object: k.object(), Err: fmt.Errorf("key %s: %w", kv.Key, err)})
	}
}

// homes returns the networks of ports at a revision, "" for a port that does not exist.
func (s *Store) homes(ctx context.Context, ports []string, at uint64) (map[string]string, error) {
	const most = 100 // operations in a transaction
	homes := make(map[string]string, len(ports))
	for some := range slices.Chunk(ports, most) {
		var ops []clientv3.Op
		for _, id := range some {
			ops = append(ops, clientv3.OpGet(s.cfg.Prefix+homeOf(id), clientv3.WithRev(int64(at))))
		}
		get, cancel := context.WithTimeout(ctx, requestTimeout)
		resp, err := s.client.Txn(get).Then(ops...).Commit()
		cancel()
		if err != nil {
			return nil, err
		}
		for i, id := range some {
			homes[id] = ""
			for _, kv := range resp.Responses[i].GetResponseRange().Kvs {
				homes[id] = string(kv.Value)
			}
		}
	}
	return homes, nil
}
