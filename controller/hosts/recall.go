package hosts

// Recall sets the host of each machine before this daemon started, by port. It is used for a port
// that no host claims, until that host has reported its machines. Recall returns the ports that may
// have got another place.
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

// reported forgets the recalled places on a host. It returns the ports that may have got another
// place.
func (t *Table) reported(host string) (changed []string) {
	for port, at := range t.recalled {
		if at == host {
			delete(t.recalled, port)
			changed = append(changed, port)
		}
	}
	return changed
}
