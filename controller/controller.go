// Package controller makes the routing bridges of one host do what the intent
// says. It is where the parts meet: the model is compiled into flows, which are
// programmed over OpenFlow; bridges, ports and taps are kept by OVSDB and
// netlink.
//
// One goroutine, the world, owns what is known and compiles. Each connected
// switch has a session, and in it a reconciler, of package reconcile, that owns
// what is believed about that switch. Another goroutine, the lifecycle, owns bridges and namespaces.
// They tell each other the latest state, never a history.
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
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/controller/reconcile"
	"github.com/ofdvr/ofdvr/internal/credentials"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Config is what a [Controller] is told at its start.
type Config struct {
	// OpenFlow is where switches are met: tcp:ADDRESS:PORT, ssl:ADDRESS:PORT
	// and punix:PATH are listened on, unix:PATH, a bridge's own management
	// socket, is connected to. Managed bridges connect to the first tcp: or ssl:.
	OpenFlow []string
	// TLS is needed for ssl: endpoints.
	TLS credentials.Files
	// OVSDB is where ovsdb-server listens: unix:PATH or tcp:ADDRESS:PORT. ""
	// means that there are no managed routers and that no connection is made.
	OVSDB string
	// IntegrationBridge is the bridge that machines are plugged into.
	IntegrationBridge string
	// EchoInterval is how long a switch may be silent at the most before it is
	// probed; after twice that it counts as dead. 0 means 5 s.
	EchoInterval time.Duration
	// AuditInterval is how often the flows of a switch are read back in full, and
	// OVSDB and namespaces compared with the intent, in case something went unnoticed; of a
	// switch that does not tell of changes, ten times as often. 0 means 5 minutes.
	AuditInterval time.Duration
	// Lead is closed when this daemon may change something; nil means that it may
	// from the start. Until then it stands by: it connects to the bridges' own
	// sockets and knows what they hold, so that it can take over at once.
	Lead <-chan struct{}
	// CountersFile keeps what was counted when the daemon ends, so that its
	// successor goes on counting; "" means that it starts from what the switches
	// have.
	CountersFile string
	// BridgesFile keeps which external bridges may have flows of ours, so that those of
	// routers that are removed while no daemon runs are deleted; "" keeps nothing.
	BridgesFile string
	// Ports is how many ports, those with the most packets, [Controller.Counters] have; 0
	// means none, less than 0 all.
	Ports int
	// InstanceFile is where it is kept what tells this ofdvr from others on the machine, see
	// [lifecycle.Instance]; "" means nowhere.
	InstanceFile string
	// NamespacesDir keeps what namespaces were before they were configured, so that those which
	// outlive their router get that back; "" means nowhere.
	NamespacesDir string
	// RadvdDir is where the radvds of routers, which outlive the daemon, have their
	// files; "" means that no router sends advertisements.
	RadvdDir string
	// Surveyed is closed when it is known whether ofdvr has made something on this host
	// before, see [lifecycle.Exists]; until then no bridge, port or namespace is made. nil
	// means that it is known at the start.
	Surveyed <-chan struct{}
	// Limits on what a peer may do, before it is disconnected. For 0 see
	// [ofconn.Config] and, for MaxUnidentified, 512.
	MaxAnswer       int // bytes of an answer
	MaxUnsolicited  int // messages a second that answer nothing; ten times as many at once
	MaxUnidentified int // connections that have not said who they are; then the oldest goes
	// Messages is where the OpenFlow messages of one router are logged, all of them;
	// nil means nowhere. LogRouter is that router, "" for none, until
	// [Controller.LogMessages] says otherwise.
	Messages  *zap.Logger
	LogRouter string
}

func (c *Controller) conn() ofconn.Config {
	return ofconn.Config{Unidentified: true, EchoInterval: c.cfg.EchoInterval, MaxAnswer: c.cfg.MaxAnswer, MaxUnsolicited: c.cfg.MaxUnsolicited, RoundTrip: c.rec.RoundTrip}
}

// A Recorder is told what the controller does. Package metrics implements it.
type Recorder interface {
	reconcile.Recorder
	ovsdb.Recorder
	// Connected is told of each connection of a router's bridge.
	Connected(router string)
	// RoundTrip is told how long a switch took to answer an echo request.
	RoundTrip(took time.Duration)
	// Applied is told how long it took from a change of the intent to its
	// confirmation by the switch of a router to which it matters.
	Applied(router string, took time.Duration)
	// Disconnected is told of each connection that has ended, but for those that
	// the controller ended without being given cause, and of those that were
	// refused: one of the words of refusalReasons, or closed.
	Disconnected(reason string)
	// CountersRefused is told of so many counters of flows that have grown by more than is
	// possible, and that were not added.
	CountersRefused(n int)
}

// defaultAudit is long, because Open vSwitch tells of every change.
const defaultAudit = 5 * time.Minute

// A Controller makes routing bridges do what the intent says. Create it with
// [New], then call [Controller.Run]. Its other methods may be called from any
// goroutine while Run runs.
type Controller struct {
	cfg      Config
	log      *zap.Logger
	messages *zap.Logger // of OpenFlow
	began    time.Time
	rec      Recorder

	events    chan event           // a few, so that senders seldom wait; see [Controller.handle]
	stopped   chan struct{}        // closed when the world has ended
	lifecycle *lifecycle.Lifecycle // nil without OVSDB
	stuck     func() string        // of the lifecycle; nil without OVSDB
	counters  *counters.Book
	external  external // the world's

	endpoints    []endpoint
	credentials  *credentials.Credentials // nil without ssl: endpoints
	standbys     sync.WaitGroup           // sessions that were made while standing by
	leads        atomic.Bool              // the world's lead is true, or will be very soon
	refusals     sampler
	limits       limits
	unadmitted   atomic.Pointer[unadmitted]
	unidentified unidentified
	budget       *ofconn.Budget // of what switches tell of and no router wants
}

// New returns a Controller that tells rec what it does. It fails if cfg is
// wrong.
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
			IntegrationBridge: cfg.IntegrationBridge, Target: c.target(), OVSDB: cfg.OVSDB, AuditInterval: cfg.AuditInterval,
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
	}
	return c, nil
}

// target returns the target that bridges on this host connect to, "" if there
// is none.
func (c *Controller) target() string {
	for _, e := range c.endpoints {
		if t := e.target(); t != "" {
			return t
		}
	}
	return ""
}

// Run works until ctx is done or an endpoint fails, with first as the intent
// until [Controller.Load] changes it. The switches keep forwarding afterwards.
// The error is never nil; it is ctx's cause if ctx was canceled. When Run
// returns, everything that it started has ended.
func (c *Controller) Run(ctx context.Context, first *ledger.State) error {
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

// runLead meets switches and keeps bridges and namespaces until ctx is done.
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

// Load makes s the intent. touched are the IDs of the routers to which the
// change matters. It returns when that is sure to happen next, before anything
// that is asked for afterwards.
func (c *Controller) Load(s *ledger.State, touched []string) {
	c.post(intentChanged{s, touched})
}
