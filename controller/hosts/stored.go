package hosts

// Hosts that share a store, such as etcd, also write their claims there. So hosts know the places of
// machines although messages are lost, and before the first message. Each claim in the store has the
// version of its host's claims, which messages have too. While messages of a host arrive, claims in the
// store count only if they are newer than the messages, because the store may be late.

// A Claim is a claim in the store.
type Claim struct {
	Turn    uint64 `json:"turn,omitempty"` // as in messages
	Run     uint64 `json:"run"`            // of the host's daemon that has made the claim, as in messages
	Version uint64 `json:"version"`        // of the host's claims when it was made, from 1
}

// A ClaimedPort is a port that this host claims.
type ClaimedPort struct{ Network, Port string }

// Stored has the claims in the store by host and port, also those of hosts that are not peers, and
// those that an earlier daemon of this host has made.
type Stored map[string]map[string]Claim

// A StoredChange is a change of the claims of a host in the store.
type StoredChange struct {
	Host string
	Put  map[string]Claim // by port
	Gone []string         // ports
}

// Share sets the claims in the store, which the Table reads from then on. It is called before SetPeers
// and SetOwn.
func (t *Table) Share(s Stored) { t.stored = s }

func (c Claim) claim(port string) claim { return claim{Port: port, Turn: c.Turn, seq: c.Version} }

// Replacement returns the changes that make s the claims in all.
func (s Stored) Replacement(all Stored) (changes []StoredChange) {
	for host, ports := range all {
		c := StoredChange{Host: host, Put: make(map[string]Claim)}
		for port, claim := range ports {
			if was, there := s[host][port]; !there || was != claim {
				c.Put[port] = claim
			}
		}
		changes = append(changes, c)
	}
	for host, ports := range s {
		c := StoredChange{Host: host}
		for port := range ports {
			if _, there := all[host][port]; !there {
				c.Gone = append(c.Gone, port)
			}
		}
		changes = append(changes, c)
	}
	return changes
}

// Apply applies a change.
func (s Stored) Apply(c StoredChange) {
	if s[c.Host] == nil {
		s[c.Host] = make(map[string]Claim)
	}
	for port, claim := range c.Put {
		s[c.Host][port] = claim
	}
	for _, port := range c.Gone {
		delete(s[c.Host], port)
	}
	if len(s[c.Host]) == 0 {
		delete(s, c.Host)
	}
}

// StoreChanged handles a change of a host's claims, which was applied to the Stored of Share. It returns
// the ports that may have another place now.
func (t *Table) StoreChanged(s StoredChange) (changed []string) {
	if s.Host == t.self {
		return t.earlierTurns(s.Put)
	}
	p := t.peers[s.Host]
	if p == nil {
		return nil
	}
	heard := p.known && p.alive
	for _, port := range s.Gone {
		if c, there := p.ports[port]; there && heard && c.seq == 0 {
			if p.left == nil {
				p.left = make(map[string]bool)
			}
			p.left[port] = true
			continue // its messages have the claim
		}
		changed = t.drop(changed, s.Host, p, port)
	}
	for port, c := range s.Put {
		if heard && (c.Run != p.is.run || c.Version <= p.is.seq) {
			continue // its messages have this claim, or have removed it
		}
		changed = t.put(changed, s.Host, p, c.claim(port))
	}
	t.keep(changed)
	return changed
}

// earlierTurns gives machines the turns that an earlier daemon of this host has given them.
func (t *Table) earlierTurns(claims map[string]Claim) (changed []string) {
	var put []claim
	for port, c := range claims {
		own, here := t.own[port]
		if !here || c.Run == t.run || c.Turn <= own.Turn {
			continue
		}
		own.Turn, own.seq = c.Turn, t.seq+1
		t.own[port] = own
		put, changed = append(put, own), append(changed, port)
	}
	t.sendDifference(put, nil)
	t.keep(changed)
	return changed
}

// Own returns the claims of this host, by port. It returns nil before the first SetOwn.
func (t *Table) Own() map[string]Claim {
	if t.own == nil {
		return nil
	}
	out := make(map[string]Claim, len(t.own))
	for port, c := range t.own {
		out[port] = Claim{Turn: c.Turn, Run: t.run, Version: c.seq}
	}
	return out
}
