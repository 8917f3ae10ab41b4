package reconcile

import (
	"fmt"

	"github.com/ofdvr/ofdvr/ofproto"
)

// An UnstableError says that a switch reports a flow differently from how it
// was sent, every time.
type UnstableError struct {
	Want, Got ofproto.Flow // Got is zero if the switch does not report the flow
	Tries     int
}

func (e *UnstableError) Error() string {
	got := "does not report it"
	if e.Got != (ofproto.Flow{}) {
		got = "reports it as " + e.Got.String()
	}
	return fmt.Sprintf("flow %v was sent %d times, and the switch %s", e.Want, e.Tries, got)
}
