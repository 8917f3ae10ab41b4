package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"

	"github.com/ofdvr/ofdvr/test/lab"
)

// Faults of the database are changes of ofdvr's bridges and ports with ovs-vsctl.

// vsctl plans to run ovs-vsctl.
func vsctl(what string, takes scope, args ...string) step {
	return step{what: what, takes: takes, do: func(ctx context.Context, s *site) error { return s.vsctl(ctx, args...) }}
}

// frozen stops the daemon during st. Otherwise the daemon could restore deleted rows before
// ovs-vswitchd has processed the deletion, and the fault would have no effect.
func frozen(st step) step {
	do := st.do
	st.do = func(ctx context.Context, s *site) error {
		if err := s.signal(syscall.SIGSTOP); err != nil {
			return err
		}
		err := do(ctx, s)
		return errors.Join(err, s.signal(syscall.SIGCONT))
	}
	return st
}

func patchDeleted(t *document, r *rand.Rand) step {
	x, f, about := pickInterface(t, r)
	return vsctl(f.PatchName(), throughInterface(x.ID, about), "del-port", f.PatchName())
}

func peerDeleted(t *document, r *rand.Rand) step {
	x, f, about := pickInterface(t, r)
	return vsctl(f.PeerName(), throughInterface(x.ID, about), "del-port", f.PeerName())
}

func patchDiverted(t *document, r *rand.Rand) step {
	x, f, about := pickInterface(t, r)
	return vsctl(f.PatchName(), throughInterface(x.ID, about), "set", "interface", f.PatchName(), "options:peer=nowhere")
}

// If patch ports move to another bridge in one transaction, Open vSwitch 3.1 leaves most of
// them without a peer.
func patchMoved(t *document, r *rand.Rand) step {
	x, f, about := pickInterface(t, r)
	name, other := f.PeerName(), x.BridgeName()
	return frozen(step{what: name, takes: throughInterface(x.ID, about), do: func(ctx context.Context, s *site) error {
		get := func(table, column string) (string, error) {
			out, err := s.Vsctl(ctx, "get", table, name, column)
			return strings.TrimSpace(out), err
		}
		port, err := get("port", "external_ids")
		tag, err2 := get("port", "tag")
		iface, err3 := get("interface", "external_ids")
		if err := errors.Join(err, err2, err3); err != nil {
			return err
		}
		for _, way := range [][2]string{{lab.IntegrationBridge, other}, {other, lab.IntegrationBridge}} {
			if err := s.vsctl(ctx, "del-port", way[0], name, "--", "add-port", way[1], name, "--", "set", "port", name, "tag="+tag, "external_ids="+port,
				"--", "set", "interface", name, "type=patch", "options:peer="+f.PatchName(), "external_ids="+iface); err != nil {
				return err
			}
		}
		return nil
	}})
}

func tagChanged(t *document, r *rand.Rand) step {
	x, f, about := pickInterface(t, r)
	return vsctl(f.PeerName(), throughInterface(x.ID, about), "set", "port", f.PeerName(), "tag=99")
}

func tapPortDeleted(t *document, r *rand.Rand) step {
	x, f, _ := pickInterface(t, r)
	return vsctl(f.TapName(), throughKernel(x.ID, t), "del-port", f.TapName())
}

func bridgeDeleted(t *document, r *rand.Rand) step {
	router, bridge := pickBridge(t, r)
	return frozen(step{what: bridge, takes: through(router), survives: noneOf(router), do: func(ctx context.Context, s *site) error {
		return s.vsctl(ctx, "del-br", bridge)
	}})
}

// When a bridge loses its last controller, Open vSwitch deletes its flows.
func controllerRemoved(t *document, r *rand.Rand) step {
	router, bridge := pickBridge(t, r)
	return frozen(step{what: bridge, takes: through(router), survives: noneOf(router), do: func(ctx context.Context, s *site) error {
		return s.vsctl(ctx, "del-controller", bridge)
	}})
}

func controllerDiverted(t *document, r *rand.Rand) step {
	_, bridge := pickBridge(t, r)
	return vsctl(bridge, nil, "set", "controller", bridge, `target="tcp:127.0.0.1:9"`)
}

func failModeChanged(t *document, r *rand.Rand) step {
	_, bridge := pickBridge(t, r)
	if r.IntN(2) == 0 {
		return vsctl(bridge+": none", nil, "del-fail-mode", bridge)
	}
	return vsctl(bridge+": standalone", nil, "set-fail-mode", bridge, "standalone")
}

// ovs-vswitchd applies the empty database. Then the operator creates br-int and the machines'
// ports again.
func databaseEmptied(*document, *rand.Rand) step {
	return step{takes: everything, survives: noneAtAll, do: func(ctx context.Context, s *site) error {
		s.Database().Kill()
		if err := s.StartEmptyDatabase(ctx); err != nil {
			return err
		}
		if err := s.vsctl(ctx, "set", "open_vswitch", ".", "external_ids:hostname=lab"); err != nil {
			return err
		}
		args := []string{"add-br", lab.IntegrationBridge, "--", "set", "bridge", lab.IntegrationBridge, "datapath_type=" + lab.Datapath()}
		for _, m := range s.mesh.machines {
			args = append(args, "--", "add-port", lab.IntegrationBridge, m.Name, fmt.Sprintf("tag=%d", m.VLAN))
		}
		return s.vsctl(ctx, args...)
	}}
}
