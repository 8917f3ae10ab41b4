package lifecycle

import (
	"context"
	"fmt"
	"strings"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// The methods in this file may be called from any goroutine while Run runs. They change
// nothing.

// Database returns the contents of the database.
func (l *Lifecycle) Database(ctx context.Context) (ovsdb.State, error) { return l.db.State(ctx) }

// Links reads the links of all interfaces, see [ovsdb.Client.Links].
func (l *Lifecycle) Links(ctx context.Context) (map[string]ovsdb.Link, error) { return l.db.Links(ctx) }

// Plan returns the changes of the database for an intent, and the problems that would remain.
func (l *Lifecycle) Plan(ctx context.Context, in Intent) ([]ovsdb.Op, []ovsdb.Problem, error) {
	state, err := l.db.State(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot compute the changes of OVSDB: %w", err)
	}
	ops, problems := ovsdb.Plan(state, l.Desired(in))
	return ops, problems, nil
}

// Desired returns the database contents for an intent.
func (l *Lifecycle) Desired(in Intent) ovsdb.Desired {
	return l.desired(in, func(string, string) bool { return false })
}

// Namespace returns the desired namespace of a router, with all of its taps.
func (l *Lifecycle) Namespace(x *routing.Index, r *routing.Router) namespace.Desired {
	return l.namespaceOf(x, r, func(string) bool { return true })
}

// A BlockedPatch is a patch port that passes no packets.
type BlockedPatch struct {
	Router       string
	Says, Remedy string
}

// Patches asks ovs-vswitchd which patch ports of routers pass packets, in both directions. If
// it does not answer for a port, the port is not in either result.
func (l *Lifecycle) Patches(ctx context.Context, state ovsdb.State, routers []*routing.Router) (passing int, blocked []BlockedPatch) {
	in := rowsOf(state)
	var qs []question
	for _, r := range routers {
		qs = append(qs, l.questions(r, in)...)
	}
	askSwitch(ctx, l.cfg.OVSDB, qs)
	for _, q := range qs {
		switch {
		case q.err != nil:
		case q.passes:
			passing++
		case strings.HasPrefix(q.row.Error, noPeer):
			blocked = append(blocked, BlockedPatch{q.router.ID,
				fmt.Sprintf("patch port %s on bridge %s has no peer, so no packet passes to bridge %s", q.port, q.bridge, q.to), "ofdvr recreates it"})
		default:
			blocked = append(blocked, BlockedPatch{Router: q.router.ID, Says: q.blocked()})
		}
	}
	return passing, blocked
}
