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
	ours := false
	for _, o := range wt.objects {
		if o.Object.Kind != routing.KindPort || c.lifecycle == nil {
			continue
		}
		p, exists := w.intent.Index.Port(o.Object.ID)
		n, _ := w.intent.Index.Network(p.Network)
		if n.VNI != 0 && !w.lifecycle.Connected {
			return "OVSDB is not connected, so it is not known whether the machine of port " + p.ID + " is on this host"
		}
		reason, here := w.untaggedPort(o.Object.ID)
		if reason != "" {
			return reason
		}
		by := routing.CarrierOf(w.intent.Index, w.host, &n)
		if _, placed := slices.BinarySearch(w.plugged, p.ID); here && exists && !placed && (n.VNI != 0 || by == routing.ByUplink) {
			return fmt.Sprintf("the machine of port %s is being looked for on this host", p.ID)
		}
		ours = ours || here
	}
	if r := &w.lifecycle; (ours || wt.layout != 0 && r.Layout >= wt.layout) && !r.Tagged && len(r.Machines) > 0 {
		return "ovs-vswitchd has not applied the tags of machines yet"
	}
	return ""
}

// untaggedPort returns why the machine of a port does not have the tag of its network, "" if it has it.
// here reports whether the machine is on this host. Otherwise there is no reason.
func (w *world) untaggedPort(id string) (reason string, here bool) {
	tag, here := w.lifecycle.Machines[id]
	if !here {
		return "", false
	}
	var want uint16
	p, exists := w.intent.Index.Port(id)
	if n, _ := w.intent.Index.Network(p.Network); exists && n.VNI != 0 {
		if want = w.lifecycle.Tags[n.ID]; want == 0 {
			return fmt.Sprintf("network %s has no tag on this host yet", n.ID), true
		}
	}
	if tag != want {
		return fmt.Sprintf("the tag of port %s on the integration bridge is being set", id), true
	}
	return "", true
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
