package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/history"
	"github.com/ofdvr/ofdvr/internal/credentials"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/internal/sdnotify"
	"github.com/ofdvr/ofdvr/metrics"
)

// Default values of flags.
const (
	defaultOpenFlow = "tcp:127.0.0.1:6653"
	defaultOVSDB    = "unix:/var/run/openvswitch/db.sock"
	defaultAPI      = "unix:/run/ofdvr/api.sock"
	defaultMetrics  = "127.0.0.1:9476"
	defaultBridge   = "br-int"
	defaultRunDir   = "/run/ofdvr"
	defaultStateDir = "/var/lib/ofdvr"
	defaultGroup    = "ofdvr"
)

// serveOptions are the flags of ofdvr serve, which are also the keys of its
// configuration file.
type serveOptions struct {
	topology, stateDir, ovsdb, bridge, host, metrics, logLevel, logFormat, logOpenFlow string
	openflow, api                                                                      []string
	tls                                                                                credentials.Files
	maxAnswer, maxUnsolicited, maxUnidentified                                         int
	auditInterval                                                                      time.Duration
	allowEmpty, standby, pprof, page, openPage                                         bool
	runDir                                                                             string
	access                                                                             api.Access // to the API
	ports                                                                              portMetrics
	etcd                                                                               etcdOptions
	tunnel                                                                             tunnelOptions
}

func newServe() *cobra.Command {
	var o serveOptions
	var config string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Serve keeps Open vSwitch in line with the intent, which comes from a topology
file, from the API (ofdvr apply), or from both. SIGTERM ends the daemon, and the
switch goes on forwarding. The topology file is read again when it changes and
at SIGHUP. A file with mistakes changes nothing. Serve reports its readiness,
its progress and its health to systemd (sd_notify(3)).`,
		Example: `  ofdvr serve
  ofdvr serve --topology /etc/ofdvr/topology.yaml
  ofdvr serve --config /etc/ofdvr/ofdvr.yaml`,
		Args: arguments(),
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.load(cmd.Context(), config, cmd.Flags()); err != nil {
				return err
			}
			o.openPage = o.page && (cmd.Flags().Changed("page") || onLoopback(o.metrics))
			if o.topology == "" && o.stateDir == "" {
				return usageError("no source of intent configured: give --topology FILE, --state-dir DIRECTORY or both")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := user.LookupGroup(o.access.Group); err != nil && o.access.Group == defaultGroup {
				o.access.Group = "" // the group does not exist
			}
			log, err := logging.New(o.logLevel, o.logFormat)
			if err != nil {
				return fmt.Errorf("set up logging (--log-level, --log-format): %w", err)
			}
			defer log.Sync()
			return boundStop(cmd.Context(), stopLimit, func() error { return serve(cmd.Context(), o, log) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.topology, "topology", "", "topology `FILE`. Objects that it declares can be changed only in this file")
	f.StringVar(&o.stateDir, "state-dir", defaultStateDir, "`DIRECTORY` of the store of objects written through the API or, with --etcd, of the copy of its objects for a start without it; \"\" for neither. The directory must belong to root or the daemon's user, and no other user may be able to write to it or replace it")
	o.etcd.flags(f, ": the intent that all hosts share. Writes through the API go there, and the own store of --state-dir is not used")
	f.StringSliceVar(&o.openflow, "openflow", []string{defaultOpenFlow}, "OpenFlow `ENDPOINT,...`: the daemon listens on tcp:ADDRESS:PORT, ssl:ADDRESS:PORT and punix:PATH, and connects to unix:PATH. Managed bridges connect to the first tcp: or ssl: endpoint")
	f.StringVar(&o.tls.PrivateKey, "private-key", "", "PEM `FILE` with the daemon's private key, for ssl: endpoints")
	f.StringVar(&o.tls.Certificate, "certificate", "", "PEM `FILE` with the daemon's certificate, for ssl: endpoints")
	f.StringVar(&o.tls.CACert, "ca-cert", "", "PEM `FILE` with the CA that signs the switches' certificates, for ssl: endpoints")
	f.StringVar(&o.ovsdb, "ovsdb", defaultOVSDB, "Open vSwitch database, `unix:PATH` or tcp:ADDRESS:PORT; \"\" if all bridges are external")
	f.StringVar(&o.bridge, "integration-bridge", defaultBridge, "`bridge` with the machines' ports. It must exist")
	f.StringVar(&o.host, "host", "", "`ID` that this machine has in hosts of the intent; default: its hostname")
	f.StringVar(&o.tunnel.address, "tunnel-address", "", "`ADDRESS` of this machine that other hosts reach, which it registers in etcd with its ID")
	f.StringVar(&o.tunnel.kind, "tunnel-type", "", "`TYPE` of the tunnel that --tunnel-address registers: geneve or vxlan; default: that of the host in etcd, or geneve")
	f.StringVar(&o.metrics, "metrics", defaultMetrics, "`ADDRESS:PORT` of /metrics, /healthz, /readyz and the page; \"\" for none")
	o.ports = defaultPortCount
	f.Var(&o.ports, "port-metrics", "`PORTS` that have metrics of their own: off, all, or a number N (the N ports with the most packets)")
	f.BoolVar(&o.page, "page", true, "serve the page, and the part of the API that it reads, at the address of --metrics, without authentication. If this address is not loopback, the page is served only if this flag is given")
	f.StringSliceVar(&o.api, "api", []string{defaultAPI}, "API `ENDPOINT,...`: unix:PATH for the owner and group of the socket, ssl:ADDRESS:PORT for clients with a certificate or the token; \"\" for none")
	f.StringVar(&o.access.Group, "api-group", defaultGroup, "`group` that may use the API's Unix sockets. \"\", or a group "+defaultGroup+" that does not exist: the daemon's own group")
	f.StringVar(&o.access.TLS.PrivateKey, "api-private-key", "", "PEM `FILE` with the daemon's private key, for ssl: endpoints of the API")
	f.StringVar(&o.access.TLS.Certificate, "api-certificate", "", "PEM `FILE` with the daemon's certificate, for ssl: endpoints of the API")
	f.StringVar(&o.access.TLS.CACert, "api-ca-cert", "", "PEM `FILE` with the CA that signs the certificates of clients, for ssl: endpoints of the API")
	f.StringVar(&o.access.TokenFile, "api-token-file", "", "`FILE` with a bearer token of at least 16 characters that admits clients to ssl: endpoints of the API")
	f.IntVar(&o.maxAnswer, "max-answer", 1<<30, "`bytes` that a switch may send in answer to one request. A switch that sends more is disconnected")
	f.IntVar(&o.maxUnsolicited, "max-unsolicited", 10_000, "unsolicited `messages` that a switch may send in a second on average, and ten times as many in a burst. A switch that sends more is disconnected")
	f.IntVar(&o.maxUnidentified, "max-unidentified", 512, "`connections` that may be open while their switches are not identified. If there are more, the oldest is closed")
	f.DurationVar(&o.auditInterval, "audit-interval", 5*time.Minute, "`TIME` between audits. An audit reads flows, OVSDB and namespaces and compares them with the intent, in case a change went unnoticed. Flows of switches without a flow monitor are audited ten times as often")
	f.BoolVar(&o.allowEmpty, "allow-empty", false, "accept a topology file without networks, routers and ports, which removes everything. Without this flag such a file is an error")
	f.BoolVar(&o.standby, "standby", false, "if another daemon runs, stand by and take over when it ends, instead of failing")
	f.StringVar(&o.runDir, "run-dir", defaultRunDir, "`DIRECTORY` of the lock that prevents a second daemon, and of state that the next daemon needs: counters, radvd's files, earlier settings of namespaces, and the name of this instance. A second ofdvr with its own Open vSwitch needs its own directory. The directory must belong to root or the daemon's user, and no other user may be able to write to it or replace it")
	f.StringVar(&o.logLevel, "log-level", "info", "lowest `LEVEL` to log: debug, info, warn or error")
	f.StringVar(&o.logOpenFlow, "log-openflow", "", "`ROUTER` whose OpenFlow messages are logged, in the syntax of ovs-ofctl, at level debug")
	f.StringVar(&o.logFormat, "log-format", "console", "`FORMAT` of the log: console for people, json for programs")
	f.BoolVar(&o.pprof, "pprof", false, "serve profiles of the daemon, /debug/pprof/, at the API's endpoints")
	f.StringVar(&config, "config", "", "YAML `FILE` whose keys are the names of these flags. A flag on the command line overrides its key")
	return cmd
}

// radvdDir returns the directory of radvd's files in a --run-dir.
func radvdDir(runDir string) string { return filepath.Join(runDir, "radvd") }

// instanceFile returns the file in a --run-dir with the name of this instance of ofdvr.
func instanceFile(runDir string) string { return filepath.Join(runDir, "instance") }

// namespacesDir returns the directory in a --run-dir with the earlier settings of namespaces.
func namespacesDir(runDir string) string { return filepath.Join(runDir, "namespaces") }

// serve runs the daemon until ctx is done, and then returns nil.
func serve(ctx context.Context, o serveOptions, log *logging.Log) error {
	hangup := make(chan os.Signal, 1) // capacity 1 is enough, because the file is read after the signal
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	manager, err := sdnotify.FromEnvironment()
	if err != nil {
		return err
	}
	if o.host == "" {
		if o.host, err = os.Hostname(); err != nil {
			return fmt.Errorf("read the hostname, which is this machine's ID among the hosts of the intent (--host gives another): %w", err)
		}
	}
	intent, err := newIntent(ctx, o, log.Logger)
	if err != nil {
		return err
	}
	var lead chan struct{} // closed when this daemon may lead; nil if it leads from the start
	lock, err := takeLock(o.runDir)
	switch {
	case errors.Is(err, errLocked) && o.standby:
		lead = make(chan struct{})
	case err != nil:
		return err
	}
	defer lock.Close()
	reg := prometheus.NewRegistry()
	events := metrics.New(reg, version())
	intent.commit = events.StoreCommit
	defer func() { intent.close() }() // evaluate intent.close at the end: opening a store replaces it
	if err := intent.open(ctx, lead == nil); err != nil {
		return err
	}
	surveyed := make(chan struct{}) // closed when the survey of existing bridges and namespaces is done
	c, err := controller.New(controller.Config{
		OpenFlow:          o.openflow,
		TLS:               o.tls,
		MaxAnswer:         o.maxAnswer,
		MaxUnsolicited:    o.maxUnsolicited,
		MaxUnidentified:   o.maxUnidentified,
		OVSDB:             o.ovsdb,
		IntegrationBridge: o.bridge,
		Host:              o.host,
		Claims:            intent.claims(),
		Current:           intent.current(),
		Version:           version(),
		AuditInterval:     o.auditInterval,
		CountersFile:      filepath.Join(o.runDir, "counters.json"),
		BridgesFile:       filepath.Join(o.runDir, "external-bridges.json"),
		Ports:             int(o.ports),
		RadvdDir:          radvdDir(o.runDir),
		InstanceFile:      instanceFile(o.runDir),
		NamespacesDir:     namespacesDir(o.runDir),
		Lead:              lead,
		Surveyed:          surveyed,
		Messages:          log.All,
		LogRouter:         o.logOpenFlow,
	}, events, log.Logger)
	if err != nil {
		return err
	}
	reg.MustRegister(metrics.NewState(metricsState(c, intent)))

	stopping := errors.New("stopping")
	parent := ctx
	g, ctx := errgroup.WithContext(ctx)
	log.Info("starting", zap.String("version", version()), zap.String("topology", o.topology))
	d := daemon{serveOptions: o, log: log, intent: intent, controller: c, registry: reg, events: events}
	rates := history.New()
	var switches api.Switches = measured{c, rates}
	if intent.member != nil {
		switches = shared{measured{c, rates}, intent.member, intent.copy}
	}
	d.handler = api.Handler(intent, switches, log, version(), d.bodyLimited, intent.others(o.host))
	if lead == nil {
		err = d.listen(ctx, g)
	} else {
		err = d.standBy(ctx, g, lock, lead)
	}
	if err != nil {
		return err
	}
	g.Go(func() error { return c.Run(ctx, intent.Intent()) })
	g.Go(func() error { return intent.Run(ctx, c) })
	g.Go(func() error { return intent.survey(ctx, lead, surveyed) })
	g.Go(func() error { return intent.runMember(ctx, lead, c) })
	g.Go(func() error { return intent.runCopy(ctx, lead) })
	g.Go(func() error { return intent.reloadOn(ctx, hangup) })
	g.Go(func() error { return intent.answer(ctx, lead, o.host, api.Answerer(d.handler, version())) })
	g.Go(func() error { return rates.Run(ctx, c.Glance) })
	g.Go(func() error { return giveBackMemory(ctx) })
	g.Go(func() error { return (&reporter{Notifier: manager, log: log.Logger, status: c.Status}).run(ctx) })
	g.Go(func() error {
		select {
		case <-parent.Done():
			return stopping
		case <-ctx.Done(): // something has failed
			return context.Cause(ctx)
		}
	})
	err = g.Wait()
	if parent.Err() != nil {
		log.Info("stopped, the switch goes on forwarding")
		return nil
	}
	return err
}

// measured is the controller together with the history of its rates.
type measured struct {
	*controller.Controller
	*history.History
}

// A daemon serves the API, the metrics and the page.
type daemon struct {
	serveOptions
	log        *logging.Log
	intent     *intentKeeper
	controller *controller.Controller
	handler    http.Handler // handler of the API, the same for all endpoints
	registry   *prometheus.Registry
	events     *metrics.Events
}
