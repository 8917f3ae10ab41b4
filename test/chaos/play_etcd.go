package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/ofdvr/ofdvr/test/lab"
)

// PlayEtcd is [PlayHosts] for faults of an etcd in which the hosts share their intent. The servers of
// etcd keep their data below dir, and listen on ports from port on. Ports are written by the APIs of all
// daemons meanwhile.
func PlayEtcd(ctx context.Context, hosts []*lab.Host, links []*lab.Link, dir string, port int, o Options) (*Report, error) {
	script := newFleetScript(o, len(hosts), etcdFaults)
	if len(script.all) == 0 {
		return &Report{}, nil
	}
	etcd, err := newCluster(ctx, hosts, dir, port)
	if err != nil {
		return nil, err
	}
	defer etcd.close()
	f, err := newFleet(ctx, hosts, links, etcd, o)
	if err != nil {
		return nil, err
	}
	s := f.hosts[0]
	err = lab.Await(ctx, "the intent to be applied", func() error {
		_, err := s.Ofdvr(ctx, "apply", s.file())
		return err
	})
	if err != nil {
		return nil, err
	}
	w := newWriter(f)
	random := rand.New(rand.NewPCG(o.Seed, 3))
	err = f.play(ctx, script, func(ctx context.Context, n int, kind string, st fleetStep) error {
		w.rand = rand.New(rand.NewPCG(o.Seed, random.Uint64()))
		inner := st.do
		st.back = true // ports change
		st.do = func(ctx context.Context, f *fleet) error {
			return w.during(ctx, func(ctx context.Context) error { return inner(ctx, f) })
		}
		if err := f.step(ctx, n, kind, st); err != nil {
			return err
		}
		if err := w.check(ctx); err != nil {
			f.report.addBroken(fmt.Sprintf("fault %d, %s", n, kind), "%v", err)
		}
		return nil
	})
	o.Log("%d writes were answered, %d refused or not answered", w.answers, w.silence)
	return &f.report, err
}

// during writes while f runs, and a little longer.
func (w *writer) during(ctx context.Context, f func(context.Context) error) error {
	writing, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.run(writing) }()
	err := f(ctx)
	if err == nil {
		err = w.f.mesh.passes(ctx, rate/4)
	}
	stop()
	return errors.Join(err, <-done)
}
