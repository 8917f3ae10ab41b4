package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// A fault is a kind of thing that may go wrong, or be changed.
type fault struct {
	kind string
	// plan chooses what exactly is done. It depends on nothing but the intent
	// and r, so that a seed always leads to the same faults.
	plan func(t *document, r *rand.Rand) step
}

// A step is one fault that has been decided on.
type step struct {
	what string // what is done, and to what

	// takes are the pairs that may lose packets, because what they need is
	// taken away: nil is none. Everything else must lose none.
	takes scope

	// survives says what is left of the flows of a router's bridge: nil means
	// all. The least number of flow-mods follows from it.
	survives func(router string, have ofproto.Set) ofproto.Set

	// intent is what is wanted from now on; nil leaves it as it is.
	intent *document

	// do does it. When it returns, the fault is over, and the time to converge
	// begins.
	do func(ctx context.Context, s *site) error
}

// faults are all of them. To add one, add a row: where it belongs says the
// comment at the head of each file.
var faults = []fault{
	{"flow deleted", flowDeleted},
	{"flows deleted, some", flowsDeleted},
	{"flows deleted, all", allFlowsDeleted},
	{"flow altered", flowAltered},
	{"foreign flow beside the way", foreignFlow},
	{"foreign flow in the way", blockingFlow},

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
	{"tap moved to where nobody looks", tapTaken},
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

// What a step takes away: everything, the way through a router, that through
// one of its interfaces, or that through its namespace.

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

// What survives of a router's flows.

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

// pickInterface returns a router and one of its interfaces, as they are now.
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

// Faults of flows: what ovs-ofctl can do to a bridge.

// chosen returns flows of router whose cookies r has chosen, one of each.
func chosen(t *document, r *rand.Rand, router string, n int) func(ofproto.Set) []ofproto.Flow {
	cookies, err := t.cookies(router)
	if err != nil {
		panic(err) // a topology of ours that is not valid
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

// match returns f's key as ovs-ofctl wants it to change that flow alone.
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

// deleteFlows plans to delete n flows of different cookies.
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

// Without any one flow the packets go through the namespace.
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
			if id == router { // as few changes as if it were gone
				return without(which(have), have)
			}
			return have
		},
		do: func(ctx context.Context, s *site) error {
			for _, f := range which(s.flows[router]) {
				// One that drops already is made to do something.
				if err := s.ofctl(ctx, "--strict", "mod-flows", bridge, match(f)+" actions=set_field:1->reg9"); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// addFlow plans to add a flow that nobody asked for.
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

// The cookie may be anybody's, or look like one of ours.
// portConfigured has a port take no packets, or give none, whatever the flows say.
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
