package etcd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/controller/ledger"
)

// A hold is a request that waits until ports are loaded.
type hold struct {
	dirs  []string
	ready chan struct{} // closed when they are loaded
}

// Hold implements [ledger.Limited]. The ports stay some minutes longer than until release is called.
func (s *Store) Hold(ctx context.Context, objects ledger.Need) (release func(), err error) {
	if s.cfg.Host == "" {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	dirs := make(map[string]bool)
	if objects.All {
		dirs[portDir] = true
	}
	for _, id := range objects.Networks {
		dirs[portsOf(id)] = true
	}
	if !objects.All {
		networks, err := s.networksOf(ctx, objects.Ports)
		if err != nil {
			return nil, fmt.Errorf("find the networks of ports in %s: %w", s.Name(), err)
		}
		for _, id := range networks {
			dirs[portsOf(id)] = true
		}
	}
	h := &hold{slices.Sorted(maps.Keys(dirs)), make(chan struct{})}
	s.mu.Lock()
	for _, dir := range h.dirs {
		n := s.needs[dir]
		n.held++
		s.needs[dir] = n
	}
	if loaded := s.loaded(h.dirs); loaded {
		close(h.ready)
	} else {
		s.holds[h] = true
	}
	s.mu.Unlock()
	release = func() { s.release(h) }
	signal(s.wake)
	select {
	case <-h.ready:
		return release, nil
	case <-ctx.Done():
		release()
		return nil, fmt.Errorf("read the ports that the request needs from %s: %w", s.Name(), context.Cause(ctx))
	}
}

// networksOf returns the networks of ports. It asks etcd for ports that are not in the intent.
func (s *Store) networksOf(ctx context.Context, ports []string) (networks []string, err error) {
	s.mu.Lock()
	x := s.index
	s.mu.Unlock()
	var unknown []string
	for _, id := range ports {
		if x == nil {
			unknown = append(unknown, id)
		} else if p, ok := x.Port(id); ok {
			networks = append(networks, p.Network)
		} else {
			unknown = append(unknown, id)
		}
	}
	homes, err := s.homes(ctx, unknown, 0)
	for _, network := range homes {
		if network != "" {
			networks = append(networks, network)
		}
	}
	return networks, err
}

func (s *Store) release(h *hold) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.holds, h)
	for _, dir := range h.dirs {
		n := s.needs[dir]
		n.held--
		n.until = time.Now().Add(s.cfg.HoldLinger)
		s.needs[dir] = n
	}
}

// loaded reports whether directories are in the view. It is called with s.mu held.
func (s *Store) loaded(dirs []string) bool {
	return s.view != nil && !slices.ContainsFunc(dirs, func(dir string) bool { return !s.view.dirs[dir] && !s.view.dirs[portDir] })
}

// satisfy answers the requests whose ports are loaded.
func (s *Store) satisfy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.holds {
		if s.loaded(h.dirs) {
			close(h.ready)
			delete(s.holds, h)
		}
	}
}
