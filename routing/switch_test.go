package routing_test

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/internal/lab"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
)

func TestMain(m *testing.M) { lab.Main(m) }

// A real switch gives back every program as the same values, so that a daemon
// which starts again finds nothing to change; and the changes from one program
// to the next, of the same router or of another, are all that it needs.
func TestSwitchGivesBackPrograms(t *testing.T) {
	c := bridge(t)
	held := func(t *rapid.T) ofproto.Set {
		stats, err := c.Flows(t.Context(), ofproto.AllFlows())
		if err != nil {
			t.Fatal(err)
		}
		flows := make([]ofproto.Flow, len(stats))
		for i := range stats {
			flows[i] = stats[i].Flow
		}
		return ofproto.SetOf(flows)
	}
	seen := make(map[routing.Role]bool)
	rapid.Check(t, func(t *rapid.T) {
		have := held(t)
		program := func(p routing.Program) {
			if err := c.Commit(t.Context(), ofproto.Diff(have, p.Flows).Mods()); err != nil {
				t.Fatalf("%v\nof\n%s", err, p.Flows)
			}
			if have = held(t); !have.Equal(p.Flows) {
				t.Fatalf("switch has\n%swant\n%swhich differ by\n%+v", have, p.Flows, ofproto.Diff(have, p.Flows))
			}
			for f := range have.All() {
				role, _ := routing.RoleOf(f.Cookie)
				seen[role] = true
			}
		}
		m, facts := drawModel(t)
		facts.Can &^= routing.CanMeter | routing.CanSelect
		x := routing.NewIndex(m)
		for i := range m.Routers {
			r := &m.Routers[i]
			prog := x.Compile(r, facts)
			program(prog)
			program(x.With(drawChange(t, m)).Recompile(prog, r, facts))
		}
	})
	for role := routing.RoleARP; role <= routing.RoleDrop; role++ {
		if !seen[role] {
			t.Errorf("no program had a flow of role %d", role)
		}
	}
}

// bridge returns a connection to the bridge of a real switch, which has no
// ports: it takes flows about any.
func bridge(t *testing.T) *ofconn.Conn {
	t.Helper()
	h := lab.Boot(t)
	nc, err := h.Dial(t.Context(), "unix", "/run/openvswitch/"+lab.IntegrationBridge+".mgmt")
	if err != nil {
		t.Fatal(err)
	}
	c, ended := ofconn.New(nc, ofconn.Config{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		c.Run(ctx, func(ofproto.Message) {}) // what goes wrong, those who ask are told
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return c
}
