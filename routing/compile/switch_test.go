package compile_test

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/test/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// A drawn is a model with the facts of its routers' bridges and namespaces.
type drawn struct {
	model *routing.Model
	facts compile.Facts
}

// A program that is read back from a real switch equals the program that was written, so a
// restarted daemon has nothing to change. The changes from one program to the next, of the
// same or another router, are sufficient.
func TestSwitchGivesBackPrograms(t *testing.T) {
	h := lab.Boot(t)
	sw := realSwitch{conn: connect(t, h)}
	seen := make(map[compile.Role]bool)
	program := func(t teller, p compile.Program) {
		sw.program(t, p)
		for f := range sw.have.All() {
			role, _ := compile.RoleOf(f.Cookie)
			seen[role] = true
		}
	}
	for _, f := range golden(t) {
		for i := range f.model.Routers {
			program(t, compile.Compile(routing.NewIndex(f.model), &f.model.Routers[i], f.facts))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		m, facts := drawModel(t)
		x := routing.NewIndex(m)
		for i := range m.Routers {
			r := &m.Routers[i]
			prog := compile.Compile(x, r, facts)
			program(t, prog)
			program(t, compile.Recompile(prog, x.With(drawChange(t, m)), r, facts))
		}
	})
	missing := func(f ofproto.Flow) bool { role, _ := compile.RoleOf(f.Cookie); return !seen[role] }
	models := rapid.Custom(func(t *rapid.T) drawn { m, facts := drawModel(t); return drawn{m, facts} })
	for seed := range 1000 { // fixed seeds, because the models drawn above may lack a rare role
		d := models.Example(seed)
		for i := range d.model.Routers {
			p := compile.Compile(routing.NewIndex(d.model), &d.model.Routers[i], d.facts)
			for f := range p.Flows.All() {
				if missing(f) {
					program(t, p)
					break
				}
			}
		}
	}
	for role := compile.RoleARP; role <= compile.RoleTap; role++ {
		if role == compile.RoleProbe || role == 24 || compile.RoleLimitedResolution <= role && role <= compile.RoleLimitedUnknown {
			continue // not used in programs
		}
		if !seen[role] {
			t.Errorf("no program had a flow of role %d", role)
		}
	}
}

// A realSwitch holds one program after the other.
type realSwitch struct {
	conn *ofconn.Conn
	have ofproto.Set
}

// program programs p, and fails unless the switch holds p afterwards.
func (s *realSwitch) program(t teller, p compile.Program) {
	s.have = s.held(t) // flows of a previous program that failed
	groups, meters := s.tables(t)
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
	if err := s.conn.ProgramMods(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if err := s.conn.Commit(t.Context(), ofproto.Diff(s.have, p.Flows).Mods()); err != nil {
		t.Fatalf("%v\nof\n%s", err, p.Flows)
	}
	if s.have = s.held(t); !s.have.Equal(p.Flows) {
		t.Fatalf("switch has\n%swant\n%swhich differ by\n%+v", s.have, p.Flows, ofproto.Diff(s.have, p.Flows))
	}
	if err := s.conn.ProgramMods(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	groups, meters = s.tables(t)
	if !slices.EqualFunc(groups, p.Groups, ofproto.GroupEntry.Equal) || !slices.EqualFunc(meters, p.Meters, ofproto.MeterEntry.Equal) {
		t.Fatalf("switch has groups and meters\n%v\n%v\nwant\n%v\n%v", groups, meters, p.Groups, p.Meters)
	}
}

// held returns the flows of the switch.
func (s *realSwitch) held(t teller) ofproto.Set {
	stats, err := s.conn.Flows(t.Context(), ofproto.AllFlows())
	if err != nil {
		t.Fatal(err)
	}
	flows := make([]ofproto.Flow, len(stats))
	for i := range stats {
		flows[i] = stats[i].Flow
	}
	return ofproto.SetOf(flows)
}

// A teller is a *testing.T or one run of a property.
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

// tables returns the groups and meters of the switch, by number.
func (s *realSwitch) tables(t teller) (groups []ofproto.GroupEntry, meters []ofproto.MeterEntry) {
	for _, req := range []ofproto.MultipartBody{ofproto.GroupDescRequest{}, ofproto.MeterConfigRequest{Meter: ofproto.MeterAll}} {
		err := s.conn.Multipart(t.Context(), req, func(body ofproto.MultipartBody) bool {
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

// connect returns a connection to the integration bridge of a host without ports. The bridge
// accepts flows for any port number.
func connect(t *testing.T, h *lab.Host) *ofconn.Conn {
	t.Helper()
	nc, err := h.Dial(t.Context(), "unix", "/run/openvswitch/"+lab.IntegrationBridge+".mgmt")
	if err != nil {
		t.Fatal(err)
	}
	c, ended := ofconn.New(nc, ofconn.Config{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		c.Run(ctx, func(ofproto.Message) {}) // errors are returned by the calls on c
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return c
}
