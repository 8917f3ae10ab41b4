package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A flow is a line of ovs-ofctl dump-flows.
type flow struct {
	line    string
	packets int
	role    compile.Role // 0 if the cookie is not ofdvr's
}

var flowLine = regexp.MustCompile(`cookie=0x([0-9a-f]+), .*n_packets=(\d+),`)

func parseFlows(dump string) []flow {
	var flows []flow
	for line := range strings.Lines(dump) {
		m := flowLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		f := flow{line: strings.TrimSpace(line)}
		f.packets, _ = strconv.Atoi(m[2])              // absurdly many: 0, which no check accepts
		cookie, err := strconv.ParseUint(m[1], 16, 64) // cannot be too long
		role, ours := compile.RoleOf(ofproto.Cookie(cookie))
		if err == nil && ours {
			f.role = role
		}
		flows = append(flows, f)
	}
	return flows
}

// meanings says in a few words what the flows do that may have packets. That
// the kernel sent nothing during the ping is known from the taps' counters.
var meanings = map[compile.Role]string{
	compile.RoleAsk:     "“who has the gateway's address?”: a request that may be answered",
	compile.RoleARP:     "turned into the answer",
	compile.RoleLimit:   "so many a second of this machine and no more",
	compile.RoleAnswer:  "and sent back",
	compile.RoleIn:      "addressed to the router: remember that it comes from where it says, and go on",
	compile.RoleForward: "for somebody behind the router, not for the router itself: go and route it",
	compile.RoleRoute:   "for one of the router's networks: go and deliver it",
	compile.RoleDeliver: "for a machine: new MAC addresses, TTL less one, out to its network",

	compile.RoleFromKernel: "not of the ping: IPv6 in the kernel said hello when the tap came up",
}

var (
	flowNoise  = regexp.MustCompile(`cookie=[^ ]+, duration=[^ ]+, |n_bytes=\d+, |vlan_tci=0x0000/0x1fff,?`)
	arpActions = regexp.MustCompile(`actions=move:.*,goto_table`)
)

// shorten leaves of a flow what a person looks at first.
func (f flow) shorten() string {
	s := flowNoise.ReplaceAllString(f.line, "")
	s = arpActions.ReplaceAllString(s, "actions=move:…,set_field:…,goto_table")
	return regexp.MustCompile(`,? +actions=`).ReplaceAllString(s, "\n      actions=")
}

// explain prints the flows that have packets, each kind with its meaning.
func explain(flows []flow) string {
	var b strings.Builder
	for _, f := range flows {
		if f.packets > 0 {
			fmt.Fprintf(&b, "%s\n      # %s\n", f.shorten(), meanings[f.role])
		}
	}
	return b.String()
}

// packets sums what flows of a role have counted, of those whose line contains
// text.
func packets(flows []flow, role compile.Role, text string) int {
	n := 0
	for _, f := range flows {
		if f.role == role && strings.Contains(f.line, text) {
			n += f.packets
		}
	}
	return n
}
