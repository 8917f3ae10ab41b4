package main

import (
	"context"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/test/hostile"
)

// An attack runs until ctx is done. r is its source of randomness.
type attack struct {
	name string
	run  func(d *stored, ctx context.Context, r *rand.Rand) error
}

// random returns the source of randomness of the attack, the same for the same seed.
func (a attack) random() *rand.Rand {
	h := fnv.New64a()
	io.WriteString(h, a.name)
	return rand.New(rand.NewPCG(*seed, h.Sum64()))
}

const (
	openAddress  = "127.0.0.1:9476" // address of the metrics and the page
	openFlowPort = "127.0.0.1:6653"
	apiSocket    = "/run/ofdvr/api.sock"
)

// attacks returns all attacks; the first does nothing.
func attacks() []attack {
	return []attack{
		{"none", func(_ *stored, ctx context.Context, _ *rand.Rand) error { <-ctx.Done(); return nil }},
		{"malformed OpenFlow conversations of 16 kinds, again and again", (*stored).malformed},
		{"OpenFlow conversations with mutated messages, 100 at once, of an absent, the connected and an unknown bridge", (*stored).mutated},
		{"10,000 silent OpenFlow connections", (*stored).silent},
		{"20 unknown switches with 100,000 ports each", (*stored).manyPorts},
		{"a switch that claims an absent bridge and sends flows without end", (*stored).manyFlows},
		{"500 watchers that do not read, at the page's address", (*stored).stuckWatchers},
		{"100 clients that read all flows at once, at the page's address", (*stored).flowReaders},
		{"40 bodies that come a byte a second", (*stored).slowBodies},
		{"4 bodies of 28 MB at once", (*stored).largeBodies},
		{"fuzzed requests, 8 at once, at the API and the page's address", (*stored).fuzzedRequests},
		{"locks that are held or waited for, while a router comes and goes", (*stored).heldLocks},
		{"links, pipes and other users' files in place of the daemon's, while a router comes and goes", (*stored).impostors},
	}
}

// connections opens n connections and runs f with each until ctx is done.
func (d *stored) connections(ctx context.Context, n int, network, addr string, f func(nc net.Conn)) error {
	g, ctx := errgroup.WithContext(ctx)
	for range n {
		g.Go(func() error {
			nc, err := d.h.Dial(ctx, network, addr)
			if err != nil {
				return nil // the daemon may refuse
			}
			stop := context.AfterFunc(ctx, func() { nc.Close() })
			defer stop()
			defer nc.Close()
			f(nc)
			return nil
		})
	}
	return g.Wait()
}

// untilDone calls f repeatedly.
func untilDone(ctx context.Context, f func() error) error {
	for ctx.Err() == nil {
		if err := f(); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func (d *stored) malformed(ctx context.Context, _ *rand.Rand) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, p := range hostile.Peers() {
		g.Go(func() error {
			return untilDone(ctx, func() error {
				return d.connections(ctx, 1, "tcp", openFlowPort, func(nc net.Conn) {
					p.Attack(nc)
					rest(nc)
				})
			})
		})
	}
	return g.Wait()
}

// workers runs n goroutines that call f repeatedly, each with its own connections and random
// numbers.
func (d *stored) workers(ctx context.Context, r *rand.Rand, n int, network, addr string, f func(nc net.Conn, r *rand.Rand)) error {
	g, ctx := errgroup.WithContext(ctx)
	for range n {
		own := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		g.Go(func() error {
			return untilDone(ctx, func() error {
				return d.connections(ctx, 1, network, addr, func(nc net.Conn) {
					nc.SetDeadline(time.Now().Add(hostile.Turn))
					f(nc, own)
				})
			})
		})
	}
	return g.Wait()
}

func (d *stored) mutated(ctx context.Context, r *rand.Rand) error {
	return d.workers(ctx, r, 100, "tcp", openFlowPort, func(nc net.Conn, r *rand.Rand) {
		hostile.Mutated(r, []string{"x", "t"}, absent, "rb-r1", "br-unknown")(nc)
	})
}

func (d *stored) fuzzedRequests(ctx context.Context, r *rand.Rand) error {
	ask := func(nc net.Conn, r *rand.Rand) {
		nc.Write(hostile.FuzzedRequest(r))
		rest(nc)
	}
	atAPI, atPage := rand.New(rand.NewPCG(r.Uint64(), 0)), rand.New(rand.NewPCG(r.Uint64(), 1))
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.workers(ctx, atAPI, 8, "unix", apiSocket, ask) })
	g.Go(func() error { return d.workers(ctx, atPage, 8, "tcp", openAddress, ask) })
	return g.Wait()
}

func (d *stored) silent(ctx context.Context, _ *rand.Rand) error {
	return d.connections(ctx, 10_000, "tcp", openFlowPort, rest)
}

func (d *stored) manyPorts(ctx context.Context, _ *rand.Rand) error {
	return untilDone(ctx, func() error {
		return d.connections(ctx, 20, "tcp", openFlowPort, hostile.Switch("", hostile.Names(100_000), nil))
	})
}

func (d *stored) manyFlows(ctx context.Context, _ *rand.Rand) error {
	return untilDone(ctx, func() error {
		return d.connections(ctx, 1, "tcp", openFlowPort, hostile.Switch(absent, nil, hostile.EndlessFlows(1)))
	})
}

func (d *stored) stuckWatchers(ctx context.Context, _ *rand.Rand) error {
	return d.connections(ctx, 500, "tcp", openAddress, func(nc net.Conn) {
		hostile.Watch(nc)
		<-ctx.Done()
	})
}

func (d *stored) flowReaders(ctx context.Context, _ *rand.Rand) error {
	return untilDone(ctx, func() error {
		return d.connections(ctx, 100, "tcp", openAddress, func(nc net.Conn) {
			hostile.AskForFlows(nc)
			rest(nc)
		})
	})
}

func (d *stored) slowBodies(ctx context.Context, _ *rand.Rand) error {
	return untilDone(ctx, func() error { return d.connections(ctx, 40, "unix", apiSocket, trickleBody) })
}

// largeBody is a change of 28 MB that is refused at its end.
var largeBody = sync.OnceValue(func() []byte {
	b := hostile.LargeBody("big", 28<<20)
	return append(b[:len(b)-1], "xxxxxxxxxx"...)
})

func (d *stored) largeBodies(ctx context.Context, _ *rand.Rand) error {
	body := largeBody()
	return untilDone(ctx, func() error {
		return d.connections(ctx, 4, "unix", apiSocket, func(nc net.Conn) { sendBody(nc, body) })
	})
}
