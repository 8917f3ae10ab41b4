package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"

	"github.com/ofdvr/ofdvr/test/lab"
)

// etcdFaults has all faults of fleets that share their intent in etcd. They affect no traffic, except
// that of machines that move.
var etcdFaults = []fleetFault{
	{"etcd: member killed", etcdMemberKilled},
	{"etcd: leader killed", etcdLeaderKilled},
	{"etcd: all members killed", etcdKilled},
	{"etcd: all members restarted", etcdRestarted},
	{"etcd: member paused", etcdPaused},
	{"etcd: leader paused", etcdLeaderPaused},
	{"etcd: host cut off", etcdCutOff},
	{"etcd: connections lost", etcdRefused},
	{"etcd: compacted while a host was cut off", etcdCompacted},
	{"etcd: no space", etcdFull},
	{"etcd: daemon killed", func(l layout, r *rand.Rand) fleetStep { return onHost(l, r, daemonKilled, nothing) }},
	{"etcd: all daemons killed", daemonsKilled},
	{"etcd: daemon started while etcd was away", etcdAwayAtStart},
	{"etcd: machine moved", machineMoved},
	{"etcd: machine moved while etcd was away", etcdAwayAtMove},
}

// withEtcd plans a fault of etcd. begin starts the fault. After half a second to two seconds of
// traffic, end ends the fault.
func withEtcd(r *rand.Rand, what string, begin, end func(context.Context, *fleet) error) fleetStep {
	away := rate/2 + r.IntN(3*rate/2)
	return fleetStep{what: what, do: func(ctx context.Context, f *fleet) error {
		err := begin(ctx, f)
		if err == nil {
			err = f.mesh.passes(ctx, away)
		}
		return errors.Join(err, end(ctx, f))
	}}
}

func restartEtcd(ctx context.Context, f *fleet) error { return f.etcd.restart(ctx) }

func killEtcd(_ context.Context, f *fleet) error {
	for i := range etcdMembers {
		f.etcd.Kill(i)
	}
	return nil
}

func etcdMemberKilled(_ layout, r *rand.Rand) fleetStep {
	i := r.IntN(etcdMembers)
	return withEtcd(r, fmt.Sprint("member ", i+1), func(_ context.Context, f *fleet) error {
		f.etcd.Kill(i)
		return nil
	}, restartEtcd)
}

func etcdLeaderKilled(_ layout, r *rand.Rand) fleetStep {
	return withEtcd(r, "", func(ctx context.Context, f *fleet) error {
		i, err := f.etcd.leader(ctx)
		if err == nil {
			f.etcd.Kill(i)
		}
		return err
	}, restartEtcd)
}

func etcdKilled(_ layout, r *rand.Rand) fleetStep { return withEtcd(r, "", killEtcd, restartEtcd) }

func etcdRestarted(layout, *rand.Rand) fleetStep {
	return fleetStep{do: func(ctx context.Context, f *fleet) error { return errors.Join(killEtcd(ctx, f), f.etcd.restart(ctx)) }}
}

// paused pauses a member.
func paused(r *rand.Rand, what string, member func(context.Context, *fleet) (int, error)) fleetStep {
	at := 0
	return withEtcd(r, what, func(ctx context.Context, f *fleet) (err error) {
		if at, err = member(ctx, f); err != nil {
			return err
		}
		return f.etcd.Signal(at, syscall.SIGSTOP)
	}, func(ctx context.Context, f *fleet) error {
		return errors.Join(f.etcd.Signal(at, syscall.SIGCONT), f.etcd.Healthy(ctx))
	})
}

func etcdPaused(_ layout, r *rand.Rand) fleetStep {
	i := r.IntN(etcdMembers)
	return paused(r, fmt.Sprint("member ", i+1), func(context.Context, *fleet) (int, error) { return i, nil })
}

func etcdLeaderPaused(_ layout, r *rand.Rand) fleetStep {
	return paused(r, "", func(ctx context.Context, f *fleet) (int, error) { return f.etcd.leader(ctx) })
}

// cutOff plans that a host does not reach etcd for a while.
func cutOff(l layout, r *rand.Rand, how passing) fleetStep {
	h := r.IntN(l.hosts)
	return withEtcd(r, hostID(h), func(_ context.Context, f *fleet) error {
		f.etcd.pass(h, how)
		return nil
	}, func(_ context.Context, f *fleet) error {
		f.etcd.pass(h, passes)
		return nil
	})
}

func etcdCutOff(l layout, r *rand.Rand) fleetStep  { return cutOff(l, r, stalls) }
func etcdRefused(l layout, r *rand.Rand) fleetStep { return cutOff(l, r, refuses) }

func etcdCompacted(l layout, r *rand.Rand) fleetStep {
	h := r.IntN(l.hosts)
	return withEtcd(r, hostID(h), func(_ context.Context, f *fleet) error {
		f.etcd.pass(h, refuses)
		return nil
	}, func(ctx context.Context, f *fleet) error {
		err := f.etcd.compact(ctx)
		f.etcd.pass(h, passes)
		return err
	})
}

func etcdFull(_ layout, r *rand.Rand) fleetStep {
	return withEtcd(r, "", func(ctx context.Context, f *fleet) error { return f.etcd.alarm(ctx, true) },
		func(ctx context.Context, f *fleet) error { return f.etcd.alarm(ctx, false) })
}

func etcdAwayAtStart(l layout, r *rand.Rand) fleetStep {
	h := r.IntN(l.hosts)
	return withEtcd(r, hostID(h), func(ctx context.Context, f *fleet) error {
		s := f.hosts[h]
		if err := errors.Join(s.kill(), killEtcd(ctx, f), s.start()); err != nil {
			return err
		}
		return lab.Await(ctx, "the daemon to answer", func() error {
			_, err := s.status(ctx)
			return err
		})
	}, restartEtcd)
}

func etcdAwayAtMove(l layout, r *rand.Rand) fleetStep {
	st, _, _ := move(l, r)
	inner := st.do
	st.do = withEtcd(r, "", func(ctx context.Context, f *fleet) error { return errors.Join(killEtcd(ctx, f), inner(ctx, f)) }, restartEtcd).do
	return st
}
