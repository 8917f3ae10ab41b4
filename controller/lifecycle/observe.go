package lifecycle

import (
	"errors"
	"fmt"
	"io/fs"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Kernel reads the rules and routes of the namespace of r.
func (l *Lifecycle) Kernel(x *routing.Index, r *routing.Router) (*compile.Kernel, error) {
	desired := l.namespaceOf(x, r, func(string) bool { return true })
	var reader *compile.KernelReader
	err := namespace.Observe(desired, func() namespace.Observer {
		reader = compile.NewKernelReader(r)
		return kernelObserver{reader}
	})
	switch {
	case errors.Is(err, fs.ErrNotExist): // without a namespace, the kernel routes nothing
		return new(compile.Kernel), nil
	case err != nil:
		return nil, err
	}
	return reader.Kernel(), nil
}

// slower returns the reasons why the kernel routes more packets than necessary: rules and routes in
// the namespace of r.
func slower(r *routing.Router, k *compile.Kernel) (out []string) {
	for _, q := range k.Crowded {
		out = append(out, fmt.Sprintf("namespace %s has more than %d routes of other programs inside %v, so the kernel routes all packets to that prefix",
			r.NamespaceName(), compile.MaxKernelRoutes, q))
	}
	for _, c := range k.Choices {
		if c.From.Bits() == 0 && c.To.Bits() == 0 {
			command := "ip rule"
			if c.To.Addr().Is6() {
				command = "ip -6 rule"
			}
			out = append(out, fmt.Sprintf("in namespace %s a policy rule other than the main table's rule decides about all packets, so the kernel routes them all: see %s",
				r.NamespaceName(), command))
		}
	}
	return out
}

// A kernelObserver passes the rules and routes of a namespace to a reader.
type kernelObserver struct{ *compile.KernelReader }

func (o kernelObserver) Rule(r namespace.Rule)   { o.KernelReader.Rule(compile.KernelRule(r)) }
func (o kernelObserver) Entry(e namespace.Entry) { o.Route(compile.KernelRoute(e)) }

// The messages of [pass.warn].
const (
	cannotChange   = "could not change OVSDB, will retry"
	noBridge       = "the integration bridge (--integration-bridge) does not exist, nothing is routed until it does"
	cannotUndo     = "could not restore the settings of a namespace, will retry"
	cannotSetUp    = "could not set up namespace, will retry"
	cannotIdentify = "could not read the instance name, will retry"
	cannotUnlearn  = "could not delete entries of the integration bridge's MAC table, will retry"
	cannotRead     = "could not read the routes of a namespace, will retry"
)

// A warning identifies a logged error by its message, one of the above, and its router.
type warning struct{ msg, router string }

// warn logs an error about a router. It does not log the same error again at each retry.
func (p *pass) warn(msg, router string, err error) {
	if w := (warning{msg, router}); p.warned[w] != err.Error() {
		p.warned[w] = err.Error()
		p.log.Warn(msg, zap.String("router", router), zap.Error(err))
	}
}

// resolved records that the operation of an earlier warning has succeeded.
func (p *pass) resolved(msg, router string) { delete(p.warned, warning{msg, router}) }
