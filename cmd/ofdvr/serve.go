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
	"github.com/ofdvr/ofdvr/internal/credentials"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/internal/sdnotify"
	"github.com/ofdvr/ofdvr/metrics"
)

// Where things are unless somebody says otherwise.
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
	topology, stateDir, ovsdb, bridge, metrics, logLevel, logFormat, logOpenFlow string
	openflow, api                                                                []string
	tls                                                                          credentials.Files
	maxAnswer, maxUnsolicited, maxUnidentified                                   int
	auditInterval                                                                time.Duration
	allowEmpty, standby, pprof, page, openPage                                   bool
	runDir                                                                       string
	access                                                                       api.Access // to the API
	ports                                                                        portMetrics
}

func newServe() *cobra.Command {
	var o serveOptions
	var config string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long: `Serve keeps Open vSwitch in line with what a topology file declares, what was
written through the API (ofdvr apply), or both, until it is told to stop.
SIGTERM ends it, and the switch goes on forwarding. A topology file that changes
is read again, as it is at SIGHUP; a file with mistakes changes nothing. A
service manager such as systemd is told when the daemon is ready, how far it is,
and that it works (sd_notify(3)).`,
		Example: `  ofdvr serve
  ofdvr serve --topology /etc/ofdvr/topology.yaml
  ofdvr serve --config /etc/ofdvr/ofdvr.yaml`,
		Args: cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if config != "" {
				if err := readConfig(cmd.Context(), config, cmd.Flags()); err != nil {
					return err
				}
			}
			o.openPage = o.page && (cmd.Flags().Changed("page") || onLoopback(o.metrics))
			if o.topology == "" && o.stateDir == "" {
				return usageError("there is nothing to learn from what to do: use --topology FILE, or a --state-dir and then ofdvr apply")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := user.LookupGroup(o.access.Group); err != nil && o.access.Group == defaultGroup {
				o.access.Group = "" // nobody has made it
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
	f.StringVar(&o.topology, "topology", "", "`FILE` that declares networks, routers and ports")
	f.StringVar(&o.stateDir, "state-dir", defaultStateDir, "`DIRECTORY` of the store that keeps what is written through the API; \"\" for none")
	f.StringSliceVar(&o.openflow, "openflow", []string{defaultOpenFlow}, "where bridges are met: `ENDPOINT,...` of tcp:ADDRESS:PORT, ssl:ADDRESS:PORT or punix:PATH, which are listened on, or unix:PATH, which is connected to")
	f.StringVar(&o.tls.PrivateKey, "private-key", "", "PEM `FILE` for ssl: endpoints")
	f.StringVar(&o.tls.Certificate, "certificate", "", "PEM `FILE` for ssl: endpoints")
	f.StringVar(&o.tls.CACert, "ca-cert", "", "PEM `FILE` that signs the switches' certificates")
	f.StringVar(&o.ovsdb, "ovsdb", defaultOVSDB, "Open vSwitch database, `unix:PATH` or tcp:ADDRESS:PORT; \"\" if all bridges are external")
	f.StringVar(&o.bridge, "integration-bridge", defaultBridge, "`bridge` that machines are plugged into")
	f.StringVar(&o.metrics, "metrics", defaultMetrics, "where Prometheus scrapes, `ADDRESS:PORT`; \"\" for nowhere")
	o.ports = defaultPortCount
	f.Var(&o.ports, "port-metrics", "which ports have metrics of their own: `PORTS` is a number, of those with the most packets, off or all")
	f.BoolVar(&o.page, "page", true, "serve the page, and what it reads, at the address of --metrics to whoever can reach it; if that is no loopback address, only with this flag")
	f.StringSliceVar(&o.api, "api", []string{defaultAPI}, "where the API is: `ENDPOINT,...` of unix:PATH, for its owner and group, or ssl:ADDRESS:PORT")
	f.StringVar(&o.access.Group, "api-group", defaultGroup, "`group` that may use the API's Unix sockets; if there is no group "+defaultGroup+", or for \"\", it is the daemon's own")
	f.StringVar(&o.access.TLS.PrivateKey, "api-private-key", "", "PEM `FILE` for ssl: endpoints of the API")
	f.StringVar(&o.access.TLS.Certificate, "api-certificate", "", "PEM `FILE` for ssl: endpoints of the API")
	f.StringVar(&o.access.TLS.CACert, "api-ca-cert", "", "PEM `FILE` that signs the certificates of clients, which are let in by ssl: endpoints of the API")
	f.StringVar(&o.access.TokenFile, "api-token-file", "", "`FILE` with a bearer token, with which clients are let in by ssl: endpoints of the API")
	f.IntVar(&o.maxAnswer, "max-answer", 1<<30, "`bytes` that a switch may answer to a request for its flows, before it is disconnected")
	f.IntVar(&o.maxUnsolicited, "max-unsolicited", 10_000, "`messages` a second, and ten times as many at once, that a switch may send without being asked, before it is disconnected")
	f.IntVar(&o.maxUnidentified, "max-unidentified", 512, "`connections` that may be open without saying whose they are, before the oldest is ended")
	f.DurationVar(&o.auditInterval, "audit-interval", 5*time.Minute, "`TIME` after which the flows of a bridge are read back and compared, and so are OVSDB and namespaces, in case something went unnoticed; for flows a tenth of it where the switch does not tell of changes")
	f.BoolVar(&o.allowEmpty, "allow-empty", false, "take in a topology without networks, routers and ports, which removes everything")
	f.BoolVar(&o.standby, "standby", false, "if another daemon runs, stand by and take over when it ends, instead of failing")
	f.StringVar(&o.runDir, "run-dir", defaultRunDir, "`DIRECTORY` for the lock that keeps a second daemon away, and for what outlives the daemon: counters, and the files of radvd")
	f.StringVar(&o.logLevel, "log-level", "info", "least important `LEVEL` to log: debug, info, warn or error")
	f.StringVar(&o.logOpenFlow, "log-openflow", "", "`ROUTER` whose OpenFlow messages are logged, all of them in ovs-ofctl's words, where the level is debug")
	f.StringVar(&o.logFormat, "log-format", "console", "`FORMAT` of the log: console for people, json for machines")
	f.BoolVar(&o.pprof, "pprof", false, "serve profiles of the daemon, /debug/pprof/, where the API is")
	f.StringVar(&config, "config", "", "YAML `FILE` whose keys are the names of these flags; a flag that is given overrides its key")
	return cmd
}

// radvdDir is where what radvd needs is, in a --run-dir.
func radvdDir(runDir string) string { return filepath.Join(runDir, "radvd") }

// instanceFile is where it is kept, in a --run-dir, which instance of ofdvr this is.
func instanceFile(runDir string) string { return filepath.Join(runDir, "instance") }

// namespacesDir is where it is kept, in a --run-dir, what namespaces were before.
func namespacesDir(runDir string) string { return filepath.Join(runDir, "namespaces") }

// serve runs the daemon until ctx is done. It returns nil if that is why it
// ended.
func serve(ctx context.Context, o serveOptions, log *logging.Log) error {
	hangup := make(chan os.Signal, 1) // one is enough: the file is read after it came
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	manager, err := sdnotify.FromEnvironment()
	if err != nil {
		return err
	}
	intent, err := newIntent(ctx, o, log.Logger)
	if err != nil {
		return err
	}
	var lead chan struct{} // closed when this daemon may lead; nil: it may at once
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
	defer func() { intent.close() }() // of the store that there is then
	if err := intent.open(ctx, lead == nil); err != nil {
		return err
	}
	surveyed := make(chan struct{}) // closed when it is known what exists
	c, err := controller.New(controller.Config{
		OpenFlow:          o.openflow,
		TLS:               o.tls,
		MaxAnswer:         o.maxAnswer,
		MaxUnsolicited:    o.maxUnsolicited,
		MaxUnidentified:   o.maxUnidentified,
		OVSDB:             o.ovsdb,
		IntegrationBridge: o.bridge,
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
	reg.MustRegister(metrics.NewState(metricsState(c, intent.size)))

	stopping := errors.New("stopping")
	parent := ctx
	g, ctx := errgroup.WithContext(ctx)
	log.Info("starting", zap.String("version", version()), zap.String("topology", o.topology))
	d := daemon{serveOptions: o, log: log, intent: intent, controller: c, registry: reg, events: events}
	d.handler = api.Handler(intent, c, log, version(), d.bodyLimited)
	if lead == nil {
		err = d.listen(ctx, g)
	} else {
		err = d.standBy(ctx, g, lock, lead)
	}
	if err != nil {
		return err
	}
	g.Go(func() error { return c.Run(ctx, intent.State()) })
	g.Go(func() error { return intent.Run(ctx, c) })
	g.Go(func() error { return intent.survey(ctx, lead, surveyed) })
	g.Go(func() error { return intent.reloadOn(ctx, hangup) })
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

// A daemon is what serves others.
type daemon struct {
	serveOptions
	log        *logging.Log
	intent     *intentKeeper
	controller *controller.Controller
	handler    http.Handler // of the API, the same for all that serve it
	registry   *prometheus.Registry
	events     *metrics.Events
}
