package reconcile

import (
	"fmt"

	"github.com/ofdvr/ofdvr/ofproto"
)

// An UnstableError means that a switch repeatedly reports a flow, group or meter that differs
// from the one sent.
type UnstableError struct {
	Want, Got ofproto.Mod // the entry as sent and as reported, as additions; Got is nil if the switch does not report it
	Tries     int
}

func (e *UnstableError) Error() string {
	got := "does not report it"
	if e.Got != nil {
		_, got = entryOf(e.Got)
		got = "reports it as " + got
	}
	what, want := entryOf(e.Want)
	return fmt.Sprintf("%s %s was sent %d times, but the switch %s", what, want, e.Tries, got)
}

// entryOf returns the kind of entry that m changes, and the entry as text.
func entryOf(m ofproto.Mod) (kind, text string) {
	switch m := m.(type) {
	case ofproto.GroupMod:
		return "group", m.Entry.String()
	case ofproto.MeterMod:
		return "meter", m.Entry.String()
	case ofproto.FlowMod:
		return "flow", m.Flow.String()
	}
	return "", m.String()
}
