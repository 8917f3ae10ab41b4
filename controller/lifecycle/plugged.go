package lifecycle

import (
	"slices"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// plugged returns the IDs, sorted, of the ports on networks with a VNI whose machines are plugged
// into the integration bridge; nil if the database is not known or has no integration bridge.
func (l *Lifecycle) plugged() []string {
	b := l.database.rows.bridges[l.cfg.IntegrationBridge]
	if b == nil || l.want.Index == nil {
		return nil
	}
	out := []string{}
	for i := range b.Ports {
		for _, f := range b.Ports[i].Interfaces {
			if p, ok := l.want.Index.Port(f.ExternalIDs[ovsdb.KeyIfaceID]); ok {
				if n, _ := l.want.Index.Network(p.Network); n.VNI != 0 {
					out = append(out, p.ID)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
