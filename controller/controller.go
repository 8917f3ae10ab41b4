// Package controller makes the routing bridges of one host match the intent. It connects the
// parts. The model is compiled into flows, which are programmed over OpenFlow. Bridges, ports
// and taps are maintained through OVSDB and netlink.
//
// One goroutine, the world, owns the state of all routers and compiles their flows. Each
// connected switch has a session with a reconciler (package reconcile), which owns the state
// of that switch. Another goroutine, the lifecycle, owns bridges and namespaces. They send
// each other the latest state, never a history.
package controller

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/internal/credentials"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Config configures a [Controller].
type Config struct {
	// OpenFlow are the endpoints for switches. The controller listens on tcp:ADDRESS:PORT,
	// ssl:ADDRESS:PORT and punix:PATH, and connects to unix:PATH, the management socket of a
	// bridge. Managed bridges connect to the first tcp: or ssl: endpoint.
	OpenFlow []string
	// TLS is needed for ssl: endpoints.
	TLS credentials.Files
	// OVSDB is the address of ovsdb-server: unix:PATH or tcp:ADDRESS:PORT. "" means that no
	// connection is made; then there must be no managed routers.
	OVSDB string
	// IntegrationBridge is the bridge that has the ports of machines.
	IntegrationBridge string
	// Host is the ID of this host among the hosts of the intent.
	Host string
	// Current reports whether the current version of the topology file is in the intent, or was
	// rejected. nil means always.
	Current func() bool
	// Claims receives all claims of this host when some have changed, for the store that hosts share.
	// It must not block. nil means that there is no such store.
	Claims func(map[hosts.ClaimedPort]hosts.Claim)
	// Version is ofdvr's version, which other hosts show.
	Version string
	// EchoInterval is the time after which a silent switch is probed. After twice that time it
	// is disconnected. 0 means 5 s.
	EchoInterval time.Duration
	// AuditInterval is the time between two audits, which find changes that went unnoticed. An
	// audit reads all flows of a switch, or compares OVSDB and the namespaces with the intent. A
	// switch that does not report flow changes is read ten times as often. 0 means 5 minutes.
	AuditInterval time.Duration
	// Lead is closed when this daemon may make changes; nil means from the start. Until then
	// it stands by: it connects to the management sockets of bridges and reads their flows, so
	// that it can take over at once.
	Lead <-chan struct{}
	// CountersFile keeps the counters when the daemon ends, so that the next daemon continues
	// from them; "" means that counters start from the values of the switches.
	CountersFile string
	// BridgesFile records which external bridges may have flows of ours. If a router is removed
	// while no daemon runs, the next daemon thus deletes the router's flows. "" means no record.
	BridgesFile string
	// Ports is the number of ports that [Controller.Counters] includes: those with the most
	// packets. 0 means none, a negative number means all.
	Ports int
	// InstanceFile holds the ID that distinguishes this ofdvr from others on the machine, see
	// [lifecycle.Instance]; "" means no file.
	InstanceFile string
	// NamespacesDir holds the settings that namespaces had before they were configured. They
	// are restored when a namespace outlives its router; "" means that they are not restored.
	NamespacesDir string
	// RadvdDir holds the files of the routers' radvd processes, which outlive the daemon; ""
	// means that no router sends advertisements.
	RadvdDir string
	// Surveyed is closed when it is known whether ofdvr has made anything on this host before, see
	// [lifecycle.Exists]. Until then no bridge, port or namespace is made. nil means that it is
	// known from the start.
	Surveyed <-chan struct{}
	// Limits on a peer; a peer that exceeds one is disconnected. For the meaning of 0 see
	// [ofconn.Config]; for MaxUnidentified it means 512.
	MaxAnswer       int // bytes in an answer
	MaxUnsolicited  int // messages a second that answer no request, in bursts of up to ten times as many
	MaxUnidentified int // connections without a completed handshake; beyond that the oldest is closed
	// Messages is the log for all OpenFlow messages of one router; nil means no log. LogRouter
	// is that router at the start, "" for none; [Controller.LogMessages] changes it.
	Messages  *zap.Logger
	LogRouter string
}

func (c *Controller) conn() ofconn.Config {
	return ofconn.Config{Unidentified: true, EchoInterval: c.cfg.EchoInterval, MaxAnswer: c.cfg.MaxAnswer, MaxUnsolicited: c.cfg.MaxUnsolicited, RoundTrip: c.rec.RoundTrip}
}

// A Recorder records what the controller does. Package metrics implements it.
type Recorder interface {
	reconcile.Recorder
	ovsdb.Recorder
	// Connected records that the bridge of a router has connected.
	Connected(router string)
	// RoundTrip records how long a switch took to answer an echo request.
	RoundTrip(took time.Duration)
	// Applied records the time from a change of the intent until the switch of an affected
	// router has confirmed it.
	Applied(router string, took time.Duration)
	// Disconnected records that a connection was refused or has ended; reason is one of
	// refusalReasons or "closed". Connections that the controller ends in regular operation
	// are not recorded.
	Disconnected(reason string)
	// CountersRefused records that n counters of flows grew by an implausible amount and were
	// not added.
	CountersRefused(n int)
}

// defaultAudit is long, because Open vSwitch reports every change.
const defaultAudit = 5 * time.Minute

// A Controller makes routing bridges match the intent. Create it with [New], then call
// [Controller.Run]. Its other methods may be called from any goroutine while Run runs.
type Controller struct {
	cfg      Config
	log      *zap.Logger
	messages *zap.Logger // of OpenFlow
	began    time.Time
	rec      Recorder

	events    chan event           // buffered, so that senders seldom wait; see [Controller.handle]
	stopped   chan struct{}        // closed when the world has ended
	lifecycle *lifecycle.Lifecycle // nil without OVSDB
	machines  *machines.Observer   // nil without OVSDB
	stuck     func() string        // Lifecycle.Stuck; nil without OVSDB
	counters  *counters.Book
	external  external // owned by the world

	endpoints    []endpoint
	credentials  *credentials.Credentials // nil without ssl: endpoints
	standbys     sync.WaitGroup           // sessions that were made while standing by
	leads        atomic.Bool              // set just before the world's lead
	refusals     sampler
	limits       limits
	unadmitted   atomic.Pointer[unadmitted]
	unidentified unidentified
	budget       *ofconn.Budget // memory for reports of flows and ports that are not in the intent
	underlay     underlay
}

// New returns a Controller that reports to rec. It fails if cfg is invalid.
func New(cfg Config, rec Recorder, log *zap.Logger) (*Controller, error) {
	if cfg.MaxUnidentified <= 0 {
		cfg.MaxUnidentified = defaultMaxUnidentified
	}
	if cfg.AuditInterval <= 0 {
		cfg.AuditInterval = defaultAudit
	}
	if cfg.Messages == nil {
		cfg.Messages = zap.NewNop()
	}
	c := &Controller{
		cfg:          cfg,
		messages:     cfg.Messages,
		began:        time.Now(),
		log:          log,
		rec:          rec,
		events:       make(chan event, 64),
		stopped:      make(chan struct{}),
		unidentified: newUnidentified(cfg.MaxUnidentified),
		external:     external{file: cfg.BridgesFile},
	}
	c.counters = c.newCounters()
	c.budget = ofconn.NewBudget(peerBudget, c.memoryShort)
	for _, target := range cfg.OpenFlow {
		e, err := parseEndpoint(target)
		if err != nil {
			return nil, err
		}
		c.endpoints = append(c.endpoints, e)
		if e.kind == "ssl" && c.credentials == nil {
			if c.credentials, err = loadCredentials(cfg.TLS, log); err != nil {
				return nil, err
			}
		}
	}
	if cfg.OVSDB != "" {
		var err error
		if c.lifecycle, err = lifecycle.New(lifecycle.Config{
			IntegrationBridge: cfg.IntegrationBridge, Host: cfg.Host, Target: c.target(), OVSDB: cfg.OVSDB, AuditInterval: cfg.AuditInterval,
			InstanceFile: cfg.InstanceFile, NamespacesDir: cfg.NamespacesDir, RadvdDir: cfg.RadvdDir,
			Surveyed: cfg.Surveyed, Recorder: rec, Log: log,
			Report:     func(r lifecycle.Report) { c.post(lifecyclePassed{r}) },
			Kernel:     func(router string, k *compile.Kernel) { c.post(kernelRead{router, k}) },
			Neighbours: func(router string, resolved []netip.Addr) { c.post(neighboursRead{router, resolved}) },
			Moved:      func(router string, as []compile.Announcement) { c.post(macsMoved{router, as}) },
		}); err != nil {
			return nil, err
		}
		c.stuck = c.lifecycle.Stuck
		c.machines = machines.NewObserver(c.lifecycle, cfg.OVSDB, cfg.IntegrationBridge, c.bridgeConnected)
	}
	return c, nil
}

// target returns the controller target for bridges on this host, "" if no endpoint has one.
func (c *Controller) target() string {
	for _, e := range c.endpoints {
		if t := e.target(); t != "" {
			return t
		}
	}
	return ""
}

// Run runs the controller until ctx is done or an endpoint fails. first is the intent until
// [Controller.Load] changes it. The switches keep forwarding afterwards. The error is never
// nil; it is ctx's cause if ctx was canceled. When Run returns, every goroutine that it
// started has ended.
func (c *Controller) Run(ctx context.Context, first *ledger.Intent) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(c.stopped)
		return c.runWorld(ctx, first)
	})
	g.Go(func() error {
		defer c.standbys.Wait()
		if c.cfg.Lead != nil {
			if err := c.standBy(ctx); err != nil {
				return err
			}
		}
		return c.runLead(ctx)
	})
	return g.Wait()
}

// runLead accepts switches and maintains bridges and namespaces until ctx is done.
func (c *Controller) runLead(ctx context.Context) error {
	c.leads.Store(true)
	if _, err := request(ctx, c, func(answer chan<- struct{}) event { return leadTaken{answer} }); err != nil {
		return err
	}
	listeners := make(map[endpoint]net.Listener)
	defer func() {
		for _, ln := range listeners {
			ln.Close()
		}
	}()
	for _, e := range c.endpoints {
		if e.kind == "unix" {
			continue
		}
		ln, err := e.listen(ctx)
		if err != nil {
			return err
		}
		listeners[e] = ln
		c.log.Info("listening for switches", zap.Stringer("openflow", e))
	}
	g, ctx := errgroup.WithContext(ctx)
	if c.lifecycle != nil {
		g.Go(func() error { return c.lifecycle.Run(ctx) })
	}
	for _, e := range c.endpoints {
		ln := listeners[e]
		if ln == nil {
			g.Go(func() error { return c.dial(ctx, ctx, e, false) })
			continue
		}
		g.Go(func() error { return c.accept(ctx, e, ln) })
		g.Go(func() error {
			<-ctx.Done()
			ln.Close()
			return context.Cause(ctx)
		})
	}
	return g.Wait()
}

// Load makes s the intent. touched are the IDs of the routers that the change affects. Load
// returns when the change is queued, before all later requests.
func (c *Controller) Load(s *ledger.Intent, touched []string) {
	c.post(intentChanged{s, touched})
}
