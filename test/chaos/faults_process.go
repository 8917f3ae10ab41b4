package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The faults in this file are of processes and of their connections.

// With the userspace datapath, ovs-vswitchd does not forward packets while it waits for its
// database.
func databaseRestarted(_ *document, r *rand.Rand) step {
	if r.IntN(2) == 0 {
		return step{what: "SIGKILL", takes: everything, do: func(ctx context.Context, s *site) error {
			s.Database().Kill()
			return s.StartDatabase(ctx)
		}}
	}
	return step{what: "SIGTERM", takes: everything, do: func(ctx context.Context, s *site) error {
		if _, err := s.Database().Stop(ctx); err != nil {
			return err
		}
		return s.StartDatabase(ctx)
	}}
}

func switchKilled(*document, *rand.Rand) step {
	return step{takes: everything, survives: noneAtAll, do: func(ctx context.Context, s *site) error {
		s.Switch().Kill()
		return s.StartSwitch(ctx)
	}}
}

func bothKilled(*document, *rand.Rand) step {
	return step{takes: everything, survives: noneAtAll, do: func(ctx context.Context, s *site) error {
		s.Switch().Kill()
		s.Database().Kill()
		if err := s.StartDatabase(ctx); err != nil {
			return err
		}
		return s.StartSwitch(ctx)
	}}
}

func daemonRestarted(*document, *rand.Rand) step {
	return step{what: "SIGTERM", do: func(ctx context.Context, s *site) error {
		if err := s.stop(ctx); err != nil {
			return err
		}
		return s.start()
	}}
}

func daemonKilled(*document, *rand.Rand) step {
	return step{what: "SIGKILL", do: func(ctx context.Context, s *site) error {
		if err := s.kill(); err != nil {
			return err
		}
		return s.start()
	}}
}

// The intent changes while no daemon runs.
func daemonKilledAndIntentChanged(t *document, r *rand.Rand) step {
	st := change(togglePort)(t, r)
	st.do = func(ctx context.Context, s *site) error {
		if err := s.kill(); err != nil {
			return err
		}
		if err := s.write(); err != nil {
			return err
		}
		return s.start()
	}
	return st
}

func daemonFrozen(*document, *rand.Rand) step {
	return frozen(step{do: func(ctx context.Context, s *site) error { return s.mesh.passes(ctx, rate/4) }})
}

func brokenFile(*document, *rand.Rand) step {
	return step{do: func(ctx context.Context, s *site) error {
		if _, err := s.WriteFile("topology.json", `{"networks": [{"id": 7, "vlan": "?"}]}`); err != nil {
			return err
		}
		if err := s.reload(); err != nil {
			return err
		}
		err := lab.Await(ctx, "the daemon to report the file", func() error {
			st, err := s.status(ctx)
			if err == nil && !strings.Contains(fmt.Sprint(st.Problems), "topology.json:1:") {
				err = fmt.Errorf("its problems are %q", st.Problems)
			}
			return err
		})
		return errors.Join(err, s.load())
	}}
}

// With ss(8) the test makes the kernel abort the daemon's connection with a bridge, as if a
// reset had arrived. The test cannot select the bridge.
func connectionCut(*document, *rand.Rand) step {
	return step{do: func(ctx context.Context, s *site) error {
		out, err := s.Run(ctx, "ss", "--no-header", "--kill", "--tcp", "state", "established", "sport", "=", ":6653")
		if err == nil && len(s.flows) > 0 && strings.TrimSpace(out) == "" {
			err = errors.New("cut the connections of bridges: ss killed none; the kernel needs CONFIG_INET_DIAG_DESTROY")
		}
		return err
	}}
}
