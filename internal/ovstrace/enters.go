package ovstrace

import (
	"regexp"
	"strings"
)

var tableLine = regexp.MustCompile(`^ *\d+\. `)

// Enters reports whether a packet reaches the flow tables of a bridge, according to the
// output of ofproto/trace or ofproto/trace-packet-out. If the bridge drops the packet at
// its port, the output has a heading for the bridge but no lines.
func Enters(output, bridge string) bool {
	in := false
	for line := range strings.Lines(output) {
		if name, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), `bridge("`); ok {
			in = strings.TrimSuffix(name, `")`) == bridge
		} else if in && tableLine.MatchString(line) {
			return true
		}
	}
	return false
}
