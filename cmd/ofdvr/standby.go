package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/api"
)

// standBy serves the API on a socket beside that of the daemon that leads. When
// that has ended, its store is taken over, lead is closed, and the API and the
// metrics are served where they should be.
func (d *daemon) standBy(ctx context.Context, g *errgroup.Group, lock *os.File, lead chan<- struct{}) error {
	standing, over := context.WithCancel(ctx)
	for _, e := range d.api {
		if beside, ok := standbyEndpoint(e); ok {
			if err := d.listenAPI(standing, g, beside); err != nil {
				over()
				return err
			}
		}
	}
	locked := make(chan error, 1)
	go func() { locked <- awaitLock(lock) }() // ends with the process, if not before
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
		if err := d.intent.adopt(ctx); err != nil {
			return err
		}
		close(lead)
		return d.listen(ctx, g)
	})
	return nil
}

// standbyEndpoint returns where a daemon that stands by serves its API:
// standby.sock beside the socket of the one that leads.
func standbyEndpoint(endpoint string) (api.Endpoint, bool) {
	path, ok := strings.CutPrefix(endpoint, "unix:")
	if !ok || path == "" {
		return "", false
	}
	return api.Endpoint("unix:" + filepath.Join(filepath.Dir(path), "standby.sock")), true
}
