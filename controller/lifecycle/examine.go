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
	ops, problems := ovsdb.Plan(state, l.Desired(in, state))
	return ops, problems, nil
}

// Desired returns the database contents for an intent. Networks keep the tags that they have in
// state.
func (l *Lifecycle) Desired(in Intent, state ovsdb.State) ovsdb.Desired {
	return l.desired(in, l.tags(in.Index, state), func(string, string) bool { return false })
}

// Namespace returns the desired namespace of a router, with all of its taps.
func (l *Lifecycle) Namespace(x *routing.Index, r *routing.Router) namespace.Desired {
	return l.namespaceOf(x, r, func(string) bool { return true })
}

// A BlockedPatch is a patch port that passes no packets.
type BlockedPatch struct {
	About        string // such as router r1, or bridge br-fabric
	Says, Remedy string
}

// Patches asks ovs-vswitchd whether the patch ports of an intent pass packets, in both directions.
// If it does not answer for a port, the port is in neither result.
func (l *Lifecycle) Patches(ctx context.Context, state ovsdb.State, want Intent) (passing int, blocked []BlockedPatch) {
	in := rowsOf(state, l.cfg.IntegrationBridge)
	joints := l.fabricJoints(want.Index, l.fabric(want.Index, l.tags(want.Index, state)))
	for r := range want.Index.Routers("") {
		if r.Bridge.Managed {
			joints = append(joints, l.joints(r)...)
		}
	}
	var qs []question
	for _, j := range joints {
		qs = append(qs, j.questions(in)...)
	}
	askSwitch(ctx, l.cfg.OVSDB, qs)
	for _, q := range qs {
		about := "router " + q.owner
		if q.owner == routing.FabricBridge {
			about = "bridge " + q.owner
		}
		switch {
		case q.err != nil:
		case q.passes:
			passing++
		case strings.HasPrefix(q.row.Error, noPeer):
			blocked = append(blocked, BlockedPatch{about,
				fmt.Sprintf("patch port %s on bridge %s has no peer, so no packet passes to bridge %s", q.port, q.bridge, q.to), "ofdvr recreates it"})
		default:
			blocked = append(blocked, BlockedPatch{About: about, Says: q.blocked()})
		}
	}
	return passing, blocked
}
