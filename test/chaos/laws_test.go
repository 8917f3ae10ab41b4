package chaos

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"
	"time"
)

// A seed always gives the same steps. Each kind of fault occurs once in a round. Every intent
// is valid, and differs from the previous intent if and only if the step changes it.
func TestScript(t *testing.T) {
	for seed := range uint64(3) {
		o := Options{Seed: seed, Only: regexp.MustCompile("")}
		a, b := newScript(o), newScript(o)
		for round := range 2 {
			var kinds []string
			for range faults {
				before, _ := a.intent.file()
				kind, st := a.next()
				again, same := b.next()
				if kind != again || st.what != same.what {
					t.Fatalf("seed %d: %s %s, and then %s %s", seed, kind, st.what, again, same.what)
				}
				kinds = append(kinds, kind)
				after, err := a.intent.file()
				if _, invalid := a.intent.model(); err != nil || invalid != nil {
					t.Fatalf("seed %d, %s %s: %v %v\n%s", seed, kind, st.what, err, invalid, after)
				}
				if changed := before != after; changed != (st.intent != nil) {
					t.Errorf("seed %d, %s %s: the intent has changed: %v\n%s", seed, kind, st.what, changed, after)
				}
			}
			slices.Sort(kinds)
			if n := len(slices.Compact(kinds)); n != len(faults) {
				t.Errorf("seed %d, round %d: %d different kinds, want %d", seed, round, n, len(faults))
			}
		}
	}
}

// TestScript, for fleets: the places of machines are a part of the layout, too.
func TestFleetScript(t *testing.T) {
	for _, faults := range [][]fleetFault{fleetFaults, etcdFaults} {
		fleetScriptLaws(t, faults)
	}
}

func fleetScriptLaws(t *testing.T, faults []fleetFault) {
	for seed := range uint64(3) {
		o := Options{Seed: seed}
		a, b := newFleetScript(o, 3, faults), newFleetScript(o, 3, faults)
		for round := range 2 {
			kinds := make(map[string]bool)
			for range faults {
				before, _ := a.layout.intent.file()
				at := a.layout.at
				kind, st := a.next()
				again, same := b.next()
				if kind != again || st.what != same.what {
					t.Fatalf("seed %d: %s %s, and then %s %s", seed, kind, st.what, again, same.what)
				}
				kinds[kind] = true
				after, err := a.layout.intent.file()
				if _, invalid := a.layout.intent.model(); err != nil || invalid != nil {
					t.Fatalf("seed %d, %s %s: %v %v\n%s", seed, kind, st.what, err, invalid, after)
				}
				if before != after && st.intent == nil {
					t.Errorf("seed %d, %s %s: the intent has changed", seed, kind, st.what)
				}
				if moved := !maps.Equal(at, a.layout.at); moved != (st.at != nil) {
					t.Errorf("seed %d, %s %s: a machine has moved: %v", seed, kind, st.what, moved)
				}
			}
			if len(kinds) != len(faults) {
				t.Errorf("seed %d, round %d: %d different kinds, want %d", seed, round, len(kinds), len(faults))
			}
		}
	}
}

// Packets that have not arrived when a window ends are lost. If they arrive later, they are
// not counted in the next window.
func TestWindows(t *testing.T) {
	ms := machines()
	p, q := &pair{from: ms[0], to: ms[1]}, &pair{from: ms[1], to: ms[0]}
	m := &mesh{pairs: []*pair{p, q}}
	begin := time.Now()
	for i := range 10 {
		at := begin.Add(time.Duration(i) * time.Second)
		p.sent, p.got = append(p.sent, at), append(p.got, i != 3 && i != 7)
		q.sent, q.got = append(q.sent, at), append(q.got, i < 9)
	}
	onlyQ := func(x *pair) bool { return x == q }
	late, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond) // the packets of q never arrive
	defer cancel()
	if _, _, _, err := m.cut(late, everything, onlyQ); err == nil {
		t.Error("a window was cut although its context had ended")
	}
	sent, lost, wrong := m.count(everything, onlyQ)
	if sent != 20 || lost != 3 || len(wrong) != 1 {
		t.Fatalf("sent %d, lost %d, wrong %v", sent, lost, wrong)
	}
	if want := (loss{p, 2, 10, begin.Add(3 * time.Second), begin.Add(7 * time.Second)}); wrong[0] != want {
		t.Errorf("p's loss is %+v, want %+v", wrong[0], want)
	}
	if sent, lost, wrong := m.count(onlyQ, nothing); sent != 10 || lost != 1 || len(wrong) != 1 || wrong[0].pair != q {
		t.Errorf("q alone: sent %d, lost %d, wrong %v", sent, lost, wrong)
	}
	if sent, lost, wrong, err := m.cut(t.Context(), everything, everything); sent != 20 || lost != 3 || wrong != nil || err != nil {
		t.Errorf("cut: sent %d, lost %d, wrong %v, %v", sent, lost, wrong, err)
	}
	m.arrived(0, 3) // a packet of the previous window
	if sent, lost, _ := m.count(everything, nothing); sent != 0 || lost != 0 {
		t.Errorf("a new window has sent %d and lost %d", sent, lost)
	}
	p.sent, p.got = append(p.sent, begin), append(p.got, false)
	m.arrived(0, 10)
	if sent, lost, _ := m.count(everything, nothing); sent != 1 || lost != 0 {
		t.Errorf("the first packet of a new window: sent %d, lost %d", sent, lost)
	}
}

// Only counters must not decrease, and only while the same daemon runs.
func TestDecreasingCountersAreReported(t *testing.T) {
	read := func(adds, seconds, gauge int) scrape {
		s, err := parseScrape(fmt.Sprintf(`# HELP ofdvr_flow_mods_total what
# TYPE ofdvr_flow_mods_total counter
ofdvr_flow_mods_total{operation="add"} %d
ofdvr_flow_mods_total{operation="delete"} 1e+01
# TYPE took histogram
took_bucket{le="+Inf"} %d
# TYPE connected gauge
connected %d
`, adds, seconds, gauge))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := read(5, 5, 5)
	if n := before.flowMods(); n != 15 {
		t.Errorf("%d flow-mods, want 15", n)
	}
	w := &watch{last: before}
	for _, tt := range []struct {
		name string
		now  scrape
		want int
	}{
		{"all the same", before, 0},
		{"all more", read(6, 6, 6), 0},
		{"a gauge is less", read(5, 5, 4), 0},
		{"a counter is less", read(4, 5, 5), 1},
		{"a histogram is less", read(5, 4, 5), 1},
		{"all less", read(0, 0, 0), 2},
		{"no metrics", scrape{}, 0},
	} {
		if back := w.back(nil, tt.now); len(back) != tt.want {
			t.Errorf("%s: %v, want %d", tt.name, back, tt.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	var ds []time.Duration
	for i := 1; i <= 200; i++ {
		ds = append(ds, time.Duration(i))
	}
	for _, tt := range []struct {
		n, percent int
		want       time.Duration
	}{{1, 50, 1}, {1, 99, 1}, {2, 50, 1}, {2, 99, 2}, {3, 50, 2}, {100, 99, 99}, {200, 99, 198}, {200, 50, 100}} {
		if got := quantile(ds[:tt.n], tt.percent); got != tt.want {
			t.Errorf("%d%% of 1 to %d do not exceed %d, want %d", tt.percent, tt.n, got, tt.want)
		}
	}
}
