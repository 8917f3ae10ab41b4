package doctor

import (
	"context"
	"fmt"

	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/routing"
)

// mostNamed limits the findings about single machines. It applies separately to machines that are
// elsewhere and to machines that cannot be reached.
const mostNamed = 5

// machines checks that the machine of each port is on the integration bridge.
func (e *examination) machines(ctx context.Context) error {
	if e.Lifecycle == nil {
		return nil // database has a finding
	}
	duplicates := e.detect(ctx) // first: the answers show the ports of machines
	evidence, err := e.Machines(ctx)
	if err != nil {
		return fmt.Errorf("examine machines: %w", err)
	}
	var silent, away, unknown, elsewhere []string
	why, remedy := "", "" // reason and remedy of the first machine in an unknown state
	view := machines.NewView(e.Intent.Index, evidence)
	e.impostors(evidence, view)
	e.duplicates(duplicates, evidence, view)
	n := view.Count(func(p *routing.Port, s machines.Sighting) {
		switch {
		case s.State == machines.Elsewhere:
			if len(elsewhere) < mostNamed {
				e.find(Problem, "port "+p.ID, s.Remedy, "its machine is elsewhere: %s", s.Says)
			}
			elsewhere = append(elsewhere, p.ID)
		case s.State == machines.NotSeen && (s.Port != "" || s.Other != ""): // down, or on another bridge
			if len(away) < mostNamed {
				e.find(Warning, "port "+p.ID, s.Remedy, "its machine is not seen: %s", s.Says)
			}
			away = append(away, p.ID)
		case s.State == machines.NotSeen:
			silent = append(silent, p.ID)
		default:
			if unknown = append(unknown, p.ID); why == "" {
				why, remedy = s.Says, s.Remedy
			}
		}
	})
	const more = "see ofdvr get ports, and ofdvr describe port ID"
	if n := len(elsewhere) - mostNamed; n > 0 {
		e.find(Problem, "machines", more, "%s too: %s", plural(n, "more machine is elsewhere", "more machines are elsewhere"), logging.Brief(elsewhere[mostNamed:]))
	}
	if n := len(away) - mostNamed; n > 0 {
		e.find(Warning, "machines", more, "%s, because devices are down or on another bridge: %s", plural(n, "more machine is not seen", "more machines are not seen"), logging.Brief(away[mostNamed:]))
	}
	all := count(n[machines.Seen]+len(silent)+len(away)+len(elsewhere), "port")
	if len(silent) > 0 {
		e.find(Warning, "machines", fmt.Sprintf("start the machines and plug them into bridge %s; ofdvr describe port %s shows the evidence for each. A machine that has sent nothing for some minutes, "+
			"and whose interface has neither iface-id nor attached-mac, cannot be distinguished from a machine that does not exist", e.Bridge, routing.Arguments(silent[:min(len(silent), mostNamed)]...)),
			"%d of %s not seen on bridge %s: %s", len(silent), all, e.Bridge, logging.Brief(silent))
	}
	if len(unknown) > 0 {
		e.find(Note, "machines", remedy, "it is unknown where those of %s are: %s", count(len(unknown), "port"), why)
	}
	if n[machines.Seen] > 0 {
		e.find(Fine, "machines", "", "%d of %s seen on bridge %s, in the VLANs of their networks", n[machines.Seen], all, e.Bridge)
	}
	return nil
}
