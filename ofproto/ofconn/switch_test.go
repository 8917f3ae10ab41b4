package ofconn_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
	"github.com/ofdvr/ofdvr/test/lab"
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
	c := ofconn.New(nc, ofconn.Config{EchoInterval: time.Minute}) // a busy switch is silent
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

// held returns the number of flows that the switch holds.
func held(t *testing.T, c *ofconn.Conn) int {
	t.Helper()
	flows, err := c.Flows(t.Context(), ofproto.AllFlows())
	if err != nil {
		t.Fatal(err)
	}
	return len(flows)
}

// If one of 100,000 changes is refused, the error names it. With a bundle, no change is applied.
// Without a bundle, all other changes are applied.
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
		t.Errorf("the switch has %d flows after a refused commit", got)
	}
	check(c.Program(t.Context(), mods))
	if got := held(t, c); got != n-1 {
		t.Errorf("the switch has %d flows, want all but one of %d", got, n)
	}
}

// More changes than MaxBundle are committed in several bundles. If a later bundle is refused,
// the error reports that earlier bundles were applied.
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

// mixed returns a list with a group, flows that refer to it, another group, and the deletion
// of a third group.
func mixed(refused bool) []ofproto.Mod {
	group := func(id ofproto.GroupID, port ofproto.PortNo) ofproto.GroupMod {
		return ofproto.GroupMod{Entry: ofproto.GroupEntry{ID: id, Type: ofproto.GroupTypeSelect, Buckets: []ofproto.Bucket{
			{Weight: 1, WatchPort: ofproto.PortAny, WatchGroup: ofproto.GroupAny, Actions: ofproto.ActionsOf(ofproto.Output{Port: port})}}}}
	}
	flows := additions(2)
	for i := range flows {
		flows[i].Flow.Do = ofproto.ApplyActions(ofproto.ToGroup{ID: 1})
	}
	other := group(2, 1)
	if refused {
		other = group(2, ofproto.PortMax-5)
	}
	return []ofproto.Mod{group(1, 1), &flows[0], other, flows[1], ofproto.GroupMod{Command: ofproto.GroupDelete, Entry: group(3, 1).Entry}}
}

// Groups and flows are committed in one bundle, in order. If a group in the middle is refused, the
// error names it and nothing is applied. Without a bundle, all other changes are applied. A meter
// is refused in a bundle, and accepted without a bundle.
func TestMixedBundle(t *testing.T) {
	c := realSwitch(t)
	groups := func() (n int) {
		t.Helper()
		if err := c.Multipart(t.Context(), ofproto.GroupDescRequest{}, func(b ofproto.MultipartBody) bool {
			n += len(b.(ofproto.GroupDescReply))
			return true
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	named := func(err error, code ofproto.ErrorCode, id ofproto.GroupID) {
		t.Helper()
		var refused *ofconn.CommitError
		if !errors.As(err, &refused) || len(refused.Refused) != 1 || !errors.Is(err, code) {
			t.Fatalf("got %v", err)
		}
		if g, ok := refused.Refused[0].Mod.(ofproto.GroupMod); !ok || g.Entry.ID != id {
			t.Errorf("refused %v", refused.Refused[0])
		}
	}
	const badPort ofproto.ErrorCode = 2<<16 | 4
	named(c.CommitMods(t.Context(), mixed(true)), badPort, 2)
	if held(t, c) != 0 || groups() != 0 {
		t.Errorf("the switch has %d flows and %d groups after a refused commit", held(t, c), groups())
	}
	named(c.ProgramMods(t.Context(), mixed(true)), badPort, 2)
	if held(t, c) != 2 || groups() != 1 {
		t.Errorf("the switch has %d flows and %d groups, want all but one", held(t, c), groups())
	}
	named(c.CommitMods(t.Context(), mixed(false)), ofproto.ErrGroupExists, 1)
	if err := c.CommitMods(t.Context(), mixed(false)[2:]); err != nil || held(t, c) != 2 || groups() != 2 {
		t.Errorf("%v: %d flows and %d groups", err, held(t, c), groups())
	}

	meter := ofproto.MeterMod{Entry: ofproto.MeterEntry{ID: 1, Flags: ofproto.MeterPktps, Bands: []ofproto.Band{{Type: ofproto.BandDrop, Rate: 1}}}}
	var refused *ofconn.CommitError
	if err := c.CommitMods(t.Context(), []ofproto.Mod{meter}); !errors.As(err, &refused) || !errors.Is(err, ofproto.ErrBundleUnsupported) {
		t.Errorf("commit of a meter in a bundle: %v", err)
	}
	if err := c.ProgramMods(t.Context(), []ofproto.Mod{meter}); err != nil {
		t.Error(err)
	}
}

// If changes need several bundles, added groups are in the first bundle and deleted groups in the last.
func TestGroupsInMoreThanOneBundle(t *testing.T) {
	c := realSwitch(t)
	list := mixed(false)
	flows := additions(100_000)
	for i := range flows {
		flows[i].Flow.Do = ofproto.ApplyActions(ofproto.ToGroup{ID: 1})
	}
	mods := list[:1:1]
	for i := range flows {
		mods = append(mods, &flows[i])
	}
	mods = append(mods, ofproto.GroupMod{Command: ofproto.GroupDelete, Entry: ofproto.GroupEntry{ID: 1}})
	if err := c.CommitMods(t.Context(), mods[:len(mods)-1]); err != nil || held(t, c) != len(flows) {
		t.Errorf("%v: %d flows", err, held(t, c))
	}
	if err := c.CommitMods(t.Context(), mods[1:]); err != nil || held(t, c) != 0 { // the flows are deleted with the last group
		t.Errorf("%v: %d flows are left", err, held(t, c))
	}
}
