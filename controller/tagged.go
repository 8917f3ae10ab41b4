package controller

import (
	"fmt"
	"slices"

	"github.com/ofdvr/ofdvr/routing"
)

// This file makes waiters wait for the machines of this host. Packets of a machine on a network
// between hosts pass only under two conditions. The port on the integration bridge has the
// network's tag, and the flows are compiled with the machine on this host.

// If a machine of this host has a port in the write of wt, and does not have the right tag yet,
// untagged returns why. Otherwise it returns "".
func (c *Controller) untagged(w *world, wt *waiter) string {
	r, ours := &w.lifecycle, false
	for _, o := range wt.objects {
		if o.Object.Kind != routing.KindPort || c.lifecycle == nil {
			continue
		}
		p, exists := w.intent.Index.Port(o.Object.ID)
		n, _ := w.intent.Index.Network(p.Network)
		tag, here := r.Machines[o.Object.ID]
		if n.VNI != 0 && !r.Connected {
			return "OVSDB is not connected, so it is not known whether the machine of port " + p.ID + " is on this host"
		}
		if !here {
			continue
		}
		var want uint16
		if exists && n.VNI != 0 {
			if want = r.Tags[n.ID]; want == 0 {
				return fmt.Sprintf("network %s has no tag on this host yet", n.ID)
			}
		}
		if tag != want {
			return fmt.Sprintf("the tag of port %s on the integration bridge is being set", o.Object.ID)
		}
		by := routing.CarrierOf(w.intent.Index, w.host, &n)
		if _, placed := slices.BinarySearch(w.plugged, p.ID); exists && !placed && (n.VNI != 0 || by == routing.ByUplink) {
			return fmt.Sprintf("the machine of port %s is being looked for on this host", p.ID)
		}
		ours = true
	}
	if (ours || wt.layout != 0 && r.Layout >= wt.layout) && !r.Tagged && len(r.Machines) > 0 {
		return "ovs-vswitchd has not applied the tags of machines yet"
	}
	return ""
}

// awaitPlaces makes wt wait for the flows that are compiled with its machines on this host. The
// machines have their tags.
func (w *world) awaitPlaces(wt *waiter) {
	if wt.placed != nil {
		return
	}
	wt.placed = make(map[string]uint64)
	for _, o := range wt.objects {
		if _, here := w.lifecycle.Machines[o.Object.ID]; !here || o.Object.Kind != routing.KindPort {
			continue
		}
		for id := range w.touched(wt.routers) {
			if st := w.state(id); st != nil {
				wt.placed[id] = st.gen
			}
		}
		return
	}
}
