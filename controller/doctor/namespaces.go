package doctor

import (
	"context"
	"fmt"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
)

// namespaces examines the namespaces of managed routers.
func (e *examination) namespaces(ctx context.Context) {
	if e.Lifecycle == nil {
		return
	}
	right := 0
	for _, r := range e.Routers {
		if !r.Bridge.Managed || r.Fallback != routing.FallbackNamespace {
			continue
		}
		about := "router " + r.ID
		got, err := namespace.Check(ctx, e.Lifecycle.Namespace(e.Intent.Index, r.Router))
		if err != nil {
			e.find(Problem, about, "", "namespace %s cannot be examined: %v", r.NamespaceName(), err)
			continue
		}
		for _, tap := range got.Missing {
			e.find(Problem, about, "see whether ovs-vswitchd could make it: ovs-vsctl get Interface "+tap+" error", "tap %s does not exist", tap)
		}
		for _, c := range got.Changed {
			e.find(Problem, about, "ofdvr repairs this by itself; if it stays, another program undoes the repair", "namespace %s is not as desired; the repair would be: %s", r.NamespaceName(), c)
		}
		if len(got.Missing)+len(got.Changed) == 0 {
			right++
		}
		e.kernel(about, r.Router)
	}
	if right > 0 {
		e.find(Fine, "namespaces", "", "%s taps, addresses, MTUs, routes and forwarding as desired", plural(right, "router has", "routers have"))
	}
}

// kernel reports the packets that the namespace of r routes differently from the intent.
func (e *examination) kernel(about string, r *routing.Router) {
	k, err := e.Lifecycle.Kernel(e.Intent.Index, r)
	if err != nil {
		e.find(Problem, about, "", "%v", err)
		return
	}
	if addresses, routes, rules := k.Others(r); addresses+routes+rules > 0 {
		e.find(Note, about, fmt.Sprintf("do nothing if this is intended; ip netns exec %s ip route show table all, and ip rule, list them", r.NamespaceName()),
			"namespace %s has %s, %s and %s of other programs, which take precedence over the intent: the kernel routes the packets that match them",
			r.NamespaceName(), plural(addresses, "address", "addresses"), count(routes, "route"), count(rules, "policy rule"))
	}
}
