package controller

import (
	"context"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/internal/radvd"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// lifecycleRetry is how long after a failure another try is made, if nothing
// happens before.
const lifecycleRetry = time.Second

// A lifecycle keeps the bridges, ports, taps and namespaces of managed routers.
// Whenever the intent, the database or the kernel's links and settings change, and once
// in a while, it compares all of them with the intent and mends what differs.
type lifecycle struct {
	bridge string        // integration bridge
	ovsdb  string        // endpoint of the database
	target string        // that routing bridges connect to
	audit  time.Duration // how often everything is compared although nothing tells of a change
	db     *ovsdb.Client
	links  *namespace.Watcher
	neighs *namespace.Neighbours // nil: nobody wants to know
	radvd  *radvd.Keeper         // nil: nothing sends router advertisements
	log    *zap.Logger
	report func(lifecycleReport)
	kernel func(router string, k *routing.Kernel)         // is told how the namespaces of routers route
	moves  func(router string, as []routing.Announcement) // is told what changed MAC addresses before the start
	bare   func(context.Context)                          // see [Config]; nil: nobody wants to know
	wanted chan *ledger.State                             // capacity 1: the latest intent that has not been looked at

	// These are work's.
	renewals   map[portOf]*renewal          // taps to be made anew
	suspicions map[string]*suspicion        // patch ports by which perhaps nothing passes
	audited    int                          // how many ends of patch ports audits have begun after the first, see [pass.peers]
	warned     map[[2]string]string         // the last errors, by message and router
	doubted    string                       // the errors of ports that ovs-vswitchd was last asked about
	memories   map[string]*namespace.Memory // of others' routes, by namespace
	compared   bool                         // with what the database had at the start
	right      map[string]bool              // namespaces that were what they should be, since a router wants them

	before       *namespace.Before // nil: what namespaces were is not kept
	instanceFile string            // see [Instance]; "": it is not kept

	activity activity

	mu       sync.Mutex
	instance string                   // see [lifecycle.self]; only work writes it
	ports    map[string]routing.Ports // by router: the ports that its connected bridge has
	moved    chan struct{}            // capacity 1: ports has changed
}

// A lifecycleReport is how far the lifecycle has come.
type lifecycleReport struct {
	Layout    uint64              // of the intent that it is about, see [ledger.State]
	Connected bool                // to ovsdb-server
	Bridges   map[string]bool     // all in the database, by name and by datapath ID, if Connected
	Complete  bool                // everything is as intended, but for the problems
	Settled   bool                // everything is as intended
	Problems  map[string][]string // by router; "" is all of them
	NotMade   map[string]string   // what to do about the bridges that had not connected, by router
}

func newLifecycle(bridge, target, endpoint string, audit time.Duration, db *ovsdb.Client, report func(lifecycleReport), log *zap.Logger) *lifecycle {
	return &lifecycle{bridge: bridge, target: target, ovsdb: endpoint, suspicions: make(map[string]*suspicion), audit: audit, right: make(map[string]bool), memories: make(map[string]*namespace.Memory), db: db, links: namespace.NewWatcher(), log: log, report: report,
		wanted: make(chan *ledger.State, 1), renewals: make(map[portOf]*renewal), warned: make(map[[2]string]string), ports: make(map[string]routing.Ports), moved: make(chan struct{}, 1)}
}

// lifecycleReported takes in how far the lifecycle has come.
func (c *Controller) lifecycleReported(r lifecycleReport) {
	c.post(func(w *world) {
		w.lifecycle, w.moved = r, true
		if r.Connected {
			c.bridgesExist(w, r.Bridges)
		}
	})
}

// Want says what the intent is. It never blocks, and only the latest value
// counts. Only one goroutine may call it. It does not matter what ports the
// intent has.
func (l *lifecycle) Want(s *ledger.State) {
	select {
	case <-l.wanted:
	default:
	}
	l.wanted <- s
}

// Ports says which ports the bridge of a router has, nil if it is not connected.
// A tap is not touched before its bridge has it: moving it while ovs-vswitchd
// still sets it up, also after a restart, would make that fail.
func (l *lifecycle) Ports(router string, ports routing.Ports) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, known := l.ports[router]; known == (ports != nil) && maps.Equal(old, ports) {
		return
	}
	l.ports[router] = ports
	if ports == nil {
		delete(l.ports, router)
	}
	select {
	case l.moved <- struct{}{}:
	default: // work has yet to look
	}
}

// number returns the number of a port that the connected bridge of a router has.
func (l *lifecycle) number(router, port string) (ofproto.PortNo, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	no, ok := l.ports[router][port]
	return no, ok
}

// known reports whether the bridge of a router is connected, and its ports known.
func (l *lifecycle) known(router string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.ports[router]
	return ok
}

// Run works until ctx is done. It does nothing before the first call of Want.
func (l *lifecycle) Run(ctx context.Context) error {
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

// work compares and mends whenever something has changed.
func (l *lifecycle) work(ctx context.Context) error {
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	var radvd <-chan struct{} // nil: never
	if l.radvd != nil {
		radvd = l.radvd.Changed()
	}
	audit := time.NewTicker(l.audit) // the kernel does not tell of each setting that changes
	defer audit.Stop()
	var want *ledger.State
	pause := time.NewTimer(0) // links are looked at again when it is over
	defer pause.Stop()
	links := l.links.Changed()
	for {
		auditing := false
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case want = <-l.wanted:
		case <-l.db.Changed():
		case <-links:
			links = nil
		case <-pause.C:
			links = l.links.Changed()
			continue
		case <-radvd:
		case <-l.moved:
		case <-retry.C:
		case <-audit.C:
			auditing = true
		}
		if want == nil {
			links = l.links.Changed()
			continue
		}
		p := pass{lifecycle: l, want: want, audits: auditing, problems: make(map[string][]string), notMade: make(map[string]string), foreign: make(map[string]bool)}
		for r := range want.Index.Routers("") {
			if r.Bridge.Managed {
				p.routers = append(p.routers, r)
			}
		}
		began := time.Now()
		p.run(ctx)
		if links == nil { // events that come in bursts take half of the time at most
			pause.Reset(time.Since(began))
		}
		l.links.Namespaces(p.namespaces...)
		if l.neighs != nil {
			l.neighs.Follow(p.namespaceIDs())
		}
		retry.Stop()
		switch {
		case p.again:
			retry.Reset(0)
		case p.retry:
			retry.Reset(lifecycleRetry)
		}
		bridges := make(map[string]bool, len(p.state.Bridges))
		for i := range p.state.Bridges {
			bridges[p.state.Bridges[i].Name] = true
			if id := p.state.Bridges[i].DatapathID; id != "" {
				bridges[id] = true
			}
		}
		l.report(lifecycleReport{
			Bridges: bridges,
			Layout:  want.Layout, Connected: p.connected, Problems: p.problems, NotMade: p.notMade,
			Complete: p.complete,
			Settled:  p.complete && len(p.problems)+len(p.notMade) == 0,
		})
	}
}
