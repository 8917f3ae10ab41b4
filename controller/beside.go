package controller

import (
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/lifecycle"
)

// lifecycleIntent returns the part of the intent that the lifecycle uses.
func lifecycleIntent(s *ledger.Intent) lifecycle.Intent {
	return lifecycle.Intent{Layout: s.Layout, Index: s.Index, Complete: s.Complete}
}

// lifecyclePassed records a report of the lifecycle.
func (c *Controller) lifecyclePassed(w *world, r lifecycle.Report) {
	w.lifecycle, w.moved, w.unjudgedAll = r, true, true
	if r.Connected {
		c.bridgesExist(w, r.Bridges)
	}
	if r.Plugged != nil {
		w.machines = r.Machines
		c.machinesPlugged(w, r.Plugged)
	}
}

// Stuck describes work that has taken so long that it will probably never finish, or returns
// "" if there is no such work.
func (c *Controller) Stuck() string {
	if c.stuck == nil {
		return ""
	}
	return c.stuck()
}
