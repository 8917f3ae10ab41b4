package ovstrace

import (
	"fmt"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Compare compares the steps that [ofproto.Trace] returned with t. If the steps or the final
// packets differ, it returns an error that shows both.
func Compare(steps []ofproto.Step, t Trace) error {
	if len(steps) == 0 {
		if len(t.Steps) > 0 {
			return fmt.Errorf("no flow matches, but Open vSwitch reports\n%s", lines(t.Steps))
		}
		return nil
	}
	larger, whole := false, true
	for _, s := range steps {
		for f := range s.In.Headers.Fields() {
			larger = larger || f == ofproto.Reg(0, 1, 1<<32-1)
		}
		whole = whole && s.Group == 0 && !s.Expired && !strings.Contains(s.Flow.Do.String(), "check_pkt_larger")
	}
	theirs := Path(t.Steps, larger)
	same := len(theirs) == len(steps)
	for i := range theirs {
		same = same && alike(steps[i], theirs[i])
	}
	if !same {
		var ours strings.Builder
		for _, s := range steps {
			fmt.Fprintln(&ours, s.Flow)
		}
		return fmt.Errorf("the flows are\n%sbut Open vSwitch reports\n%s", &ours, lines(theirs))
	}
	// The final packet cannot be compared in two cases: Open vSwitch leaves the selection of a
	// bucket to its datapath, and after check_pkt_larger it undoes its changes to the packet at the
	// end.
	if !whole || t.Final == "" {
		return nil
	}
	final, err := ofproto.ParseMatch(strings.Replace(t.Final, ",vlan_tci1=0x0000", "", 1))
	if err != nil {
		return fmt.Errorf("read the packet at the end of Open vSwitch's trace: %w in %q", err, t.Final)
	}
	last := steps[len(steps)-1]
	end := last.In
	if len(last.Out) > 0 {
		end = last.Out[0].Packet
	}
	if !end.Headers.Overlaps(final) {
		return fmt.Errorf("the final packet is %v, but Open vSwitch reports %s", end, t.Final)
	}
	return nil
}

// alike reports whether two steps are equivalent. Their matches may differ, because a packet may
// hit any of several flows with the same effect.
func alike(a ofproto.Step, b Step) bool {
	a.Flow.Match = b.Flow.Match
	if a.Expired && strings.HasPrefix(a.Flow.Do.String(), b.Flow.Do.String()) {
		a.Flow.Do = b.Flow.Do // the trace has only the actions that were carried out
	}
	return a.Flow == b.Flow
}

func lines(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintln(&b, s.Flow)
	}
	return b.String()
}
