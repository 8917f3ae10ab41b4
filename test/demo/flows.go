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
		f.packets, _ = strconv.Atoi(m[2])              // 0 if out of range, which every check refuses
		cookie, err := strconv.ParseUint(m[1], 16, 64) // cannot fail, because the number is not too long
		role, ours := compile.RoleOf(ofproto.Cookie(cookie))
		if err == nil && ours {
			f.role = role
		}
		flows = append(flows, f)
	}
	return flows
}

// meanings explains the flows that may have packets. The counters of the taps prove that the kernel
// sent no packets during the ping.
var meanings = map[compile.Role]string{
	compile.RoleAsk:     "ARP request for the gateway's address",
	compile.RoleARP:     "turn the request into the reply",
	compile.RoleLimit:   "limit the replies a second for this machine",
	compile.RoleAnswer:  "send the reply back",
	compile.RoleIn:      "sent to the router's MAC address, from a source address of this network",
	compile.RoleForward: "not for the router itself: route it",
	compile.RoleRoute:   "to one of the router's networks: deliver it",
	compile.RoleDeliver: "to a machine: set the MAC addresses, decrement the TTL, output to its network",

	compile.RoleFromKernel: "not of the ping: the kernel's IPv6 announced itself when the tap came up",
}

var (
	flowNoise  = regexp.MustCompile(`cookie=[^ ]+, duration=[^ ]+, |n_bytes=\d+, |vlan_tci=0x0000/0x1fff,?`)
	arpActions = regexp.MustCompile(`actions=move:.*,goto_table`)
)

// shorten returns the parts of a flow that are relevant to the reader.
func (f flow) shorten() string {
	s := flowNoise.ReplaceAllString(f.line, "")
	s = arpActions.ReplaceAllString(s, "actions=move:…,set_field:…,goto_table")
	return regexp.MustCompile(`,? +actions=`).ReplaceAllString(s, "\n      actions=")
}

// explain prints the flows that have packets, and the meaning of each kind.
func explain(flows []flow) string {
	var b strings.Builder
	for _, f := range flows {
		if f.packets > 0 {
			fmt.Fprintf(&b, "%s\n      # %s\n", f.shorten(), meanings[f.role])
		}
	}
	return b.String()
}

// packets returns the sum of the packet counters of a role's flows that contain text.
func packets(flows []flow, role compile.Role, text string) int {
	n := 0
	for _, f := range flows {
		if f.role == role && strings.Contains(f.line, text) {
			n += f.packets
		}
	}
	return n
}
