package ovstrace

import "testing"

// TestEnters parses the output of Open vSwitch 3.1 for packets sent to a patch port.
func TestEnters(t *testing.T) {
	const head = "Flow: in_port=LOCAL\n\nbridge(\"br-int\")\n----------------\n    output:2\n"
	for name, c := range map[string]struct {
		output string
		want   bool
	}{
		"it arrives":                  {head + "\nbridge(\"rb-r1\")\n---------------\n 0. in_port=3, priority 100\n    output:2\n\nFinal flow: unchanged\nDatapath actions: 3\n", true},
		"no flow matches":             {head + "\nbridge(\"rb-r1\")\n---------------\n 0. No match.\n    drop\n\nFinal flow: unchanged\nDatapath actions: drop\n", true},
		"the port does not receive":   {head + "\nbridge(\"rb-r1\")\n---------------\n\nFinal flow: unchanged\nDatapath actions: drop\n", false},
		"the port does not forward":   {head + "     -> OFPPC_NO_FWD set, skipping output\n\nFinal flow: unchanged\nDatapath actions: drop\n", false},
		"the port has no peer":        {head + "\nFinal flow: unchanged\nDatapath actions: drop\n", false},
		"it enters another bridge":    {head + "\nbridge(\"rb-r2\")\n---------------\n 0. in_port=3, priority 100\n    drop\n\nDatapath actions: drop\n", false},
		"flows of the bridge it left": {"bridge(\"br-int\")\n----------------\n 0. priority 0\n    NORMAL\n\nDatapath actions: drop\n", false},
	} {
		if got := Enters(c.output, "rb-r1"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
