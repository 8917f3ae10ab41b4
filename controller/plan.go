package controller

import (
	"context"
	"fmt"
	"regexp"
	"strconv"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A Plan is what a change of the intent would change on this host. What is in
// the namespaces of routers is not in it.
type Plan struct {
	Routers  []RouterPlan // those whose flows would change, by ID
	OVSDB    []ovsdb.Op   // in one transaction
	Problems []string     // what keeps parts of it from coming true
}

// A RouterPlan is what would change on a router's bridge.
type RouterPlan struct {
	Router, Bridge string
	// Connected says that the bridge is connected. Otherwise nobody knows what it
	// holds and how its ports are numbered, and all flows are listed.
	Connected bool
	Delta     ofproto.Delta // may be empty, if only groups or meters would change
	// Names are those of the ports in Delta. The numbers of ports that the bridge
	// does not have yet are assumed.
	Names map[ofproto.PortNo]string
}

// Plan returns what would change if after came after before. touched are the
// routers to which the change matters.
func (c *Controller) Plan(ctx context.Context, before, after *ledger.State, touched []string) (Plan, error) {
	var p Plan
	type holds struct {
		facts   compile.Facts
		program compile.Program
	}
	switches, err := ask(ctx, c, func(w *world) map[string]holds {
		out := make(map[string]holds)
		for _, id := range touched {
			if st := w.routers[id]; st != nil && st.session != nil {
				out[id] = holds{st.facts(), st.program}
			}
		}
		return out
	})
	if err != nil {
		return p, fmt.Errorf("ask what the switches have: %w", err)
	}
	for _, id := range touched {
		r := after.Index.Router(id)
		if r == nil {
			continue // its bridge goes, or is not ours any more
		}
		now, connected := switches[id]
		given, has := now.facts, now.program
		if !connected {
			given.Can = compile.CanAll
		}
		ports := Assume(r, given) // those that are still to be made have names too
		next := compile.Recompile(has, after.Index, r, ports)
		rp := RouterPlan{Router: id, Bridge: r.BridgeName(), Connected: connected, Names: make(map[ofproto.PortNo]string),
			Delta: ofproto.Diff(has.Flows, next.Flows)}
		for _, facts := range []compile.Facts{ports, given} {
			for name, no := range facts.Ports {
				rp.Names[no] = name
			}
		}
		if rp.Delta.Len() > 0 || !next.SameTables(has) {
			p.Routers = append(p.Routers, rp)
		}
	}
	if c.lifecycle != nil && (before.Layout != after.Layout || before.Complete != after.Complete) {
		ops, problems, err := c.lifecycle.Plan(ctx, lifecycleIntent(after))
		if err != nil {
			p.Problems = append(p.Problems, err.Error())
		}
		p.OVSDB = ops
		for _, problem := range problems {
			p.Problems = append(p.Problems, problem.Error())
		}
	}
	return p, nil
}

// Assume numbers the ports of r that given does not, from 1 in the order of its
// interfaces, leaving out the numbers that given uses.
func Assume(r *routing.Router, given compile.Facts) compile.Facts {
	facts, used, next := compile.Facts{Ports: make(compile.Ports), Can: given.Can, Kernel: given.Kernel}, make(map[ofproto.PortNo]bool), ofproto.PortNo(1)
	for _, no := range given.Ports {
		used[no] = true
	}
	number := func(name string) {
		no, ok := given.Ports[name]
		if !ok {
			for used[next] {
				next++
			}
			no = next
			next++
		}
		facts.Ports[name] = no
	}
	for i := range r.Interfaces {
		number(r.Interfaces[i].PatchName())
		if r.Fallback == routing.FallbackNamespace {
			number(r.Interfaces[i].TapName())
		}
	}
	return facts
}

var portNumber = regexp.MustCompile(`\b(in_port=|output:)(\d+)\b`)

// Named returns the text of a flow with names instead of numbers of ports, as
// ovs-ofctl --names has it.
func Named(flow string, names map[ofproto.PortNo]string) string {
	return portNumber.ReplaceAllStringFunc(flow, func(s string) string {
		m := portNumber.FindStringSubmatch(s)
		no, err := strconv.ParseUint(m[2], 10, 32)
		if name, ok := names[ofproto.PortNo(no)]; ok && err == nil {
			return m[1] + strconv.Quote(name)
		}
		return s
	})
}
