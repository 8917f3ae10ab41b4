package ovstrace

import (
	"regexp"
	"strconv"
	"strings"
)

// Datapath returns the datapath's actions for the packet, from the output of ofproto/trace.
func Datapath(output string) string {
	for line := range strings.Lines(output) {
		if actions, ok := strings.CutPrefix(line, "Datapath actions: "); ok {
			return strings.TrimSpace(actions)
		}
	}
	return ""
}

// Floods reports whether a bridge sends the packet to all ports of a VLAN, because it has not learned
// the destination's MAC address.
func Floods(output string) bool {
	return strings.Contains(output, "-> no learned MAC for destination, flooding")
}

// notPorts matches datapath actions with arguments that are not ports.
var notPorts = regexp.MustCompile(`\b(meter|recirc|hash|ct|set|push_vlan|sample|userspace)\([^()]*(\([^()]*\)[^()]*)*\)`)

// Outputs reports whether the datapath outputs the packet to the port with the given number,
// or may do so.
func Outputs(output string, port int) bool {
	actions := notPorts.ReplaceAllString(Datapath(output), "")
	for _, a := range strings.FieldsFunc(actions, func(r rune) bool { return strings.ContainsRune(",()", r) }) {
		if a == strconv.Itoa(port) {
			return true
		}
	}
	return false
}

// "    vm1 3/4: (system)"
var portLine = regexp.MustCompile(`^\s+(\S+) \d+/(\d+): `)

// DatapathPort returns the number that a bridge's port has in the datapath, from the output of
// dpif/show. It returns false if the port has no number there, such as a patch port.
func DatapathPort(output, bridge, port string) (int, bool) {
	in := false
	for line := range strings.Lines(output) {
		switch m := portLine.FindStringSubmatch(line); {
		case m != nil && in && m[1] == port:
			n, err := strconv.Atoi(m[2])
			return n, err == nil
		case strings.HasSuffix(line, ":\n"): // a bridge
			in = strings.TrimSpace(line) == bridge+":"
		}
	}
	return 0, false
}
