package hosts

import "maps"

// If a daemon forgot the turns of its machines, its restart could move a machine that several hosts
// claim. So their turns are kept outside of the daemon, where the next daemon finds them.

// keep begins to keep the turns of those of the ports that another host claims too.
func (t *Table) keep(ports []string) {
	for _, id := range ports {
		if c, here := t.own[id]; here && c.Turn > 0 && len(t.claims[id]) > 0 {
			t.kept[id] = true
		}
	}
}

// Turns returns the turns to keep for the next daemon, by port. It returns nil before the first
// SetOwn.
func (t *Table) Turns() map[string]uint64 {
	if t.own == nil {
		return nil
	}
	out := make(map[string]uint64, len(t.kept))
	for id := range maps.Keys(t.kept) {
		out[id] = t.own[id].Turn
	}
	return out
}
