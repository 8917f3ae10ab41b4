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

// A Plan lists the changes on this host that a change of the intent would cause. It does not
// include changes inside the namespaces of routers.
type Plan struct {
	Routers  []RouterPlan // the fabric bridge, and routers sorted by ID, with changes of flows
	OVSDB    []ovsdb.Op   // in one transaction
	Problems []string     // reasons that prevent parts of the change
}

// A RouterPlan lists the changes on a router's bridge.
type RouterPlan struct {
	Router, Bridge string // Router is "" for the fabric bridge
	// Connected means that the bridge is connected. Otherwise its flows and port numbers are
	// not known, and Delta lists all desired flows.
	Connected bool
	Delta     ofproto.Delta // may be empty, if only groups or meters would change
	// Names has the names of the ports in Delta. If the bridge does not have a port yet, its
	// number is assumed.
	Names map[ofproto.PortNo]string
}

// Plan returns the changes on this host if the intent changes from before to after. touched
// has the IDs of the routers that the change affects.
func (c *Controller) Plan(ctx context.Context, before, after *ledger.Intent, touched []string) (Plan, error) {
	var p Plan
	type holds struct {
		facts   compile.Facts
		program compile.Program
	}
	host := "" // this host's ID, if it has a fabric bridge
	if routing.Spans(after.Index, c.cfg.Host) {
		host = c.cfg.Host
	}
	if routing.Spans(before.Index, c.cfg.Host) != (host != "") { // the change adds or removes the fabric bridge, so every router gets or loses a port
		touched = nil
		for r := range after.Index.Routers("") {
			touched = append(touched, r.ID)
		}
	}
	placed := after.Index
	var fabric *holds // nil if the fabric bridge is not connected
	switches, err := ask(ctx, c, func(w *world) map[string]holds {
		placed = w.placedAfter(w.intent.Index, after.Index)
		out := make(map[string]holds)
		for _, id := range touched {
			if st := w.routers[id]; st != nil && st.session != nil {
				out[id] = holds{w.facts(st), st.program}
			}
		}
		if st := w.fabric; st != nil && st.session != nil {
			fabric = &holds{w.facts(st), st.program}
		}
		return out
	})
	if err != nil {
		return p, fmt.Errorf("read the state of the switches: %w", err)
	}
	add := func(router, bridge string, connected bool, has, next compile.Program, ports ...compile.Ports) {
		rp := RouterPlan{Router: router, Bridge: bridge, Connected: connected, Names: make(map[ofproto.PortNo]string), Delta: ofproto.Diff(has.Flows, next.Flows)}
		for _, numbers := range ports {
			for name, no := range numbers {
				rp.Names[no] = name
			}
		}
		if rp.Delta.Len() > 0 || !next.SameTables(has) {
			p.Routers = append(p.Routers, rp)
		}
	}
	if host != "" {
		var now holds
		facts := compile.FabricFacts{Host: host, Can: compile.CanAll}
		if fabric != nil {
			now, facts.Can = *fabric, fabric.facts.Can
		}
		facts.Ports = assumePorts(now.facts.Ports, fabricPorts(after.Index, host))
		add("", routing.FabricBridge, fabric != nil, now.program, compile.CompileFabric(now.program, placed, facts), facts.Ports, now.facts.Ports)
	}
	for _, id := range touched {
		r := after.Index.Router(id)
		if r == nil {
			continue // the plan has no flows for a removed router
		}
		now, connected := switches[id]
		given, has := now.facts, now.program
		if !connected {
			given.Can = compile.CanAll
		}
		given.Host = host
		ports := Assume(r, given) // includes ports that the bridge does not have yet
		next := compile.Recompile(has, placed, r, ports)
		add(id, r.BridgeName(), connected, has, next, ports.Ports, given.Ports)
	}
	if c.lifecycle != nil && (before.Layout != after.Layout || before.Complete != after.Complete || carries(after.Index)) {
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

// Assume adds numbers for all ports of r to given. Ports without a number get the free numbers
// from 1 on, in the order of the interfaces.
func Assume(r *routing.Router, given compile.Facts) compile.Facts {
	var names []string
	for i := range r.Interfaces {
		names = append(names, r.Interfaces[i].PatchName())
		if r.Fallback == routing.FallbackNamespace {
			names = append(names, r.Interfaces[i].TapName())
		}
	}
	if given.Host != "" {
		names = append(names, r.FabricPeer())
	}
	return compile.Facts{Ports: assumePorts(given.Ports, names), Can: given.Can, Kernel: given.Kernel, Host: given.Host}
}

// assumePorts returns the numbers of the ports with the given names. Ports that are not in given get
// the free numbers from 1 on.
func assumePorts(given compile.Ports, names []string) compile.Ports {
	ports, used, next := make(compile.Ports), make(map[ofproto.PortNo]bool), ofproto.PortNo(1)
	for _, no := range given {
		used[no] = true
	}
	for _, name := range names {
		no, ok := given[name]
		if !ok {
			for used[next] {
				next++
			}
			no = next
			next++
		}
		ports[name] = no
	}
	return ports
}

var portNumber = regexp.MustCompile(`\b(in_port=|output:)(\d+)\b`)

// Named replaces port numbers in the text of a flow by names, as ovs-ofctl --names does.
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
