// Package lifecycle maintains the bridges, ports, taps and namespaces of managed routers. It
// compares OVSDB and the kernel with the intent, and corrects differences. It receives the
// intent and sends reports as values. It does not depend on switches, flows or sources of the
// intent.
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

// retryPause is the time between a failure and the next attempt. A change can cause an earlier
// attempt.
const retryPause = time.Second

// Config configures a [Lifecycle]. Its functions must not block for long.
type Config struct {
	// IntegrationBridge is the bridge that has the ports of machines.
	IntegrationBridge string
	// Host is this host's ID in the intent's list of hosts.
	Host string
	// Target is the controller target of routing bridges, such as tcp:127.0.0.1:6653.
	Target string
	// OVSDB is the address of ovsdb-server: unix:PATH or tcp:ADDRESS:PORT.
	OVSDB string
	// AuditInterval is the time between two audits. An audit compares everything, even without
	// notification of a change.
	AuditInterval time.Duration
	// InstanceFile holds the name of this instance, see [Instance]; "" means no file.
	InstanceFile string
	// NamespacesDir holds the original settings of namespaces; "" means that they are not
	// kept.
	NamespacesDir string
	// RadvdDir holds the files of the routers' radvd processes; "" means that no router sends
	// advertisements.
	RadvdDir string
	// Surveyed is closed when the caller knows whether ofdvr has made objects on this host before,
	// see [Exists]. Until then the lifecycle makes no objects, because they would look like those
	// of an earlier installation. nil means that the caller knows from the start.
	Surveyed <-chan struct{}

	// Report is called after each pass.
	Report func(Report)
	// Kernel is called with the rules and routes of a router's namespace after each reading.
	Kernel func(router string, k *compile.Kernel)
	// Neighbours is called with the sorted resolved neighbours of a router's namespace when they
	// change. If it is nil, they are not read.
	Neighbours func(router string, resolved []netip.Addr)
	// Moved is called if MAC addresses of a router changed while no daemon ran. Its argument
	// announces the new addresses. If Moved is nil, the lifecycle does not search for such changes.
	Moved func(router string, as []compile.Announcement)

	Recorder ovsdb.Recorder
	Log      *zap.Logger
}

// A Lifecycle maintains the bridges, ports, taps and namespaces of managed routers. When the
// intent, the database, or links and settings of the kernel change, it compares the changed
// part with the intent and corrects differences. Periodically it compares everything. Create
// it with [New], then call [Lifecycle.Run].
type Lifecycle struct {
	cfg    Config
	db     *ovsdb.Client
	links  *namespace.Watcher
	neighs *namespace.Neighbours // nil if Config.Neighbours is nil
	radvd  *radvd.Keeper         // nil if no router sends router advertisements
	before *namespace.Backups    // nil if original settings are not kept
	log    *zap.Logger
	wanted chan Intent // capacity 1; has the latest intent until it is handled

	// Owned by work.
	want      Intent              // Index is nil before the first intent
	newIntent bool                // want has changed since the last pass
	auditing  bool                // the next pass is part of an audit
	routers   []*managed          // by ID
	byID      map[string]*managed // the same
	byTap     map[string]*managed // router of each tap that has been made, by the tap's name
	byName    map[string]*managed // routers by the name of their namespace
	kept      []string            // unused namespaces that could not be deleted
	renamed   bool                // the set of watched namespaces has changed
	turn      int                 // index of the router to inspect next
	warned    map[warning]string  // the last errors that were logged

	database    database
	advertising task
	removing    task // of unused namespaces

	idle func() // for tests: called when the lifecycle has nothing to do until the next event

	activity activity

	mu       sync.Mutex
	instance string                   // see [Lifecycle.self]; written by work only
	ports    map[string]compile.Ports // ports of each connected bridge, by router
	moved    map[string]bool          // routers with bridge ports that have changed since the last pass
	turns    map[string]uint64        // see KeepTurns; nil before its first call; its values never change
	turned   bool                     // turns has changed since the last pass
	wake     chan struct{}            // capacity 1; full if moved has grown
}

// A task is a periodic task other than inspecting the namespaces of routers.
type task struct {
	pace
	problems problems // problems found by the last run
}

// problems are descriptions of problems by router; "" means all routers.
type problems map[string][]string

func (p problems) add(router, text string) { p[router] = append(p[router], text) }

// An Intent is the part of the intent that affects bridges, ports and namespaces. Ports of machines
// affect them only on networks with a VNI.
type Intent struct {
	Layout   uint64 // grows when hosts, networks or routers change
	Index    *routing.Index
	Complete bool // objects on the host that are not in Index may be removed
}

// A Report is the progress of a [Lifecycle].
type Report struct {
	Layout    uint64              // Layout of the reported [Intent]
	Connected bool                // to ovsdb-server
	Bridges   map[string]bool     // names and datapath IDs of all bridges in the database, if Connected
	Complete  bool                // the database and the kernel match the intent, apart from Problems
	Settled   bool                // the database and the kernel match the intent
	Problems  map[string][]string // problems by router; "" means all routers
	NotMade   map[string]string   // remedies for bridges that have not connected, by router
	Waits     map[string]bool     // routers with bridges that lack taps; if Complete, all other routers have their taps

	// The fabric bridge counts as a router with the ID routing.FabricBridge. Tags and Plugged
	// must not be changed.
	Tags    map[string]uint16 // tags of networks with a VNI on the integration bridge, by ID
	Plugged []string          // sorted IDs of ports of these networks with machines plugged in on this host; nil if not known
	// Machines has the tag that we have set on the port of each plugged-in machine, by iface-id; 0
	// if we have set none. It must not be changed. Tagged means that ovs-vswitchd has applied the
	// tags.
	Machines map[string]uint16
	Tagged   bool
	// Turns has the turns of machines that the database keeps, see [Lifecycle.KeepTurns]. It must
	// not be changed.
	Turns map[string]uint64
}

// New returns a Lifecycle. It fails if cfg is invalid.
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

// Want sets the intent. It never blocks, and only the latest value counts. Only one goroutine
// may call it.
func (l *Lifecycle) Want(in Intent) {
	select {
	case <-l.wanted:
	default:
	}
	l.wanted <- in
}

// Ports sets the ports of a router's bridge, or nil if the bridge is not connected. A tap is not
// changed before its bridge has it. If a tap were moved to another namespace while ovs-vswitchd
// still sets it up, ovs-vswitchd would fail. This also holds after a restart of ovs-vswitchd.
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
	default: // already signaled
	}
}

// KeepTurns sets the turns that the database keeps for the next daemon, by
// port. A turn is the number of this host's claim to a machine, see package
// hosts. turns must not be changed afterwards. Until the first call the
// database keeps those that it has.
func (l *Lifecycle) KeepTurns(turns map[string]uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.turns != nil && maps.Equal(l.turns, turns) {
		return
	}
	l.turns, l.turned = turns, true
	select {
	case l.wake <- struct{}{}:
	default: // already signaled
	}
}

// turnsChanged reports whether the turns to keep have changed since the last call.
func (l *Lifecycle) turnsChanged() (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed, l.turned = l.turned, false
	return changed
}

// keptTurns returns the turns to keep.
func (l *Lifecycle) keptTurns() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.turns
}

// takeMoved returns the routers with bridge ports that have changed since the last call.
func (l *Lifecycle) takeMoved() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := slices.Collect(maps.Keys(l.moved))
	clear(l.moved)
	return ids
}

// number returns the number of a port on the connected bridge of a router.
func (l *Lifecycle) number(router, port string) (ofproto.PortNo, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	no, ok := l.ports[router][port]
	return no, ok
}

// known reports whether the bridge of a router is connected and its ports are known.
func (l *Lifecycle) known(router string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.ports[router]
	return ok
}

// Run runs until ctx is done. It does nothing before the first call of Want.
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
