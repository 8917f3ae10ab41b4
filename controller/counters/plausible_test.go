package counters

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A link carries 1 Tbit/s, and a minute of delay is allowed.
func TestCarried(t *testing.T) {
	if got, want := carried(time.Minute), (Tally{180e9, 15e12}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := carried(math.MaxInt64); got.Bytes != 1<<63 || !(Tally{1, 1}).within(got) {
		t.Errorf("for 292 years: %v", got)
	}
}

// Implausible growth of a counter is not added. This holds at the first reading, at later readings,
// and at the first reading after a restart of the daemon. All other growth is added, including
// later growth of the same flow.
func TestImplausibleCountersAreNotAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newFixture(t, 0)
		of := func(i int) subject {
			role, _ := compile.RoleOf(b.flows[i].Cookie)
			o, _ := b.objects.Get(b.flows[i].Cookie)
			return subjects(o, role, false)[0]
		}
		i := rapid.IntRange(0, len(b.flows)-1).Draw(t, "flow")
		fs, about := &b.flows[i], of(i)
		must := func(packets uint64) {
			if got := b.rc.sums.few[about].Packets; got != packets {
				t.Fatalf("the sum of %+v is %d packets, want %d", about, got, packets)
			}
		}
		refused := func(want bool, read func() *Jump) {
			if j := read(); (j != nil) != want {
				t.Fatalf("refused: %v, want %v", j, want)
			}
		}
		read := func() *Jump {
			r := b.rc.begin()
			b.rc.add(r, b.flows, b.objects, 0)
			b.rc.sum(r, 0, func(subject) bool { return true })
			b.rc.settle(r)
			return r.jump
		}
		fs.Packets = 1 << 62
		refused(true, read)
		must(0)
		fs.Packets += 10
		refused(false, read)
		must(10)
		b.restart(t)
		fs.Packets += 5
		refused(false, read)
		must(15)
		b.restart(t)
		fs.Packets += 1 << 61
		refused(true, read)
		must(15)
		fs.Packets += 3
		refused(false, read)
		must(18)
		fs.Bytes += 20e12 // 160 Tbit within at most a minute
		refused(true, read)
		must(18)
		b.restart(t)
		*fs = ofproto.FlowStats{Flow: fs.Flow} // while no daemon runs
		refused(false, read)
		must(18)
	})
}

// A file that lacks the time of the reading is accepted.
func TestKeptCountersWithoutTime(t *testing.T) {
	var kept keptCounters
	if err := json.Unmarshal([]byte(`{"Reported":{"i":{"0":{"Packets":7,"Bytes":7}}},"Before":{"i":{"0":{"Packets":7,"Bytes":7}}}}`), &kept); err != nil || kept.At != 0 {
		t.Fatal(kept, err)
	}
	rc := restored("r", &kept)
	r := rc.begin()
	rc.sum(r, 0, func(subject) bool { return true })
	rc.settle(r)
	for about, n := range rc.sums.all() {
		if n.Packets != 7 || r.jump != nil {
			t.Errorf("%v is %v, %v", about, n, r.jump)
		}
	}
}
