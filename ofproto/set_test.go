package ofproto_test

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	. "github.com/ofdvr/ofdvr/ofproto"
)

// drawFlow draws one of a few flows, so that keys and values repeat.
func drawFlow(t *rapid.T) Flow {
	f := Flow{
		FlowKey: FlowKey{Table: 5, Priority: rapid.Uint16Range(0, 2).Draw(t, "priority"),
			Match: MatchOf(InPort(PortNo(rapid.IntRange(1, 3).Draw(t, "in"))))},
		Cookie: Cookie(rapid.IntRange(0, 1).Draw(t, "cookie")),
		Do:     ApplyActions(Output{Port: PortNo(rapid.IntRange(4, 6).Draw(t, "out"))}),
	}
	if rapid.IntRange(0, 4).Draw(t, "idle") == 0 {
		f.IdleTimeout = 300
	}
	return f
}

// drawMods draws changes of the kinds that Delta.Mods returns.
func drawMods(t *rapid.T) (mods []FlowMod) {
	for range rapid.IntRange(0, 12).Draw(t, "mods") {
		mods = append(mods, FlowMod{
			Command: rapid.SampledFrom([]FlowCommand{FlowAdd, FlowModifyStrict, FlowDeleteStrict}).Draw(t, "command"),
			Flow:    drawFlow(t),
		})
	}
	return mods
}

// A set behaves like a map from keys to flows, sorted by key.
func TestSetIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flows := rapid.SliceOf(rapid.Custom(drawFlow))
		s, m := Set{}, map[FlowKey]Flow{}
		for range rapid.IntRange(1, 5).Draw(t, "steps") {
			before, wanted := s, maps.Clone(m)
			fs := flows.Draw(t, "flows")
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				s, m = SetOf(fs), map[FlowKey]Flow{}
				for _, f := range fs {
					m[f.FlowKey] = f
				}
			case 1:
				s = s.With(fs...)
				for _, f := range fs {
					m[f.FlowKey] = f
				}
			case 2:
				var keys []FlowKey
				for _, f := range fs {
					keys = append(keys, f.FlowKey)
					delete(m, f.FlowKey)
				}
				s = s.WithoutKeys(keys...)
			case 3:
				drop := func(f Flow) bool { return f.Cookie == 0 }
				s = s.Without(drop)
				maps.DeleteFunc(m, func(_ FlowKey, f Flow) bool { return drop(f) })
			case 4:
				mods := drawMods(t)
				s = s.Apply(mods)
				for _, mod := range mods {
					apply(m, mod)
				}
			}
			if !before.Equal(SetOf(slices.Collect(maps.Values(wanted)))) {
				t.Fatalf("the original set has changed from %v to\n%s", wanted, before)
			}
			if before.Equal(s) != maps.Equal(wanted, m) {
				t.Fatalf("Equal is %v for\n%sand\n%s", before.Equal(s), before, s)
			}
			checkSet(t, s, m)
		}
	})
}

func checkSet(t *rapid.T, s Set, want map[FlowKey]Flow) {
	got := slices.Collect(s.All())
	if len(got) != len(want) || s.Len() != len(want) {
		t.Fatalf("set has %d flows, Len returns %d, want %d", len(got), s.Len(), len(want))
	}
	for i, f := range got {
		if i > 0 && CompareKeys(got[i-1].FlowKey, f.FlowKey) >= 0 {
			t.Fatalf("flows are out of order:\n%s", s)
		}
		if same, ok := s.Get(f.FlowKey); f != want[f.FlowKey] || !ok || same != f {
			t.Fatalf("set has %v, Get returns %v, want %v", f, same, want[f.FlowKey])
		}
	}
}

// apply applies mod to flows like a switch.
func apply(flows map[FlowKey]Flow, mod FlowMod) {
	f := mod.Flow
	switch old, ok := flows[f.FlowKey]; {
	case mod.Command == FlowAdd:
		flows[f.FlowKey] = f
	case mod.Command == FlowDeleteStrict:
		delete(flows, f.FlowKey)
	case ok:
		old.Do = f.Do
		flows[f.FlowKey] = old
	}
}

// After the same changes, Apply and a real switch have the same flows.
func TestApplyMatchesSwitch(t *testing.T) {
	_, c := dial(t)
	table := AllFlows()
	table.Table = 5
	held := func(t *rapid.T) Set {
		stats, err := c.Flows(t.Context(), table)
		if err != nil {
			t.Fatal(err)
		}
		flows := make([]Flow, len(stats))
		for i := range stats {
			flows[i] = stats[i].Flow
		}
		return SetOf(flows)
	}
	rapid.Check(t, func(t *rapid.T) {
		before, mods := held(t), drawMods(t)
		if err := c.Program(t.Context(), mods); err != nil {
			t.Fatal(err)
		}
		if got, want := held(t), before.Apply(mods); !got.Equal(want) {
			t.Fatalf("after %v the switch has\n%swant\n%shad\n%s", mods, got, want, before)
		}
	})
}
