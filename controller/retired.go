package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/internal/ownfile"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// An external bridge outlives its router. When a router is removed, our flows are deleted from
// its bridge, so that it stops forwarding. If the bridge is not connected, this happens when
// it connects. The intent may also change while no daemon runs. Therefore a file records the
// external bridges that may have flows of ours. A restart of the machine clears the flows, and
// also the file, which is on a temporary file system.

// An externalBridge is a bridge that ofdvr programs but does not own.
type externalBridge struct {
	Router     string       `json:"router"`
	Name       string       `json:"bridge,omitempty"`
	DatapathID ofproto.DPID `json:"datapath_id,omitempty"` // 0 if the name identifies the bridge
}

func externalBridgeOf(r *routing.Router) externalBridge {
	return externalBridge{r.ID, r.BridgeName(), r.Bridge.DatapathID}
}

// is reports whether b is the switch of s.
func (b externalBridge) is(s *session) bool {
	if b.DatapathID != 0 {
		return b.DatapathID == s.dpid
	}
	return b.Name == s.bridge
}

func (b externalBridge) String() string {
	if b.Name == "" {
		return "with datapath ID " + b.DatapathID.String()
	}
	return b.Name
}

// external records the external bridges that may have flows of ours.
type external struct {
	file    string // "" means no file
	loaded  bool
	unsaved bool                        // the last write of the file failed
	known   map[externalBridge]bool     // the value is true if the bridge was in the database of this daemon
	retired map[externalBridge]*session // the known bridges of removed routers; the value is nil if the bridge is not connected
}

// A keptBridge is the file's entry for a bridge.
type keptBridge struct {
	externalBridge
	Local bool `json:"local"`
}

// load reads the file, at the first call.
func (e *external) load(log *zap.Logger) {
	if e.loaded {
		return
	}
	e.loaded, e.known, e.retired = true, make(map[externalBridge]bool), make(map[externalBridge]*session)
	if e.file == "" {
		return
	}
	var list []keptBridge
	data, err := ownfile.ReadFile(e.file)
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("could not read which external bridges may have flows of ours, flows of routers that were removed while no daemon ran go on forwarding",
			zap.String("file", e.file), zap.Error(err))
	}
	for _, b := range list {
		e.known[b.externalBridge] = b.Local
	}
}

// save writes the file.
func (e *external) save(log *zap.Logger) {
	if e.file == "" {
		return
	}
	list := []keptBridge{}
	for _, b := range sortedBridges(e.known) {
		list = append(list, keptBridge{b, e.known[b]})
	}
	data, err := json.Marshal(list)
	if err == nil {
		err = ownfile.WriteFile(e.file, data, 0o600)
	}
	if err != nil && !e.unsaved {
		log.Warn("could not record which external bridges may have flows of ours, will retry; until then, flows of a router that is removed while no daemon runs go on forwarding", zap.Error(err))
	}
	e.unsaved = err != nil
}

func sortedBridges[V any](m map[externalBridge]V) []externalBridge {
	out := []externalBridge{}
	for b := range m {
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b externalBridge) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return out
}

// retire finds the bridges of removed routers. left has the sessions that have just lost their
// router.
func (c *Controller) retire(w *world, left []*session) {
	stop := func(s *session) {
		s.stop(fmt.Errorf("%w: bridge %s has no router any more", errStopping, s.bridge))
	}
	if !w.lead {
		for _, s := range left {
			stop(s)
		}
		return
	}
	e := &c.external
	e.load(c.log)
	changed := e.unsaved
	used := make(map[externalBridge]bool)
	inUse := make(map[externalBridge]bool) // keys have Router "", because another router may use the bridge now
	for r := range w.intent.Index.Routers("") {
		if r.Bridge.Managed {
			inUse[externalBridge{Name: r.BridgeName()}] = true
			continue
		}
		b := externalBridgeOf(r)
		used[b] = true
		if st := w.routers[r.ID]; st != nil && st.session != nil && e.note(b) {
			changed = true
		}
		b.Router = ""
		inUse[b] = true
	}
	for b := range e.known {
		anyone := b
		anyone.Router = ""
		s, waits := e.retired[b]
		switch {
		case used[b], !w.intent.Complete:
			if waits {
				delete(e.retired, b)
				if s != nil { // the router exists again
					stop(s)
				}
			}
		case inUse[anyone], w.uses(b): // the bridge's new router deletes the old flows
			delete(e.known, b)
			delete(e.retired, b)
			changed = true
			if s != nil { // the bridge goes to its new router
				stop(s)
			}
		case !waits:
			e.retired[b] = nil
		}
	}
	if changed {
		e.save(c.log)
	}
	if w.lifecycle.Connected {
		c.bridgesExist(w, w.lifecycle.Bridges)
	}
	for _, s := range left {
		if w.routerOf(s) != nil { // another router uses the bridge now
			stop(s)
			continue
		}
		if _, retired := c.clearBridge(w, s); !retired {
			stop(s)
		}
	}
	w.moved = true
}

// note records that b may have flows of ours, and reports whether that is new. It is called
// when b connects, because before that b has none of our flows.
func (e *external) note(b externalBridge) bool {
	if _, ok := e.known[b]; ok {
		return false
	}
	e.known[b] = false
	return true
}

// programs records that the bridge of r may have flows of ours from now on.
func (c *Controller) programs(w *world, r *routing.Router) {
	if e := &c.external; w.lead && !r.Bridge.Managed {
		e.load(c.log)
		if e.note(externalBridgeOf(r)) {
			e.save(c.log)
			if w.lifecycle.Connected {
				c.bridgesExist(w, w.lifecycle.Bridges)
			}
		}
	}
}

// uses reports whether a connected router is on bridge b, under its name or its datapath ID.
func (w *world) uses(b externalBridge) bool {
	for _, st := range w.routers {
		if st.session != nil && b.is(st.session) {
			return true
		}
	}
	return false
}

// taken removes the switch of s from the retired bridges, because a router uses it now. The
// entry may have another form, because the former router may have identified the bridge by its
// name or its datapath ID.
func (c *Controller) taken(w *world, s *session) {
	e := &c.external
	changed := false
	for b := range e.retired {
		if b.is(s) {
			delete(e.known, b)
			delete(e.retired, b)
			changed, w.moved = true, true
		}
	}
	if changed {
		e.save(c.log)
	}
}

// clearBridge starts to delete our flows from the switch of s, if that is a retired bridge. It
// returns the former router.
func (c *Controller) clearBridge(w *world, s *session) (router string, retired bool) {
	e := &c.external
	for b, old := range e.retired {
		if !b.is(s) {
			continue
		}
		if old != nil && old != s {
			old.displaced(s)
		}
		e.retired[b] = s
		if s.rec.Load() == nil {
			s.rec.Store(c.reconciler(w, s, b.Router))
		}
		s.rec.Load().Want(reconcile.Program{Generation: clearing, Foreign: reconcile.IgnoreForeign, Describe: describer(compile.Program{})})
		return b.Router, true
	}
	return "", false
}

// known returns the name or the datapath ID that identifies b.
func (b externalBridge) known() string {
	if b.DatapathID != 0 {
		return b.DatapathID.String()
	}
	return b.Name
}

// bridgesExist handles the names and datapath IDs of all bridges in the database. A bridge
// that has disappeared from the database has no flows.
func (c *Controller) bridgesExist(w *world, all map[string]bool) {
	e := &c.external
	changed := e.unsaved
	for b, local := range e.known {
		_, retired := e.retired[b]
		switch {
		case all[b.known()] && !local:
			e.known[b], changed = true, true
		case !all[b.known()] && local && retired:
			delete(e.known, b)
			delete(e.retired, b)
			changed, w.moved = true, true
		}
	}
	if changed {
		e.save(c.log)
	}
}

// clearing is the generation of the empty program that clears a bridge. No program has a
// higher generation.
const clearing = 1<<64 - 1

// cleared handles a report of s if its switch is a retired bridge. Otherwise it returns false.
func (c *Controller) cleared(w *world, s *session, r reconcile.Report) bool {
	e := &c.external
	for b, has := range e.retired {
		if has != s {
			continue
		}
		if r.Confirmed == clearing && r.State == reconcile.Settled {
			delete(e.retired, b)
			delete(e.known, b)
			e.save(c.log)
			c.log.Info("deleted the flows of a router that was removed", zap.String("router", b.Router), zap.Stringer("bridge", b))
			s.stop(fmt.Errorf("%w: router %s was removed", errStopping, b.Router))
		}
		w.moved = true
		return true
	}
	return false
}

// retiring returns the bridges that may still have flows of a router that was removed or has
// moved to another bridge.
func (c *Controller) retiring(router string) (out []externalBridge) {
	for _, b := range sortedBridges(c.external.retired) {
		if b.Router == router {
			out = append(out, b)
		}
	}
	return out
}

// retirementProblem returns the reason why a bridge still has the flows of a removed router.
func (c *Controller) retirementProblem(b externalBridge) string {
	if c.external.retired[b] != nil {
		return fmt.Sprintf("the flows of router %s, which was removed from bridge %s, are being deleted", b.Router, b)
	}
	text := fmt.Sprintf("router %s was removed from bridge %s, which is not connected: its flows go on forwarding, and are deleted when it connects", b.Router, b)
	if b.Name != "" {
		text += fmt.Sprintf(" (ovs-vsctl set-controller %s %s)", b.Name, c.target())
	}
	return text
}
