package routing_test

import (
	"cmp"
	"context"
	"slices"
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
	held := func(t teller) ofproto.Set {
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
	have := held(t)
	program := func(t teller, p routing.Program) {
		groups, meters := tables(t, c)
		var first, last []ofproto.Mod
		for _, g := range p.Groups {
			first = append(first, ofproto.GroupMod{Command: command(slices.ContainsFunc(groups, func(o ofproto.GroupEntry) bool { return o.ID == g.ID })), Entry: g})
		}
		for _, m := range p.Meters {
			first = append(first, ofproto.MeterMod{Command: ofproto.MeterCommand(command(slices.ContainsFunc(meters, func(o ofproto.MeterEntry) bool { return o.ID == m.ID }))), Entry: m})
		}
		for _, g := range groups {
			if !slices.ContainsFunc(p.Groups, func(o ofproto.GroupEntry) bool { return o.ID == g.ID }) {
				last = append(last, ofproto.GroupMod{Command: ofproto.GroupDelete, Entry: ofproto.GroupEntry{ID: g.ID}})
			}
		}
		for _, m := range meters {
			if !slices.ContainsFunc(p.Meters, func(o ofproto.MeterEntry) bool { return o.ID == m.ID }) {
				last = append(last, ofproto.MeterMod{Command: ofproto.MeterDelete, Entry: ofproto.MeterEntry{ID: m.ID}})
			}
		}
		if err := c.ProgramMods(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.ProgramMods(t.Context(), last); err != nil {
				t.Fatal(err)
			}
			groups, meters := tables(t, c)
			if !slices.EqualFunc(groups, p.Groups, ofproto.GroupEntry.Equal) || !slices.EqualFunc(meters, p.Meters, ofproto.MeterEntry.Equal) {
				t.Fatalf("switch has groups and meters\n%v\n%v\nwant\n%v\n%v", groups, meters, p.Groups, p.Meters)
			}
		}()
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
	for _, f := range golden(t) {
		for i := range f.model.Routers {
			program(t, routing.NewIndex(f.model).Compile(&f.model.Routers[i], f.facts))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		have = held(t)
		m, facts := drawModel(t)
		x := routing.NewIndex(m)
		for i := range m.Routers {
			r := &m.Routers[i]
			prog := x.Compile(r, facts)
			program(t, prog)
			program(t, x.With(drawChange(t, m)).Recompile(prog, r, facts))
		}
	})
	for role := routing.RoleARP; role <= routing.RoleKernel; role++ {
		if !seen[role] {
			t.Errorf("no program had a flow of role %d", role)
		}
	}
}

// A teller is a test, or one run of a property.
type teller interface {
	Context() context.Context
	Fatal(...any)
	Fatalf(string, ...any)
}

func command(exists bool) ofproto.GroupCommand {
	if exists {
		return ofproto.GroupModify
	}
	return ofproto.GroupAdd
}

// tables returns the groups and the meters that the switch has, by number.
func tables(t teller, c *ofconn.Conn) (groups []ofproto.GroupEntry, meters []ofproto.MeterEntry) {
	for _, req := range []ofproto.MultipartBody{ofproto.GroupDescRequest{}, ofproto.MeterConfigRequest{Meter: ofproto.MeterAll}} {
		err := c.Multipart(t.Context(), req, func(body ofproto.MultipartBody) bool {
			switch b := body.(type) {
			case ofproto.GroupDescReply:
				groups = append(groups, b...)
			case ofproto.MeterConfigReply:
				meters = append(meters, b...)
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(groups, func(a, b ofproto.GroupEntry) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(meters, func(a, b ofproto.MeterEntry) int { return cmp.Compare(a.ID, b.ID) })
	return groups, meters
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
