package etcd

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
)

// Held is the value of the key span/<host>: the networks whose ports the host has for its machines.
type Held struct {
	All      bool     `json:"all,omitempty"`
	Networks []string `json:"networks,omitempty"` // sorted IDs
}

// A need is the reason why this host has the ports of a directory.
type need struct {
	spanned bool      // it is in the span
	held    int       // number of requests that hold it
	until   time.Time // requests held it shortly before
}

func (n need) kept(now time.Time) bool { return n.spanned || n.held > 0 || now.Before(n.until) }

// machinesNow returns the iface-ids of the machines on this host, nil if they are not known.
func (s *Store) machinesNow() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.machines
}

// steer starts and ends watches, so that this host has the ports that it needs, and reports the
// span.
func (f *follower) steer(ctx context.Context) error {
	if f.cfg.Host == "" {
		f.satisfy()
		return nil
	}
	now := time.Now()
	f.mu.Lock()
	machines, index := f.machines, f.index
	f.mu.Unlock()
	for id := range f.view.homes {
		if !machines[id] {
			f.end(homeOf(id))
			delete(f.view.homes, id)
		}
	}
	var ports []string
	for id := range machines {
		if f.watches[homeOf(id)] == nil {
			ports = append(ports, id)
		}
	}
	known := machines != nil && index != nil && len(f.view.homes) == len(machines)
	if known {
		f.wanted = routing.SpanOf(index, f.cfg.Host, f.local(index, machines))
	}
	span := f.wantedNow(now)
	dirs := f.mark(span, now)
	if len(ports)+len(dirs) > 0 && f.reading == nil {
		f.readMore(ctx, ports, dirs)
	}
	f.satisfy()
	return f.narrow(span, now)
}

// local returns the networks with machines on this host.
func (f *follower) local(x *routing.Index, machines map[string]bool) map[string]bool {
	local := make(map[string]bool)
	for id := range machines {
		if n := f.view.homes[id]; n != "" {
			local[n] = true
		}
		if p, ok := x.Port(id); ok { // perhaps of a file
			local[p.Network] = true
		}
	}
	return local
}

// wantedNow returns the span with the parts that this host needed until a short time ago. It returns
// nil if the span is not known.
func (f *follower) wantedNow(now time.Time) *routing.Span {
	n, old := f.wanted, f.view.span
	if n == nil || old == nil || n.All {
		clear(f.lapse)
		return n
	}
	stays := func(key string, wanted bool) bool {
		if wanted {
			delete(f.lapse, key)
			return true
		}
		if f.lapse[key].IsZero() {
			f.lapse[key] = now.Add(f.cfg.Linger)
		}
		if now.Before(f.lapse[key]) {
			return true
		}
		delete(f.lapse, key)
		return false
	}
	if old.All {
		if stays("*", false) {
			return old
		}
		return n
	}
	s := &routing.Span{Networks: maps.Clone(n.Networks), Routers: maps.Clone(n.Routers)}
	for id := range old.Networks {
		if stays(networkDir+id, n.Networks[id]) {
			s.Networks[id] = true
		}
	}
	for id := range old.Routers {
		if stays(routerDir+id, n.Routers[id]) {
			s.Routers[id] = true
		}
	}
	return s
}

// dirsOf returns the directories of ports of a span.
func dirsOf(s *routing.Span) map[string]bool {
	dirs := make(map[string]bool)
	switch {
	case s == nil:
	case s.All:
		dirs[portDir] = true
	default:
		for id := range s.Networks {
			dirs[portsOf(id)] = true
		}
	}
	return dirs
}

// mark records the directories that s needs, and returns those that must be read.
func (f *follower) mark(s *routing.Span, now time.Time) (missing []string) {
	dirs := dirsOf(s)
	f.mu.Lock()
	defer f.mu.Unlock()
	for dir := range dirs {
		n := f.needs[dir]
		n.spanned = true
		f.needs[dir] = n
	}
	for dir, n := range f.needs {
		if n.spanned && s != nil && !dirs[dir] {
			n.spanned = false
			f.needs[dir] = n
		}
		if n.kept(now) && f.watches[dir] == nil {
			missing = append(missing, dir)
		}
	}
	slices.Sort(missing)
	return missing
}

// narrow reports the span when all its ports are loaded, and drops the ports that are no longer
// needed.
func (f *follower) narrow(next *routing.Span, now time.Time) error {
	if f.away {
		return nil
	}
	var u ledger.Update
	changed := false
	if next != nil && !(f.view.span != nil && next.Equal(f.view.span)) && f.have(next) {
		f.mu.Lock()
		f.view.span, changed = next, true
		f.mu.Unlock()
		f.publish(next)
	}
	var drop []string
	f.mu.Lock()
	for dir, n := range f.needs {
		if !n.kept(now) {
			drop = append(drop, dir)
			delete(f.needs, dir)
			delete(f.view.dirs, dir)
		}
	}
	f.mu.Unlock()
	for _, dir := range drop {
		f.end(dir)
	}
	if len(drop) > 0 && !f.view.dirs[portDir] {
		for id, network := range f.view.ports {
			if !f.view.dirs[portsOf(network)] {
				u.Change.Delete.Ports = append(u.Change.Delete.Ports, id)
				delete(f.view.ports, id)
				changed, u.Part = true, true
			}
		}
	}
	if !changed {
		return nil
	}
	return f.tell(u)
}

// have reports whether all ports of s are loaded.
func (f *follower) have(s *routing.Span) bool {
	if f.view.dirs[portDir] {
		return true
	}
	for dir := range dirsOf(s) {
		if !f.view.dirs[dir] {
			return false
		}
	}
	return true
}

// publish makes s the value of the key span/<host>.
func (f *follower) publish(s *routing.Span) {
	held := Held{All: s.All, Networks: slices.Sorted(maps.Keys(s.Networks))}
	value, _ := json.Marshal(held) // cannot fail
	f.mu.Lock()
	f.spanValue = string(value)
	f.mu.Unlock()
	signal(f.spans)
}

// writeSpan writes the key span/<host> whenever it has another value.
func (s *Store) writeSpan(ctx context.Context) {
	key := s.cfg.Prefix + spanDir + url.PathEscape(s.cfg.Host)
	failed := false
	s.mu.Lock()
	if s.spanValue != "" {
		signal(s.spans)
	}
	s.mu.Unlock()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.spans:
		case <-again:
		}
		s.mu.Lock()
		value := s.spanValue
		s.mu.Unlock()
		again = nil
		if err := s.write(ctx, key, value); err != nil && ctx.Err() == nil {
			if !failed {
				s.cfg.Log.Warn("could not write the networks of this host to etcd, will retry; until then, other hosts do not wait for this host", zap.String("key", key), zap.Error(err))
			}
			failed, again = true, time.After(jitter(restPause))
		} else if err == nil {
			failed = false
		}
	}
}

// write gives a key a value if it has another one.
func (s *Store) write(ctx context.Context, key, value string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := s.client.Get(ctx, key)
	if err != nil || len(resp.Kvs) > 0 && string(resp.Kvs[0].Value) == value {
		return err
	}
	_, err = s.client.Put(ctx, key, value)
	return err
}
