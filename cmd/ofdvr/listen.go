package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/page"
	"github.com/ofdvr/ofdvr/internal/bounded"
	"github.com/ofdvr/ofdvr/internal/logging"
)

// Limits of HTTP servers. They are documented in docs/api.md.
const (
	openConnections = 1024             // connections to the address of --metrics
	apiConnections  = 4096             // connections to each API endpoint
	maxHeader       = 16 << 10         // bytes
	headerTimeout   = 5 * time.Second  // time for a client to send its header
	idleTimeout     = time.Minute      // time between two requests of a connection
	readPatience    = 30 * time.Second // time for a client of the API to read a part of an answer
	answerTimeout   = 10 * time.Minute // time until an answer of the API begins; more than the maximum of ?timeout=

	openWatchers = 128              // watchers at the address of --metrics
	openTimeout  = 30 * time.Second // time until an answer begins at the address of --metrics
)

// openLimits bounds the cost of requests to the address of --metrics, because it has no
// authentication.
var openLimits = bounded.Limits{
	Answer: 48 << 20, Held: 64 << 20, Patience: 10 * time.Second, Rate: 256 << 10,
	Refuse: func(w http.ResponseWriter, status int, detail string) { api.Refuse(w, status, "%s", detail) },
}

// limited returns a function for the clients at an address. The function counts and logs a
// client that was refused or disconnected.
func (d *daemon) limited(addr net.Addr) func(reason string) {
	log := d.log.HTTP(addr)
	return func(reason string) {
		d.events.Limited(reason)
		d.controller.HTTPLimited(reason, addr.String())
		log.Warn("a limit of the HTTP server was reached, refused or disconnected a client", zap.String("reason", reason))
	}
}

// bodyLimited is like limited, for the bodies of requests.
func (d *daemon) bodyLimited(r *http.Request, reason string) {
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		d.limited(addr)(reason)
	}
}

// listen serves the API and the metrics.
func (d *daemon) listen(ctx context.Context, g *errgroup.Group) error {
	for _, e := range d.api {
		if err := d.listenAPI(ctx, g, api.Endpoint(e)); err != nil {
			return err
		}
	}
	if d.metrics == "" {
		return nil
	}
	ln, err := net.Listen("tcp", d.metrics)
	if err != nil {
		return fmt.Errorf("listen for Prometheus (--metrics): %w", err)
	}
	limited := d.limited(ln.Addr())
	d.serveHTTP(ctx, g, ln, d.open(limited), bounds{openTimeout, openConnections, limited})
	return nil
}

// open returns the handler for the address of --metrics. The work for all clients together is
// bounded. There are groups of requests, such as the metrics, the health checks and the large
// requests of the page. In each group, one request is answered at a time.
func (d *daemon) open(limited func(reason string)) http.Handler {
	limits := openLimits
	limits.Limited = limited
	answers := bounded.New(limits)
	all := metricsHandler(d.controller, d.registry)
	rest := http.NewServeMux()
	rest.Handle("/", answers.One(all, 0))
	rest.Handle("GET /metrics", answers.One(all, 1))
	if !d.openPage {
		return rest
	}
	reads := http.NewServeMux()
	large := answers.One(d.handler, 3)
	reads.Handle("GET /v1/topology", large)
	reads.Handle("GET /v1/routers/{id}/flows", large)
	reads.Handle("GET /v1/watch", answers.AtMost(openWatchers, bounded.Patient(d.handler, openLimits.Patience, limited)))
	reads.Handle("GET /v1/examination", bounded.Patient(page.Examination(d.handler), openLimits.Patience, limited))
	reads.Handle("/", answers.One(d.handler, 1))
	return page.Open(reads, rest, hostName(), pageNames(d.metrics)...)
}

func (d *daemon) listenAPI(ctx context.Context, g *errgroup.Group, e api.Endpoint) error {
	ln, err := api.Listen(e, d.access, d.log.Logger)
	if err != nil {
		return err
	}
	h := d.handler
	if d.pprof {
		h = withProfiles(h)
	}
	if d.page {
		h = page.Handler(h, hostName())
	}
	h = d.events.Requests(d.access.Guard(api.OwnOrigin(h)))
	limited := d.limited(ln.Addr())
	d.serveHTTP(ctx, g, ln, bounded.Patient(h, readPatience, limited), bounds{answerTimeout, apiConnections, limited})
	return nil
}

// withProfiles returns a handler that serves net/http/pprof and h.
func withProfiles(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// bounds are the limits of an HTTP server.
type bounds struct {
	begin       time.Duration // time until an answer begins
	connections int
	limited     func(reason string) // called for each client that is refused or disconnected
}

// serveHTTP serves h on ln until ctx is done.
func (d *daemon) serveHTTP(ctx context.Context, g *errgroup.Group, ln net.Listener, h http.Handler, o bounds) {
	connections := &bounded.Connections{Most: o.connections, Limited: o.limited}
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, WriteTimeout: o.begin, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ConnState: connections.State, ErrorLog: logging.Lines(d.log.HTTP(ln.Addr())),
	}
	g.Go(func() error {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP on %v: %w", ln.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
}

// A health reports the state of the controller.
type health interface {
	Status(context.Context) (controller.Status, error)
	Stuck() string
}

// metricsHandler serves /metrics, /healthz and /readyz. /healthz reports that the daemon
// works, /readyz that the switches have confirmed all flows.
func metricsHandler(c health, reg *prometheus.Registry) http.Handler {
	status := func(w http.ResponseWriter, r *http.Request) (controller.Status, bool) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		s, err := c.Status(ctx)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
		return s, err == nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := status(w, r); !ok {
			return
		}
		if stuck := c.Stuck(); stuck != "" {
			http.Error(w, stuck, http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		s, ok := status(w, r)
		switch {
		case !ok:
		case s.Settled:
			fmt.Fprintln(w, "ok")
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, "waiting: "+waitingFor(s))
		}
	})
	return mux
}
