package controller

import (
	"slices"

	"github.com/ofdvr/ofdvr/routing"
)

// The fabric bridge connects the host to other hosts. In the world it is a router without
// interfaces, whose ID is the name of the bridge.

// setFabric adds or removes the fabric bridge, as the intent requires. It returns the session of a
// removed one, or nil.
func (c *Controller) setFabric(w *world) (left *session) {
	spans := routing.Spans(w.intent.Index, c.cfg.Host)
	switch {
	case spans && w.fabric == nil:
		w.fabric = &routerState{router: &routing.Router{ID: routing.FabricBridge, Fallback: routing.FallbackNone,
			Bridge: routing.Bridge{Managed: true, Name: routing.FabricBridge}}}
	case !spans && w.fabric != nil:
		left, w.fabric = w.fabric.session, nil
	default:
		return nil
	}
	for id := range w.states() {
		w.dirty[id] = true
	}
	return left
}

// portsOf returns the names, sorted, of the ports that the bridge of st needs.
func (w *world) portsOf(st *routerState) (names []string) {
	if st == w.fabric {
		for n := range w.intent.Index.Networks("") {
			if n.VNI != 0 {
				names = append(names, n.FabricPort())
			}
		}
		for id := range w.routers {
			names = append(names, w.routers[id].router.FabricPort())
		}
		names = append(names, routing.TunnelGeneve.PortName(), routing.TunnelVXLAN.PortName())
	} else {
		for i := range st.router.Interfaces {
			f := &st.router.Interfaces[i]
			names = append(names, f.PatchName(), f.TapName())
		}
		names = append(names, st.router.FabricPeer())
	}
	slices.Sort(names)
	return names
}
