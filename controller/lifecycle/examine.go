package lifecycle

import (
	"context"
	"fmt"
	"strings"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// The methods in this file may be called from any goroutine while Run runs. They change nothing.

// Database returns what the database holds.
func (l *Lifecycle) Database(ctx context.Context) (ovsdb.State, error) { return l.db.State(ctx) }

// Plan returns what would be done to the database for an intent, and what would be in the way.
func (l *Lifecycle) Plan(ctx context.Context, in Intent) ([]ovsdb.Op, []ovsdb.Problem, error) {
	state, err := l.db.State(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("what would change in OVSDB is not known: %w", err)
	}
	ops, problems := ovsdb.Plan(state, l.Desired(in))
	return ops, problems, nil
}

// Desired is what the database should hold for an intent.
func (l *Lifecycle) Desired(in Intent) ovsdb.Desired {
	return l.desired(in, func(string, string) bool { return false })
}

// Namespace is what the namespace of a router should be, with all of its taps.
func (l *Lifecycle) Namespace(x *routing.Index, r *routing.Router) namespace.Desired {
	return l.namespaceOf(x, r, func(string) bool { return true })
}

// A BlockedPatch is a patch port by which no packet passes.
type BlockedPatch struct {
	Router       string
	Says, Remedy string
}

// Patches asks ovs-vswitchd by which patch ports of routers packets pass, in both
// directions. A port about which it does not answer is in neither result.
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
				fmt.Sprintf("patch port %s on bridge %s has no peer, so nothing passes to bridge %s", q.port, q.bridge, q.to), "ofdvr makes it anew"})
		default:
			blocked = append(blocked, BlockedPatch{Router: q.router.ID, Says: q.blocked()})
		}
	}
	return passing, blocked
}
