package ofconn_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/ofdvr/ofdvr/internal/lab"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

func TestMain(m *testing.M) { lab.Main(m) }

// realSwitch returns a connection to an Open vSwitch without flows.
func realSwitch(t *testing.T) *ofconn.Conn {
	t.Helper()
	h := lab.Boot(t)
	lab.Run(t, h, "ovs-ofctl", "del-flows", lab.IntegrationBridge)
	nc, err := h.Dial(t.Context(), "unix", "/run/openvswitch/"+lab.IntegrationBridge+".mgmt")
	if err != nil {
		t.Fatal(err)
	}
	before := goleak.IgnoreCurrent()
	c := ofconn.New(nc, ofconn.Config{})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, func(ofproto.Message) {}) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v", err)
		}
		goleak.VerifyNone(t, before)
	})
	return c
}

// additions returns n flows to add.
func additions(n int) []ofproto.FlowMod {
	mods := make([]ofproto.FlowMod, n)
	for i := range mods {
		mods[i].Flow = ofproto.Flow{
			FlowKey: ofproto.FlowKey{Table: 2, Match: ofproto.MatchOf(ofproto.Metadata(uint64(i), ^uint64(0)))},
			Do:      ofproto.ApplyActions(ofproto.Output{Port: 1}),
		}
	}
	return mods
}

// held returns how many flows the switch has.
func held(t *testing.T, c *ofconn.Conn) int {
	t.Helper()
	flows, err := c.Flows(t.Context(), ofproto.AllFlows())
	if err != nil {
		t.Fatal(err)
	}
	return len(flows)
}

// Of 100,000 changes in flight the one that is refused is named. In a bundle
// nothing is applied then, else all the rest.
func TestOneRefusedOf100000(t *testing.T) {
	c := realSwitch(t)
	const n, bad = 100_000, 77_777
	mods := additions(n)
	mods[bad].Flow.Match = ofproto.MatchOf(ofproto.ARPOp(1)) // lacks its prerequisite
	check := func(err error) {
		t.Helper()
		var refused *ofconn.CommitError
		if !errors.As(err, &refused) || len(refused.Refused) != 1 || refused.Refused[0].Mod != mods[bad] ||
			!errors.Is(err, ofproto.ErrBadPrereq) || errors.Is(err, ofconn.ErrUnknownOutcome) {
			t.Errorf("got %v", err)
		}
	}
	check(c.Commit(t.Context(), mods))
	if got := held(t, c); got != 0 {
		t.Errorf("%d flows after a commit that was refused", got)
	}
	check(c.Program(t.Context(), mods))
	if got := held(t, c); got != n-1 {
		t.Errorf("%d flows, want all but one of %d", got, n)
	}
}

// More changes than go into one bundle are committed all the same; and when a
// later one is refused it is said that others were applied.
func TestMoreThanOneBundle(t *testing.T) {
	c := realSwitch(t)
	const n = 100_000 + 5
	mods := additions(n)
	if err := c.Commit(t.Context(), mods); err != nil {
		t.Fatal(err)
	}
	if got := held(t, c); got != n {
		t.Errorf("%d flows, want %d", got, n)
	}
	mods[n-1].Flow.Match = ofproto.MatchOf(ofproto.ARPOp(1))
	var refused *ofconn.CommitError
	if err := c.Commit(t.Context(), mods); !errors.Is(err, ofconn.ErrUnknownOutcome) || !errors.As(err, &refused) || refused.Refused[0].Mod != mods[n-1] {
		t.Errorf("Commit = %v", err)
	}
}
