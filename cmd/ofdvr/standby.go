package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/api"
)

// standBy serves the API on a socket in the directory of the leader's socket. When the leader
// has ended, it takes over the store, closes lead, and serves the API and the metrics at their
// endpoints.
func (d *daemon) standBy(ctx context.Context, g *errgroup.Group, lock *os.File, lead chan<- struct{}) error {
	standing, over := context.WithCancel(ctx)
	for _, e := range d.api {
		if beside, ok := standbyEndpoint(e); ok {
			if err := d.listenBeside(standing, g, beside); err != nil {
				over()
				return err
			}
		}
	}
	locked := make(chan error, 1)
	go func() { locked <- awaitLock(lock) }() // this goroutine ends at the latest with the process
	g.Go(func() error {
		defer over()
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-locked:
			if err != nil {
				return err
			}
		}
		over() // the next standby daemon needs the socket
		if err := d.intent.adopt(ctx); err != nil {
			return err
		}
		close(lead)
		return d.listen(ctx, g)
	})
	return nil
}

// takeOverTime is the maximum time for which the next leader still uses the standby's socket.
const takeOverTime = 10 * time.Second

// listenBeside serves the API on a standby's socket. The daemon that becomes the leader may still
// use that socket.
func (d *daemon) listenBeside(ctx context.Context, g *errgroup.Group, e api.Endpoint) error {
	limit := time.NewTimer(takeOverTime)
	defer limit.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := d.listenAPI(ctx, g, e)
		if !errors.Is(err, api.ErrAnswered) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return err
		case <-again.C:
		}
	}
}

// standbyEndpoint returns the endpoint of a standby daemon's API. It is standby.sock in the
// directory of the leader's socket.
func standbyEndpoint(endpoint string) (api.Endpoint, bool) {
	path, ok := strings.CutPrefix(endpoint, "unix:")
	if !ok || path == "" {
		return "", false
	}
	return api.Endpoint("unix:" + filepath.Join(filepath.Dir(path), "standby.sock")), true
}
