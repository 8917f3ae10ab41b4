package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// readers is the number of switches that are read at a time.
const readers = 8

// switches compares the installed flows, groups and meters of each bridge with the
// desired ones.
func (e *examination) switches(ctx context.Context) error {
	type reading struct {
		held reconcile.Holdings
		err  error
	}
	readings := make([]reading, len(e.Routers))
	var g errgroup.Group
	g.SetLimit(readers)
	share := e.Budget.Share("") // shared by all switches
	defer share.Free()
	for i, r := range e.Routers {
		if r.Conn != nil {
			g.Go(func() error {
				readings[i].held, _, readings[i].err = reconcile.Connected{Conn: r.Conn}.Read(ctx, reconcile.Known{
					Want: reconcile.Holdings{Flows: r.Program.Flows, Groups: r.Program.Groups, Meters: r.Program.Meters}, Ours: ours,
					OursGroup: compile.OursGroup, OursMeter: compile.OursMeter, Share: share})
				return nil
			})
		}
	}
	g.Wait()
	equal := 0
	for i, r := range e.Routers {
		about := "router " + r.ID
		if r.ID == routing.FabricBridge {
			about = "bridge " + r.ID
		}
		if r.Conn == nil {
			continue // method rest reports this problem, with its reason
		}
		if err := readings[i].err; err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("examine the flows of bridge %s: %w", r.Switch, err)
			}
			e.find(Problem, about, "see the log of ovs-vswitchd", "the flows of bridge %s cannot be read: %v", r.Switch, err)
			continue
		}
		if lacks := compile.CanAll &^ r.Can; lacks != 0 && r.Probed {
			e.find(Note, about, "a newer Open vSwitch, or another datapath, can do more", "the switch lacks features, and the kernel handles the packets that need them: %v", strings.Join(lacks.Names(), ", "))
		}
		says, kept := differs(readings[i].held, r.Program, r.Keep)
		if kept > 0 {
			e.find(Note, about, "the daemon deletes them as soon as it knows the whole intent: see the problems of the topology and of the router",
				"bridge %s keeps %s that may not be needed", r.Switch, count(kept, "flow"))
		}
		if says != "" {
			if r.State == reconcile.Settled {
				e.find(Problem, about, "look again in a moment: ofdvr repairs it when it notices, at the latest at the next audit", "bridge %s %s", r.Switch, says)
			} else {
				e.find(Note, about, "", "bridge %s %s, and is being changed (%v)", r.Switch, says, r.State)
			}
			continue
		}
		equal++
	}
	if equal > 0 {
		e.find(Fine, "flows", "", "%s exactly the desired flows, groups and meters", plural(equal, "bridge holds", "bridges hold"))
	}
	return e.moving(ctx)
}

func ours(c ofproto.Cookie) bool { _, ours := compile.RoleOf(c); return ours }

// differs describes the differences between a switch and its program, or
// returns "". It ignores flows, groups and meters of other programs, and
// learned flows. A flow that is not in the program but that keep selects is a
// kept flow. It also ignores kept flows, and the groups and meters that they
// need. differs also returns the number of kept flows.
func differs(held reconcile.Holdings, p compile.Program, keep func(ofproto.Cookie) bool) (says string, kept int) {
	ours := held.Flows.Without(func(f ofproto.Flow) bool {
		_, mine := compile.RoleOf(f.Cookie)
		_, wanted := p.Flows.Get(f.FlowKey)
		return !mine && !wanted || compile.IsPassing(f.Cookie)
	})
	d := ofproto.Diff(ours, p.Flows)
	groups := slices.DeleteFunc(held.Groups, func(g ofproto.GroupEntry) bool { return !compile.OursGroup(g.ID) })
	meters := slices.DeleteFunc(held.Meters, func(m ofproto.MeterEntry) bool { return !compile.OursMeter(m.ID) })
	if keep != nil {
		all := len(d.Delete)
		d.Delete = slices.DeleteFunc(d.Delete, func(f ofproto.Flow) bool { return keep(f.Cookie) })
		if kept = all - len(d.Delete); kept > 0 {
			groups = slices.DeleteFunc(groups, func(g ofproto.GroupEntry) bool {
				return !slices.ContainsFunc(p.Groups, func(w ofproto.GroupEntry) bool { return w.ID == g.ID })
			})
			meters = slices.DeleteFunc(meters, func(m ofproto.MeterEntry) bool {
				return !slices.ContainsFunc(p.Meters, func(w ofproto.MeterEntry) bool { return w.ID == m.ID })
			})
		}
	}
	var differences []string
	say := func(n int, format string) {
		if n > 0 {
			differences = append(differences, fmt.Sprintf(format, count(n, "flow")))
		}
	}
	say(len(d.Add), "lacks %s, or has other flows in their place")
	say(len(d.Modify), "has %s with other actions")
	say(len(d.Delete), "has %s too many")
	if !slices.EqualFunc(groups, p.Groups, ofproto.GroupEntry.Equal) {
		differences = append(differences, fmt.Sprintf("has %d groups, which differ from the desired groups (%d)", len(groups), len(p.Groups)))
	}
	if !slices.EqualFunc(meters, p.Meters, ofproto.MeterEntry.Equal) {
		differences = append(differences, fmt.Sprintf("has %d meters, which differ from the desired meters (%d)", len(meters), len(p.Meters)))
	}
	return strings.Join(differences, ", "), kept
}

// moving finds interfaces that have received no packets.
func (e *examination) moving(ctx context.Context) error {
	counters, err := e.Counters(ctx)
	if err != nil {
		return fmt.Errorf("examine counters: %w", err)
	}
	seen, silent := 0, []string(nil)
	for _, r := range counters.Routers {
		for _, i := range r.Interfaces {
			n := uint64(0)
			for _, role := range []compile.Role{compile.RoleIn, compile.RoleFallback, compile.RoleAsk} {
				n += i.ByRole[role].Packets
			}
			if n > 0 {
				seen++
			} else {
				silent = append(silent, i.ID)
			}
		}
	}
	if seen > 0 {
		e.find(Fine, "packets", "", "received on %d of %s", seen, count(seen+len(silent), "interface"))
	}
	if len(silent) > 0 {
		e.find(Note, "packets", "see whether machines have the interface's address as their gateway, and whether their ports are on its VLAN",
			"none received on %s", logging.Brief(silent))
	}
	return nil
}
