// Package lifecycle keeps the bridges, ports, taps and namespaces of managed routers: it compares
// OVSDB and the kernel with the intent, and corrects what differs. Intent comes in and reports go
// out as values; it knows nothing of switches, flows and where the intent comes from.
package lifecycle

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/internal/radvd"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// retryPause is how long after a failure another try is made, if nothing
// happens before.
const retryPause = time.Second

// Config is what a [Lifecycle] is told at its start. What it calls must not block for long.
type Config struct {
	// IntegrationBridge is the bridge that machines are plugged into.
	IntegrationBridge string
	// Target is what routing bridges connect to, such as tcp:127.0.0.1:6653.
	Target string
	// OVSDB is where ovsdb-server listens: unix:PATH or tcp:ADDRESS:PORT.
	OVSDB string
	// AuditInterval is how often everything is compared although nothing tells of a change.
	AuditInterval time.Duration
	// InstanceFile keeps what tells this ofdvr from others on the machine, see
	// [Instance]; "" means that it is not kept.
	InstanceFile string
	// NamespacesDir keeps what namespaces were before they were configured; "" means that it is not kept.
	NamespacesDir string
	// RadvdDir is where the radvds of routers have their files; "" means that no
	// router sends advertisements.
	RadvdDir string
	// Surveyed is closed when it is known whether ofdvr has made something on this host before,
	// see [Exists]. Nothing is made earlier: it would be taken for what was there. nil: it is
	// known at the start.
	Surveyed <-chan struct{}

	// Report is called after each pass.
	Report func(Report)
	// Kernel is called with how the namespace of a router routes, whenever that was read.
	Kernel func(router string, k *compile.Kernel)
	// Neighbours is called with the neighbours that the namespace of a router has
	// resolved, in order, whenever these are others. nil: they are not read.
	Neighbours func(router string, resolved []netip.Addr)
	// Moved is called with the announcements of the MAC addresses of a router that
	// have changed while no daemon ran. nil: they are not looked for.
	Moved func(router string, as []compile.Announcement)

	Recorder ovsdb.Recorder
	Log      *zap.Logger
}

// A Lifecycle keeps the bridges, ports, taps and namespaces of managed routers.
// Whenever the intent, the database or the kernel's links and settings change it looks at what has changed,
// and once in a while at everything, compares it with the intent and corrects what differs.
// Create it with [New], then call [Lifecycle.Run].
type Lifecycle struct {
	cfg    Config
	db     *ovsdb.Client
	links  *namespace.Watcher
	neighs *namespace.Neighbours // nil: see Config.Neighbours
	radvd  *radvd.Keeper         // nil: nothing sends router advertisements
	before *namespace.Backups    // nil: what namespaces were is not kept
	log    *zap.Logger
	wanted chan Intent // capacity 1: the latest that has not been looked at

	// These are work's.
	want     Intent              // without an Index before the first
	relaid   bool                // want is another since the last pass
	auditing bool                // the next pass is part of an audit
	routers  []*managed          // by ID
	byID     map[string]*managed // the same
	byTap    map[string]*managed // those whose taps have been made
	byName   map[string]*managed // those with a namespace, by its name
	kept     []string            // namespaces that no router wants and that were not deleted
	renamed  bool                // there are other namespaces, or others under the same names, since they were followed
	turn     int                 // the router that is next, of those that are due
	warned   map[warning]string  // the last errors

	database    database
	advertising errand
	removing    errand // of namespaces that no router wants

	rests func() // is called when there is nothing to do until something happens; nil but in tests

	activity activity

	mu       sync.Mutex
	instance string                   // see [Lifecycle.self]; only work writes it
	ports    map[string]compile.Ports // by router: the ports that its connected bridge has
	moved    map[string]bool          // routers whose bridges have other ports since the last pass
	wake     chan struct{}            // capacity 1: moved has more
}

// An errand is something besides the namespaces of routers that is done now and then.
type errand struct {
	pace
	problems problems // that it has found last
}

// problems are what to tell a person, by router; "" is all of them.
type problems map[string][]string

func (p problems) add(router, text string) { p[router] = append(p[router], text) }

// An Intent is what of the intent matters to bridges, ports and namespaces. What ports of
// networks it has does not matter.
type Intent struct {
	Layout   uint64 // grows when networks or routers change
	Index    *routing.Index
	Complete bool // what exists and is not in Index may be removed
}

// A Report is how far a [Lifecycle] has come.
type Report struct {
	Layout    uint64              // of the [Intent] that it is about
	Connected bool                // to ovsdb-server
	Bridges   map[string]bool     // all in the database, by name and by datapath ID, if Connected
	Complete  bool                // everything is as intended, but for the problems
	Settled   bool                // everything is as intended
	Problems  map[string][]string // by router; "" is all of them
	NotMade   map[string]string   // what to do about the bridges that had not connected, by router
	Waits     map[string]bool     // routers whose bridges lack taps; those of others are where they should be, if Complete
}

// New returns a Lifecycle. It fails if cfg is wrong.
func New(cfg Config) (*Lifecycle, error) {
	db, err := ovsdb.NewClient(ovsdb.Config{Endpoint: cfg.OVSDB, Logger: cfg.Log, Recorder: cfg.Recorder})
	if err != nil {
		return nil, err
	}
	l := &Lifecycle{cfg: cfg, db: db, links: namespace.NewWatcher(), log: cfg.Log, wanted: make(chan Intent, 1),
		database: newDatabase(), warned: make(map[warning]string), ports: make(map[string]compile.Ports), moved: make(map[string]bool), wake: make(chan struct{}, 1)}
	if cfg.NamespacesDir != "" {
		l.before = namespace.NewBackups(cfg.NamespacesDir)
	}
	if cfg.Neighbours != nil {
		l.neighs = namespace.NewNeighbours(cfg.Neighbours)
	}
	if cfg.RadvdDir != "" {
		if l.radvd, err = radvd.NewKeeper(cfg.RadvdDir, cfg.Log); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Want says what the intent is. It never blocks, and only the latest value
// counts. Only one goroutine may call it.
func (l *Lifecycle) Want(in Intent) {
	select {
	case <-l.wanted:
	default:
	}
	l.wanted <- in
}

// Ports says which ports the bridge of a router has, nil if it is not connected.
// A tap is not touched before its bridge has it: moving it while ovs-vswitchd
// still sets it up, also after a restart, would make that fail.
func (l *Lifecycle) Ports(router string, ports compile.Ports) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, known := l.ports[router]; known == (ports != nil) && maps.Equal(old, ports) {
		return
	}
	l.ports[router] = ports
	if ports == nil {
		delete(l.ports, router)
	}
	l.moved[router] = true
	select {
	case l.wake <- struct{}{}:
	default: // work has yet to look
	}
}

// takeMoved returns the routers whose bridges have other ports since the last call.
func (l *Lifecycle) takeMoved() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := slices.Collect(maps.Keys(l.moved))
	clear(l.moved)
	return ids
}

// number returns the number of a port that the connected bridge of a router has.
func (l *Lifecycle) number(router, port string) (ofproto.PortNo, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	no, ok := l.ports[router][port]
	return no, ok
}

// known reports whether the bridge of a router is connected, and its ports known.
func (l *Lifecycle) known(router string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.ports[router]
	return ok
}

// Run works until ctx is done. It does nothing before the first call of Want.
func (l *Lifecycle) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return l.db.Run(ctx) })
	g.Go(func() error { return l.links.Run(ctx) })
	if l.neighs != nil {
		g.Go(func() error { return l.neighs.Run(ctx) })
	}
	if l.radvd != nil {
		g.Go(func() error { return l.radvd.Run(ctx) })
	}
	g.Go(func() error { return l.work(ctx) })
	return g.Wait()
}
