package controller

import (
	"context"
	"errors"
	"time"

	"github.com/ofdvr/ofdvr/controller/machines"
)

// Machines returns the evidence of machines on the integration bridge, at most a second old.
// Errors of reading are part of the evidence.
func (c *Controller) Machines(ctx context.Context) (*machines.Evidence, error) {
	return c.lookForMachines(ctx, (*machines.Observer).Look)
}

// machinesAnew is like Machines, but reads the evidence after the call.
func (c *Controller) machinesAnew(ctx context.Context) (*machines.Evidence, error) {
	return c.lookForMachines(ctx, (*machines.Observer).LookAnew)
}

func (c *Controller) lookForMachines(ctx context.Context, look func(*machines.Observer, context.Context) (*machines.Evidence, error)) (*machines.Evidence, error) {
	if c.machines == nil {
		return machines.Nothing(c.cfg.IntegrationBridge, `the database of Open vSwitch is not used (--ovsdb ""), so machines are not looked for`), nil
	}
	if !c.leads.Load() {
		return machines.Nothing(c.cfg.IntegrationBridge, "this daemon stands by, and the one that leads looks for machines"), nil
	}
	e, err := look(c.machines, ctx)
	if err != nil {
		return nil, err
	}
	type known struct {
		host   string
		placed map[string]string
	}
	k, err := ask(ctx, c, func(w *world) (k known) {
		if w.hosts != nil {
			k.host, k.placed = w.host, w.hosts.Elsewhere(func(id string) string {
				p, _ := w.intent.Index.Port(id)
				return p.Host
			})
		}
		return k
	})
	if err != nil || k.host == "" {
		return e, err
	}
	return e.Across(k.host, k.placed), nil
}

// bridgeConnected reports whether a bridge that we manage, and so an ovs-vswitchd beside the
// database, is connected.
func (c *Controller) bridgeConnected(ctx context.Context) bool {
	yes, err := ask(ctx, c, func(w *world) bool {
		for _, st := range w.routers {
			if st.session != nil && st.router.Bridge.Managed {
				return true
			}
		}
		return false
	})
	return err == nil && yes
}

const (
	// machinesPatience is the time that a scrape waits for ovs-vswitchd's answer about
	// machines. After that, it uses the previous answer if that is recent enough.
	machinesPatience = 100 * time.Millisecond
	machinesAge      = time.Minute
)

// CountMachines returns the number of ports in each state. If ovs-vswitchd does not answer
// soon, and has not answered in the last minute, the state of all ports is unknown.
func (c *Controller) CountMachines(ctx context.Context) (machines.Counts, error) {
	x, err := ask(ctx, c, (*world).index)
	if err != nil {
		return nil, err
	}
	soon, cancel := context.WithTimeout(ctx, machinesPatience)
	defer cancel()
	e, err := c.Machines(soon)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		if e = c.machines.Latest(machinesAge); e == nil {
			e = machines.Nothing(c.cfg.IntegrationBridge, "ovs-vswitchd does not answer")
		}
	} else if err != nil {
		return nil, err
	}
	return machines.NewView(x, e).Count(nil), nil
}
