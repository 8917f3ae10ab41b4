package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/internal/lab/hostile"
)

// An attack goes on until ctx is done.
type attack struct {
	name string
	run  func(d *stored, ctx context.Context) error
}

const (
	openAddress  = "127.0.0.1:9476" // of --metrics and the page
	openFlowPort = "127.0.0.1:6653"
)

// attacks returns all attacks; the first is none.
func attacks() []attack {
	return []attack{
		{"none", func(_ *stored, ctx context.Context) error { <-ctx.Done(); return nil }},
		{"malformed OpenFlow conversations of 16 kinds, again and again", (*stored).malformed},
		{"10,000 silent OpenFlow connections", (*stored).silent},
		{"20 unknown switches with 100,000 ports each", (*stored).manyPorts},
		{"a switch that claims an absent bridge and sends flows without end", (*stored).manyFlows},
		{"500 watchers that do not read, at the page's address", (*stored).stuckWatchers},
		{"100 clients that read all flows at once, at the page's address", (*stored).flowReaders},
		{"40 bodies that come a byte a second", (*stored).slowBodies},
		{"4 bodies of 28 MB at once", (*stored).largeBodies},
	}
}

// connections opens n connections and has f use each until ctx is done.
func (d *stored) connections(ctx context.Context, n int, network, addr string, f func(nc net.Conn)) error {
	g, ctx := errgroup.WithContext(ctx)
	for range n {
		g.Go(func() error {
			nc, err := d.h.Dial(ctx, network, addr)
			if err != nil {
				return nil // refused: the daemon's right
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

// untilDone does f over and over.
func untilDone(ctx context.Context, f func() error) error {
	for ctx.Err() == nil {
		if err := f(); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// rest keeps a connection until the daemon or ctx ends it.
func rest(nc net.Conn) { io.Copy(io.Discard, nc) }

func (d *stored) malformed(ctx context.Context) error {
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

func (d *stored) silent(ctx context.Context) error {
	return d.connections(ctx, 10_000, "tcp", openFlowPort, rest)
}

func (d *stored) manyPorts(ctx context.Context) error {
	return untilDone(ctx, func() error {
		return d.connections(ctx, 20, "tcp", openFlowPort, hostile.Switch("", hostile.Names(100_000), nil))
	})
}

func (d *stored) manyFlows(ctx context.Context) error {
	return untilDone(ctx, func() error {
		return d.connections(ctx, 1, "tcp", openFlowPort, hostile.Switch(absent, nil, hostile.EndlessFlows(1)))
	})
}

// request writes the header of a request whose body has a length.
func request(nc net.Conn, method, path string, length int) {
	fmt.Fprintf(nc, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n", method, path)
	if length > 0 {
		fmt.Fprintf(nc, "Content-Length: %d\r\n", length)
	}
	io.WriteString(nc, "\r\n")
}

func (d *stored) stuckWatchers(ctx context.Context) error {
	return d.connections(ctx, 500, "tcp", openAddress, func(nc net.Conn) {
		request(nc, http.MethodGet, "/v1/watch", 0)
		<-ctx.Done()
	})
}

func (d *stored) flowReaders(ctx context.Context) error {
	return untilDone(ctx, func() error {
		return d.connections(ctx, 100, "tcp", openAddress, func(nc net.Conn) {
			request(nc, http.MethodGet, "/v1/routers/r1/flows", 0)
			rest(nc)
		})
	})
}

func (d *stored) slowBodies(ctx context.Context) error {
	return untilDone(ctx, func() error {
		return d.connections(ctx, 40, "unix", "/run/ofdvr/api.sock", func(nc net.Conn) {
			request(nc, http.MethodPatch, "/v1/topology", 10<<20)
			gone := make(chan struct{})
			go func() {
				rest(nc)
				close(gone)
			}()
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-gone:
					return
				case <-tick.C:
					nc.Write([]byte(" "))
				}
			}
		})
	})
}

// largeBody is a change of 28 MB that is refused at its end.
var largeBody = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	b.WriteString(`{"put":{"ports":[`)
	for i := 0; b.Len() < 28<<20; i++ {
		fmt.Fprintf(&b, `{"id":"large%d","network":"big","mac":%q,"addresses":["10.120.0.1"]},`, i, macAddress(7, i))
	}
	b.WriteString(strings.Repeat("x", 10))
	return b.Bytes()
})

func (d *stored) largeBodies(ctx context.Context) error {
	body := largeBody()
	return untilDone(ctx, func() error {
		return d.connections(ctx, 4, "unix", "/run/ofdvr/api.sock", func(nc net.Conn) {
			request(nc, http.MethodPatch, "/v1/topology", len(body))
			go nc.Write(body)
			rest(nc)
		})
	})
}
