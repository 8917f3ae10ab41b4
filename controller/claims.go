package controller

import "github.com/ofdvr/ofdvr/controller/hosts"

// Hosts that share a store claim their machines there too.

// shareClaims calls [Config.Claims] if the claims of this host may have changed. It does not call it
// while the intent or the machines are not completely known.
func (c *Controller) shareClaims(w *world) {
	known := w.intent.Complete && w.plugged != nil && w.lifecycle.Layout >= w.intent.Layout
	if !w.claims || c.cfg.Claims == nil || !known {
		return
	}
	w.claims = false
	claims := make(map[hosts.ClaimedPort]hosts.Claim)
	if w.hosts != nil {
		for port, claim := range w.hosts.Own() {
			if p, ok := w.intent.Index.Port(port); ok {
				claims[hosts.ClaimedPort{Network: p.Network, Port: port}] = claim
			}
		}
	}
	c.cfg.Claims(claims)
}

// StoredClaims sets all claims of hosts in the store that hosts share. all must not be changed
// afterwards.
func (c *Controller) StoredClaims(all hosts.Stored) { c.post(claimsStored{all: all}) }

// StoredClaimsChanged changes the claims that StoredClaims has set.
func (c *Controller) StoredClaimsChanged(changes []hosts.StoredChange) {
	c.post(claimsStored{changes: changes})
}

func (c *Controller) claimsStored(w *world, all hosts.Stored, changes []hosts.StoredChange) {
	if all != nil {
		changes = w.stored.Replacement(all)
	}
	var changed []string
	for _, s := range changes {
		w.stored.Apply(s)
		if w.hosts != nil {
			changed = append(changed, w.hosts.StoreChanged(s)...)
		}
	}
	if len(changed) > 0 {
		w.move(changed)
		c.keepTurns(w.hosts.Turns())
		w.claims = true
	}
}
