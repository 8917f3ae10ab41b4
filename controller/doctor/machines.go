package doctor

import (
	"context"
	"fmt"

	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/routing"
)

// mostElsewhere is the maximum number of misplaced machines with a finding each.
const mostElsewhere = 5

// machines checks that the machine of each port is on the integration bridge.
func (e *examination) machines(ctx context.Context) error {
	if e.Lifecycle == nil {
		return nil // database has a finding
	}
	evidence, err := e.Machines(ctx)
	if err != nil {
		return fmt.Errorf("examine machines: %w", err)
	}
	var silent, unknown, elsewhere []string
	why := "" // the reason of the first unknown one
	n := machines.NewView(e.Intent.Index, evidence).Count(func(p *routing.Port, s machines.Sighting) {
		switch s.State {
		case machines.NotSeen:
			silent = append(silent, p.ID)
		case machines.Elsewhere:
			if len(elsewhere) < mostElsewhere {
				e.find(Problem, "port "+p.ID, s.Remedy, "its machine is elsewhere: %s", s.Says)
			}
			elsewhere = append(elsewhere, p.ID)
		default:
			if unknown = append(unknown, p.ID); why == "" {
				why = s.Says
			}
		}
	})
	if more := len(elsewhere) - mostElsewhere; more > 0 {
		e.find(Problem, "machines", "see ofdvr get ports, and ofdvr describe port ID", "%s too: %s", plural(more, "more machine is elsewhere", "more machines are elsewhere"), logging.Brief(elsewhere[mostElsewhere:]))
	}
	all := count(n[machines.Seen]+len(silent)+len(elsewhere), "port")
	if len(silent) > 0 {
		e.find(Warning, "machines", "ofdvr describe port "+silent[0]+" has the evidence; a machine that has sent nothing for some minutes, and whose interface has neither iface-id nor attached-mac, looks the same as one that does not exist",
			"%d of %s not seen on bridge %s: %s", len(silent), all, e.Bridge, logging.Brief(silent))
	}
	if len(unknown) > 0 {
		e.find(Note, "machines", "", "of %s cannot be looked for: %s", count(len(unknown), "port"), why)
	}
	if n[machines.Seen] > 0 {
		e.find(Fine, "machines", "", "%d of %s seen on bridge %s, in the VLANs of their networks", n[machines.Seen], all, e.Bridge)
	}
	return nil
}
