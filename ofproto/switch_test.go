package ofproto_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/internal/lab"
	. "github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// dial starts an Open vSwitch with a bridge and returns a connection to it.
func dial(t *testing.T) (*lab.Host, *ofconn.Conn) {
	t.Helper()
	h := lab.Boot(t)
	nc, err := h.Dial(t.Context(), "unix", "/run/openvswitch/"+lab.IntegrationBridge+".mgmt")
	if err != nil {
		t.Fatal(err)
	}
	c := ofconn.New(nc, ofconn.Config{})
	ended := make(chan error)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- c.Run(ctx, func(Message) {}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	return h, c
}

// accepted sends flows, all of which must be accepted, and returns what the
// switch then has of each.
func accepted(t *testing.T, c *ofconn.Conn, flows []Flow) map[Cookie]Flow {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, f := range flows { // one by one, to see each that is refused
		if err := c.Commit(ctx, []FlowMod{{FlowAdd, f}}); err != nil {
			t.Errorf("%v\n%x", err, FlowMod{FlowAdd, f}.Append(nil, 0))
		}
	}
	got, err := c.Flows(ctx, FlowStatsRequest{Table: AllTables})
	if err != nil {
		t.Fatal(err)
	}
	have := map[Cookie]Flow{}
	for _, f := range got {
		have[f.Cookie] = f.Flow
	}
	return have
}

// What a real switch gives back is, as a value, what it was sent, for every
// field, every action and every instruction.
func TestSwitchGivesBackWhatItGot(t *testing.T) {
	h, c := dial(t)
	flows := everyFlow()
	if _, err := h.Ofctl(t.Context(), "del-flows", lab.IntegrationBridge); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Ofctl(t.Context(), "add-meter", lab.IntegrationBridge, "meter=1,kbps,band=type=drop,rate=1000"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Ofctl(t.Context(), "add-group", lab.IntegrationBridge, "group_id=5,type=all,bucket=output:1"); err != nil {
		t.Fatal(err)
	}
	have := accepted(t, c, flows)
	for _, f := range flows {
		if got := have[f.Cookie]; got != f {
			t.Errorf("sent %v\n got %v\nsent %x\n got %x", f, got, FlowMod{FlowAdd, f}.Append(nil, 0), FlowMod{FlowAdd, got}.Append(nil, 0))
		}
	}

	// Its own words for them are read as the same values.
	out, err := h.Ofctl(t.Context(), "--no-stats", "dump-flows", lab.IntegrationBridge)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(out) {
		f, err := ParseFlow(line)
		if err != nil {
			t.Errorf("%v in %s", err, line)
			continue
		}
		if want := have[f.Cookie]; want != f && !strings.Contains(line, "tun_gbp_flags") { // it leaves out their mask

			t.Errorf("ovs-ofctl prints %s\n read as %v\n want %v", line, f, want)
		}
		n++
	}
	if n != len(flows) {
		t.Errorf("ovs-ofctl prints %d flows, want %d", n, len(flows))
	}
}

// everyFlow returns flows that have, between them, every field, every action
// and every instruction; each has a cookie of its own.
func everyFlow() []Flow {
	var flows []Flow
	add := func(m Match, do Instructions) {
		n := len(flows)
		flows = append(flows, Flow{FlowKey: FlowKey{Table: 1, Priority: uint16(n), Match: m}, Cookie: Cookie(n + 1), Do: do})
	}
	for _, m := range EveryField() {
		add(m, ApplyActions(Output{Port: 1}))
	}
	for _, a := range actions {
		add(a.match, ApplyActions(a.actions...))
	}
	for _, ins := range instructions {
		add(ip, Do(ins...))
	}
	return flows
}
