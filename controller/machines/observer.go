package machines

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ovsdb"
)

// maxAge is the maximum age of evidence that is used again.
const maxAge = time.Second

// Database is the part of Open vSwitch's database that an Observer reads.
type Database interface {
	Database(context.Context) (ovsdb.State, error)
	Links(context.Context) (map[string]ovsdb.Link, error)
}

// An Observer reads the evidence on demand. A look queries ovs-vswitchd and ovsdb-server once.
// There is at most one look a second. Its methods may be called from any goroutine.
type Observer struct {
	db       Database
	endpoint string // of the database
	bridge   string
	runs     func(context.Context) bool
	looking  chan struct{} // capacity 1, full: a caller looks

	mu   sync.Mutex // protects the following fields
	last *Evidence  // nil before the first look
	at   time.Time  // of last
}

// NewObserver returns an Observer of a bridge. endpoint is the address of the database. runs
// reports whether a bridge of ovs-vswitchd is connected, which shows that ovs-vswitchd runs.
func NewObserver(db Database, endpoint, bridge string, runs func(context.Context) bool) *Observer {
	return &Observer{db: db, endpoint: endpoint, bridge: bridge, runs: runs, looking: make(chan struct{}, 1)}
}

// Look returns evidence that is at most a second old. The only error is ctx's cause,
// because errors of reading are part of the evidence.
func (o *Observer) Look(ctx context.Context) (*Evidence, error) { return o.lookWithin(ctx, maxAge) }

// LookAnew returns evidence that was read after the call.
func (o *Observer) LookAnew(ctx context.Context) (*Evidence, error) { return o.lookWithin(ctx, 0) }

func (o *Observer) lookWithin(ctx context.Context, age time.Duration) (*Evidence, error) {
	if e := o.Latest(age); e != nil {
		return e, nil
	}
	select {
	case o.looking <- struct{}{}:
		defer func() { <-o.looking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if e := o.Latest(age); e != nil { // the result of the previous caller
		return e, nil
	}
	began := time.Now()
	e := o.look(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	o.mu.Lock()
	o.last, o.at = e, began
	o.mu.Unlock()
	return e, nil
}

// Latest returns the evidence of the last look if it is younger than age, otherwise nil.
func (o *Observer) Latest(age time.Duration) *Evidence {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil || time.Since(o.at) >= age {
		return nil
	}
	return o.last
}

// look queries ovsdb-server first. The client's copy of the database then has all changes
// made before the query.
func (o *Observer) look(ctx context.Context) *Evidence {
	links, err := o.db.Links(ctx)
	if err != nil {
		return Nothing(o.bridge, err.Error())
	}
	state, err := o.db.Database(ctx)
	if err != nil {
		return Nothing(o.bridge, err.Error())
	}
	b, ok := state.Bridge(o.bridge)
	if !ok {
		return &Evidence{bridge: o.bridge, nothing: fmt.Sprintf("the integration bridge %s does not exist", o.bridge), missing: true,
			remedy: "create it, or configure its present name (--integration-bridge); ofdvr doctor has the command"}
	}
	table, err := o.table(ctx)
	if err != nil && !o.works(ctx, err) {
		return &Evidence{bridge: o.bridge, nothing: fmt.Sprintf("ovs-vswitchd does not answer, so the database may be out of date: %v", err),
			remedy: "see whether ovs-vswitchd runs, and its log: systemctl status openvswitch-switch"}
	}
	return NewEvidence(&b, state.Bridges, links, table, err)
}

// works reports whether ovs-vswitchd works although its MAC table could not be read. This is so if
// it has answered with an error. It is also so if its control socket is not known, but one of its
// bridges is connected.
func (o *Observer) works(ctx context.Context, err error) bool {
	if _, ok := errors.AsType[ovstrace.CommandError](err); ok {
		return true
	}
	return (errors.Is(err, ovstrace.ErrRemote) || errors.Is(err, fs.ErrNotExist)) && o.runs(ctx)
}

// table reads the MAC table. It has a time limit, because ovs-vswitchd may hang.
func (o *Observer) table(ctx context.Context) ([]ovstrace.MACEntry, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, ovstrace.AnswerTime, fmt.Errorf("ovs-vswitchd did not answer in %v", ovstrace.AnswerTime))
	defer cancel()
	conn, err := ovstrace.DialBeside(ctx, o.endpoint)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return ovstrace.MACTable(ctx, conn, o.bridge)
}
