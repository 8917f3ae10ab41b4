package lifecycle

import (
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// formerMACs announces MAC addresses that changed while no daemon ran. It compares the
// addresses in the intent with the addresses stored in the database, at the patch ports of the
// integration bridge.
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
