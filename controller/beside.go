package controller

import (
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/lifecycle"
)

// lifecycleIntent is what of the intent matters to the lifecycle.
func lifecycleIntent(s *ledger.State) lifecycle.Intent {
	return lifecycle.Intent{Layout: s.Layout, Index: s.Index, Complete: s.Complete}
}

// lifecyclePassed takes in how far the lifecycle has come.
func (c *Controller) lifecyclePassed(w *world, r lifecycle.Report) {
	w.lifecycle, w.moved = r, true
	if r.Connected {
		c.bridgesExist(w, r.Bridges)
	}
}

// Stuck says what the controller has not finished for so long that it probably never
// will, "" if that is nothing.
func (c *Controller) Stuck() string {
	if c.stuck == nil {
		return ""
	}
	return c.stuck()
}
