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

// Kernel reads how the namespace of r routes.
func (l *Lifecycle) Kernel(x *routing.Index, r *routing.Router) (*compile.Kernel, error) {
	desired := l.namespaceOf(x, r, func(string) bool { return true })
	var reader *compile.KernelReader
	err := namespace.Observe(desired, func() namespace.Observer {
		reader = compile.NewKernelReader(r)
		return kernelObserver{reader}
	})
	switch {
	case errors.Is(err, fs.ErrNotExist): // it routes nothing
		return new(compile.Kernel), nil
	case err != nil:
		return nil, err
	}
	return reader.Kernel(), nil
}

// slower says what flows leave to the kernel, besides what they have to, because
// of how the namespace of r routes.
func slower(r *routing.Router, k *compile.Kernel) (out []string) {
	for _, q := range k.Crowded {
		out = append(out, fmt.Sprintf("namespace %s has more than %d routes of others inside %v: the kernel routes all packets to there",
			r.NamespaceName(), compile.MaxKernelRoutes, q))
	}
	for _, c := range k.Choices {
		if c.From.Bits() == 0 && c.To.Bits() == 0 {
			command := "ip rule"
			if c.To.Addr().Is6() {
				command = "ip -6 rule"
			}
			out = append(out, fmt.Sprintf("in namespace %s a policy rule other than that of the main table decides about all packets, so the kernel routes them all: see %s",
				r.NamespaceName(), command))
		}
	}
	return out
}

// A kernelObserver tells a reader what a namespace has.
type kernelObserver struct{ *compile.KernelReader }

func (o kernelObserver) Rule(r namespace.Rule)   { o.KernelReader.Rule(compile.KernelRule(r)) }
func (o kernelObserver) Entry(e namespace.Entry) { o.Route(compile.KernelRoute(e)) }

// What [pass.warn] is about.
const (
	cannotChange   = "could not change OVSDB, trying again"
	noBridge       = "the integration bridge (--integration-bridge) does not exist, nothing is routed until it does"
	cannotUndo     = "could not undo what was set in a namespace, trying again"
	cannotSetUp    = "could not set up namespace, trying again"
	cannotIdentify = "could not find out which instance this is, trying again"
	cannotRead     = "could not read how a namespace routes, trying again"
)

// A warning is what an error was told of: one of the texts above, and a router.
type warning struct{ msg, router string }

// warn logs an error about a router. It is logged once, not at every attempt.
func (p *pass) warn(msg, router string, err error) {
	if w := (warning{msg, router}); p.warned[w] != err.Error() {
		p.warned[w] = err.Error()
		p.log.Warn(msg, zap.String("router", router), zap.Error(err))
	}
}

// well notes that what [pass.warn] was about has succeeded.
func (p *pass) well(msg, router string) { delete(p.warned, warning{msg, router}) }
