package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/test/lab"
)

// Kills kills the daemon with SIGKILL and starts it again, o.Faults times. It kills the daemon
// before it answers, when it answers, or when it is settled. This must have no effect: no
// packet is lost, no flow is changed, and no counter of the switch decreases.
func Kills(ctx context.Context, h *lab.Host, o Options) (*Report, error) {
	r, err := newRun(ctx, h, o)
	if err != nil {
		return nil, err
	}
	r.watch.across = []string{"ofdvr_interface_", "ofdvr_route_", "ofdvr_router_dropped_", "ofdvr_port_"}
	random := rand.New(rand.NewPCG(o.Seed, 1))
	err = r.run(ctx, func(ctx context.Context) error {
		if err := r.begin(ctx); err != nil {
			return err
		}
		before, err := r.ages(ctx)
		if err != nil {
			return err
		}
		for n := 1; n <= o.Faults; n++ {
			if err := r.killOnce(ctx, random); err != nil {
				return fmt.Errorf("kill %d of %d: %w", n, o.Faults, err)
			}
			if n%10 == 0 {
				r.Log("%d of %d kills", n, o.Faults)
			}
		}
		return r.untouched(ctx, before)
	})
	return &r.report, err
}

// killOnce kills the daemon, starts it, and waits until a random stage of its start.
func (r *run) killOnce(ctx context.Context, random *rand.Rand) error {
	if err := r.kill(); err != nil {
		return err
	}
	if err := r.start(); err != nil {
		return err
	}
	over := time.Now()
	switch random.IntN(3) {
	case 0: // the daemon may not answer yet
	case 1:
		return lab.Await(ctx, "the daemon to answer", func() error {
			_, err := r.status(ctx)
			return err
		})
	case 2:
		if err := r.converge(ctx); err != nil {
			return err
		}
		s, err := r.watch.look(ctx)
		r.report.add(outcome{kind: "daemon killed", took: time.Since(over), mods: s.flowMods()})
		return err
	}
	return nil
}

// untouched checks the traffic and the flows, and records lost packets and changed flows. before
// has the earlier ages of the flows.
func (r *run) untouched(ctx context.Context, before ages) error {
	if err := r.converge(ctx); err != nil {
		return err
	}
	sent, lost, wrong, err := r.mesh.cut(ctx, everything, nothing)
	if err != nil {
		return err
	}
	r.report.add(outcome{kind: "all packets", sent: sent, lost: lost})
	r.judge("kills", outcome{}, wrong, before.at)
	after, err := r.ages(ctx)
	if err != nil {
		return err
	}
	for f, was := range before.flows {
		now, ok := after.flows[f]
		// The switch's clock may be a little late.
		if passed := after.at.Sub(before.at); !ok || now.Packets < was.Packets || age(now) < age(was)+passed-time.Second {
			r.report.Broken = append(r.report.Broken, fmt.Sprintf("a flow was touched within %v: %v of %s had %d packets and was %v old, now %d and %v",
				passed, f.Flow, f.bridge, was.Packets, age(was), now.Packets, age(now)))
		}
	}
	return nil
}

// ages has the flows of all bridges, with their counters.
type ages struct {
	at    time.Time
	flows map[flowOf]ofproto.FlowStats
}

type flowOf struct {
	bridge string
	ofproto.Flow
}

// age returns the time since a flow was added.
func age(f ofproto.FlowStats) time.Duration {
	return time.Duration(f.Seconds)*time.Second + time.Duration(f.Nanoseconds)
}

func (s *site) ages(ctx context.Context) (ages, error) {
	a := ages{time.Now(), make(map[flowOf]ofproto.FlowStats)}
	m, err := s.intent.model()
	if err != nil {
		return a, err
	}
	for i := range m.Routers {
		bridge := m.Routers[i].BridgeName()
		stats, _, err := s.dump(ctx, bridge)
		if err != nil {
			return a, fmt.Errorf("bridge %s: %w", bridge, err)
		}
		for _, f := range stats {
			a.flows[flowOf{bridge, f.Flow}] = f
		}
	}
	return a, nil
}
