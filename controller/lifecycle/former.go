package lifecycle

import (
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// formerMACs compares the MAC addresses that the patch ports' ends on the integration bridge have
// noted with those of the intent: what differs has changed while no daemon ran.
func (p *pass) formerMACs(state ovsdb.State) {
	b, ok := state.Bridge(p.cfg.IntegrationBridge)
	if !ok || p.cfg.Moved == nil {
		return
	}
	for _, m := range p.routers {
		r := m.Router
		var as []compile.Announcement
		for i := range r.Interfaces {
			f := &r.Interfaces[i]
			row, ok := b.Interface(f.PeerName())
			if !ok || f.Down || row.ExternalIDs[ovsdb.KeyOwner] != ovsdb.Owner {
				continue
			}
			if mac, err := ofproto.ParseMAC(row.ExternalIDs[ovsdb.KeyAttachedMAC]); err == nil && mac != f.MAC {
				as = append(as, compile.Moved(p.want.Index, f, mac)...)
			}
		}
		if len(as) > 0 {
			p.cfg.Moved(r.ID, as)
		}
	}
}
