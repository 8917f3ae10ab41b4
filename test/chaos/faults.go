package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A fault is a kind of failure or change.
type fault struct {
	kind string
	// plan selects the details. It depends only on the intent and r, so that a seed always
	// gives the same faults.
	plan func(t *document, r *rand.Rand) step
}

// A step is one planned fault.
type step struct {
	what string // the action and its object

	// takes has the pairs that may lose packets, because the fault breaks their path. nil means no
	// pairs. All other pairs must not lose packets.
	takes scope

	// survives returns the flows of a router's bridge that exist after the fault. nil means all
	// flows. It determines the smallest possible number of flow mods.
	survives func(router string, have ofproto.Set) ofproto.Set

	// intent is the intent after the step. nil means no change.
	intent *document

	// do injects the fault. When it returns, the fault is over, and the time to converge
	// begins.
	do func(ctx context.Context, s *site) error
}

// faults has all faults. To add a fault, add a row here, and its plan in the file for that kind of
// fault, see the first comment of each file.
var faults = []fault{
	{"flow deleted", flowDeleted},
	{"flows deleted, some", flowsDeleted},
	{"flows deleted, all", allFlowsDeleted},
	{"flow altered", flowAltered},
	{"foreign flow beside the path", foreignFlow},
	{"foreign flow in the path", blockingFlow},

	{"patch port deleted", patchDeleted},
	{"peer on br-int deleted", peerDeleted},
	{"patch port's peer changed", patchDiverted},
	{"patch port moved there and back", patchMoved},
	{"port configuration changed", portConfigured},
	{"VLAN tag changed", tagChanged},
	{"tap's port deleted", tapPortDeleted},
	{"bridge deleted", bridgeDeleted},
	{"controller removed", controllerRemoved},
	{"controller pointed elsewhere", controllerDiverted},
	{"fail_mode changed", failModeChanged},

	{"tap deleted", tapDeleted},
	{"tap moved out", tapMoved},
	{"tap moved to a machine", tapTaken},
	{"tap set down", tapDown},
	{"namespace deleted", namespaceDeleted},
	{"addresses removed", addressesRemoved},
	{"setting changed", settingChanged},
	{"foreign route added and removed", foreignRoute},
	{"foreign address added and removed", foreignAddress},

	{"ovsdb-server restarted", databaseRestarted},
	{"ovs-vswitchd killed", switchKilled},
	{"both killed", bothKilled},
	{"database emptied", databaseEmptied},
	{"daemon restarted", daemonRestarted},
	{"daemon killed", daemonKilled},
	{"daemon killed, intent changed", daemonKilledAndIntentChanged},
	{"daemon frozen", daemonFrozen},
	{"broken file", brokenFile},
	{"connection cut", connectionCut},

	{"machine floods its gateway", arpFlood},
	{"machine scans a network", subnetScan},

	{"port added or removed", change(togglePort)},
	{"port's MAC changed", change(changePort)},
	{"network added or removed", change(toggleNetwork)},
	{"network's MTU changed", change(changeMTU)},
	{"router added or removed", change(toggleRouter)},
	{"interface added or removed", change(toggleInterface)},
	{"interface's MAC changed", change(changeInterface)},
	{"interface's address added or removed", change(toggleAddress)},
	{"ARP responder switched", change(toggleARP)},
}

// These functions return the traffic that a fault affects: all traffic, or the traffic through a
// router, through one of its interfaces, or through its namespace.

func through(router string) scope {
	return func(p *pair) bool { return p.routed() && p.from.router == router }
}

func throughInterface(router string, f iface) scope {
	return func(p *pair) bool {
		return through(router)(p) && (p.from.network == f.Network || p.to.network == f.Network)
	}
}

func throughKernel(router string, t *document) scope {
	return func(p *pair) bool { return through(router)(p) && t.byKernel(p) }
}

// These functions return the flows of a router that survive a fault.

func noneOf(router string) func(string, ofproto.Set) ofproto.Set {
	return func(r string, have ofproto.Set) ofproto.Set {
		if r == router {
			return ofproto.Set{}
		}
		return have
	}
}

func noneAtAll(string, ofproto.Set) ofproto.Set { return ofproto.Set{} }

func pick[T any](r *rand.Rand, s []T) T { return s[r.IntN(len(s))] }

// pickInterface returns a router and one of its interfaces.
func pickInterface(t *document, r *rand.Rand) (*routing.Router, *routing.Interface, iface) {
	x := pick(r, t.Routers)
	k := r.IntN(len(x.Interfaces))
	return &routing.Router{ID: x.ID, Bridge: routing.Bridge{Managed: true}},
		&routing.Interface{ID: x.Interfaces[k].ID}, x.Interfaces[k]
}

func pickBridge(t *document, r *rand.Rand) (router, bridge string) {
	x := routing.Router{ID: pick(r, t.Routers).ID, Bridge: routing.Bridge{Managed: true}}
	return x.ID, x.BridgeName()
}

// Faults of flows are changes with ovs-ofctl.

// chosen returns n random flows of router with different cookies.
func chosen(t *document, r *rand.Rand, router string, n int) func(ofproto.Set) []ofproto.Flow {
	cookies, err := t.cookies(router)
	if err != nil {
		panic(err) // cannot happen: the test's topology is valid
	}
	r.Shuffle(len(cookies), func(i, k int) { cookies[i], cookies[k] = cookies[k], cookies[i] })
	cookies = cookies[:min(n, len(cookies))]
	return func(have ofproto.Set) (fs []ofproto.Flow) {
		for _, c := range cookies {
			for f := range have.All() {
				if f.Cookie == c {
					fs = append(fs, f)
					break
				}
			}
		}
		return fs
	}
}

// match returns f's key in the syntax of ovs-ofctl, so that a command changes only that flow.
func match(f ofproto.Flow) string {
	s, _, _ := strings.Cut(f.String(), " actions=")
	_, s, _ = strings.Cut(s, ", ") // without the cookie
	return s
}

func without(fs []ofproto.Flow, have ofproto.Set) ofproto.Set {
	mods := make([]ofproto.FlowMod, len(fs))
	for i, f := range fs {
		mods[i] = ofproto.FlowMod{Command: ofproto.FlowDeleteStrict, Flow: f}
	}
	return have.Apply(mods)
}

// deleteFlows plans the deletion of n flows with different cookies.
func deleteFlows(t *document, r *rand.Rand, n int) (step, string) {
	router, bridge := pickBridge(t, r)
	which := chosen(t, r, router, n)
	return step{
		what: fmt.Sprintf("%d of %s", n, bridge),
		survives: func(id string, have ofproto.Set) ofproto.Set {
			if id == router {
				return without(which(have), have)
			}
			return have
		},
		do: func(ctx context.Context, s *site) error {
			for _, f := range which(s.flows[router]) {
				if err := s.ofctl(ctx, "--strict", "del-flows", bridge, match(f)); err != nil {
					return err
				}
			}
			return nil
		},
	}, router
}

// flowDeleted plans the deletion of one flow. Without it, packets go through the namespace.
func flowDeleted(t *document, r *rand.Rand) step {
	st, router := deleteFlows(t, r, 1)
	st.takes = throughKernel(router, t)
	return st
}

func flowsDeleted(t *document, r *rand.Rand) step {
	st, router := deleteFlows(t, r, 2+r.IntN(20))
	st.takes = through(router)
	return st
}

func allFlowsDeleted(t *document, r *rand.Rand) step {
	router, bridge := pickBridge(t, r)
	return step{
		what: bridge, takes: through(router), survives: noneOf(router),
		do: func(ctx context.Context, s *site) error { return s.ofctl(ctx, "del-flows", bridge) },
	}
}

func flowAltered(t *document, r *rand.Rand) step {
	router, bridge := pickBridge(t, r)
	which := chosen(t, r, router, 1)
	return step{
		what: bridge, takes: through(router),
		survives: func(id string, have ofproto.Set) ofproto.Set {
			if id == router { // counts like a missing flow
				return without(which(have), have)
			}
			return have
		},
		do: func(ctx context.Context, s *site) error {
			for _, f := range which(s.flows[router]) {
				// A flow that already drops packets gets an action.
				if err := s.ofctl(ctx, "--strict", "mod-flows", bridge, match(f)+" actions=set_field:1->reg9"); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// addFlow plans a foreign flow.
func addFlow(router, bridge, text string, takes scope) step {
	return step{
		what: bridge + " " + text, takes: takes,
		survives: func(id string, have ofproto.Set) ofproto.Set {
			if id != router {
				return have
			}
			f, err := ofproto.ParseFlow(text)
			if err != nil {
				panic(err)
			}
			return have.With(f)
		},
		do: func(ctx context.Context, s *site) error { return s.ofctl(ctx, "add-flow", bridge, text) },
	}
}

// portConfigured blocks packets from or to a port by its configuration, independently of the
// flows. The cookie of a foreign flow may look like a cookie of ofdvr.
func portConfigured(t *document, r *rand.Rand) step {
	x, f, about := pickInterface(t, r)
	how := pick(r, []string{"no-forward", "no-receive"})
	return step{what: f.PatchName() + ": " + how, takes: throughInterface(x.ID, about), do: func(ctx context.Context, s *site) error {
		return s.ofctl(ctx, "mod-port", x.BridgeName(), f.PatchName(), how)
	}}
}

func foreignFlow(t *document, r *rand.Rand) step {
	router, bridge := pickBridge(t, r)
	text := fmt.Sprintf("cookie=%#x,table=%d,priority=%d,udp,tp_dst=%d actions=drop",
		pick(r, []uint64{0, 0x1234, 0xfd09000000000001}), 1+r.IntN(9), r.IntN(1000), 9000+r.IntN(1000))
	return addFlow(router, bridge, text, nil)
}

func blockingFlow(t *document, r *rand.Rand) step {
	router, bridge := pickBridge(t, r)
	return addFlow(router, bridge, fmt.Sprintf("cookie=%#x,table=0,priority=60000,ip actions=drop", r.Uint64()), through(router))
}
