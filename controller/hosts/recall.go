package hosts

// Recall sets where machines were before this daemon started, by port. That counts for ports that no
// host claims, until the host there has reported its machines. It returns the ports whose place may
// differ.
func (t *Table) Recall(places map[string]string) (changed []string) {
	for port := range t.recalled {
		changed = append(changed, port)
	}
	t.recalled = make(map[string]string)
	for port, host := range places {
		p := t.peers[host]
		if reported := host == t.self && t.own != nil || host != t.self && (p == nil || p.known); !reported {
			t.recalled[port] = host
			changed = append(changed, port)
		}
	}
	return changed
}

// reported forgets what was recalled of a host. It returns the ports whose place may differ.
func (t *Table) reported(host string) (changed []string) {
	for port, at := range t.recalled {
		if at == host {
			delete(t.recalled, port)
			changed = append(changed, port)
		}
	}
	return changed
}
