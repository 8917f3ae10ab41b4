package hosts

import (
	"maps"
	"slices"
	"time"
)

// Received handles a frame. from is the ID of the host at the other end of the tunnel. Received
// returns the ports that may have another place now, and the number of the answered probe, or 0. If
// it ignores the frame, the error has the reason.
func (t *Table) Received(from string, frame []byte, now time.Time) (changed []string, echo uint64, err error) {
	m, err := parse(frame)
	if err != nil {
		return nil, 0, err
	}
	p := t.peers[from]
	if p == nil || m.Host != from {
		return nil, 0, errNotAMessage
	}
	p.heard = now
	changed = t.judge(from, p, now)
	if is := (version{m.Run, m.Claims}); is.newer(p.latest) {
		p.latest = is
	}
	switch {
	case m.Part > 0:
		changed = append(changed, t.part(from, p, m)...)
	case len(m.Put)+len(m.Gone) > 0:
		changed = append(changed, t.difference(from, p, m)...)
	default:
		p.version, p.intent, p.deaf = m.Version, m.Intent, m.Deaf
		if m.Want {
			p.send.all, t.outbox.pending = true, true
		}
		if m.Probe != 0 && len(p.send.echoes) < maxEchoes {
			p.send.echoes, t.outbox.pending = append(p.send.echoes, m.Probe), true
		}
	}
	if m.Part == 0 { // the other parts may be on their way
		t.ask(p, now)
	}
	t.keep(changed)
	return changed, m.Echo, nil
}

// judge updates p.alive. If it has changed, judge returns the ports that p claims.
func (t *Table) judge(id string, p *peer, now time.Time) (changed []string) {
	alive := !p.heard.IsZero() && now.Sub(p.heard) < Silence
	if alive == p.alive {
		return nil
	}
	p.alive = alive
	changed = slices.Collect(maps.Keys(p.ports))
	if !alive {
		for port := range p.left {
			changed = t.drop(changed, id, p, port)
		}
	}
	p.left = nil
	return changed
}

// difference handles a change of a host's claims. It returns the ports with changed claims. If an
// earlier change is missing, it ignores m.
func (t *Table) difference(id string, p *peer, m message) (changed []string) {
	if !p.known || p.is != (version{m.Run, m.Claims - 1}) {
		return nil
	}
	p.is.seq = m.Claims
	for _, port := range m.Gone {
		changed = t.drop(changed, id, p, port)
	}
	for _, c := range m.Put {
		changed = t.put(changed, id, p, c)
	}
	return changed
}

// part handles a part of a host's claims. It returns the ports that may have another place
// now.
func (t *Table) part(id string, p *peer, m message) (changed []string) {
	is := version{m.Run, m.Claims}
	if p.known && !is.newer(p.is) || is.run == p.newer.run && is.seq < p.newer.seq {
		return nil // known, or late
	}
	if is != p.newer || p.parts == nil {
		p.newer, p.parts = is, make(map[int][]claim)
	}
	if p.of = m.Parts; m.Part > p.of {
		return nil
	}
	p.parts[m.Part] = m.Ports
	if len(p.parts) < p.of {
		return nil
	}
	ports := make(map[string]claim)
	for _, part := range p.parts {
		for _, c := range part {
			ports[c.Port] = c
		}
	}
	p.is, p.known, p.parts = is, true, nil
	return append(t.replace(id, p, ports), t.reported(id)...)
}

// replace replaces the claims of a peer. It returns the ports with changed claims.
func (t *Table) replace(id string, p *peer, ports map[string]claim) (changed []string) {
	for _, port := range slices.Collect(maps.Keys(p.ports)) {
		if _, there := ports[port]; !there {
			changed = t.drop(changed, id, p, port)
		}
	}
	for _, c := range ports {
		changed = t.put(changed, id, p, c)
	}
	return changed
}

// drop removes the claim of a peer for a port. If it existed, drop adds the port to changed.
func (t *Table) drop(changed []string, id string, p *peer, port string) []string {
	if _, there := p.ports[port]; !there {
		return changed
	}
	delete(p.ports, port)
	delete(p.left, port)
	if delete(t.claims[port], id); len(t.claims[port]) == 0 {
		delete(t.claims, port)
	}
	return append(changed, port)
}

// put sets the claim of a peer for a port. If it has changed, put adds the port to changed.
func (t *Table) put(changed []string, id string, p *peer, c claim) []string {
	if old, there := p.ports[c.Port]; there && old == c {
		return changed
	}
	if p.ports == nil {
		p.ports = make(map[string]claim)
	}
	if t.claims[c.Port] == nil {
		t.claims[c.Port] = make(map[string]claim)
	}
	p.ports[c.Port], t.claims[c.Port][id] = c, c
	delete(p.left, c.Port)
	return append(changed, c.Port)
}
