package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
)

// standBy serves the API on a socket beside that of the daemon that leads.
// When that has ended, lead is closed and the API and the metrics are served
// where they should be.
func standBy(ctx context.Context, g *errgroup.Group, o serveOptions, c *controller.Controller, reg *prometheus.Registry, lock *os.File, lead chan<- struct{}) error {
	ln, err := api.Listen(standbyEndpoint(o.api))
	if err != nil {
		return err
	}
	standing, over := context.WithCancel(ctx)
	serveHTTP(standing, g, ln, api.Handler(c))
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
		close(lead)
		return listen(ctx, g, o, c, reg)
	})
	return nil
}

// standbyEndpoint returns where a daemon that stands by serves its API:
// standby.sock beside the socket of the one that leads.
func standbyEndpoint(endpoint string) string {
	path, ok := strings.CutPrefix(endpoint, "unix:")
	if !ok || path == "" {
		return endpoint
	}
	return "unix:" + filepath.Join(filepath.Dir(path), "standby.sock")
}
