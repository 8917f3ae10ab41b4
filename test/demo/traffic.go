package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ofdvr/ofdvr/routing/compile"
	"github.com/ofdvr/ofdvr/test/lab"
)

// pings is the number of echo requests.
const pings = 5

func (d *demo) ping(ctx context.Context) error {
	if _, err := d.host.RunIn(ctx, "qrouter-r1", "sh", "-c", noIPv6); err != nil {
		return err
	}
	d.say("First, the counters of the kernel's ends of the router. (IPv6 is off in the machines and in the\n" +
		"router's namespace, because it sends unsolicited packets. The flows here are for IPv4.)")
	before, err := d.tapCounters(ctx)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("ip netns exec vm1 ping -c %d -i 0.1 10.0.2.10", pings)
	out, err := d.try(ctx, line, grep("bytes from", "packets transmitted"))
	if err != nil {
		return err
	}
	if n := strings.Count(out, " ttl=63 "); n != pings {
		return fmt.Errorf("%d of %d replies have ttl=63", n, pings)
	}
	d.proved("%d of %d replies have ttl=63. vm2 sent them with 64, so they were routed, not just switched.", pings, pings)
	after, err := d.tapCounters(ctx)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("the counters of the taps changed from %v to %v", before, after)
	}
	d.proved("The taps' counters have not changed: no packet of the ping, or of the ARP before it, left\n" +
		"    the switch for the kernel.")
	return nil
}

// taps are the kernel's ends of the router's interfaces.
var taps = [...]string{"qr-r1-blue", "qr-r1-green"}

// tapCounters has the numbers of packets that each tap has received and sent.
type tapCounters [len(taps)]struct{ received, sent int }

// tapCounters returns and shows the kernel's counters of the taps.
func (d *demo) tapCounters(ctx context.Context) (tapCounters, error) {
	var c tapCounters
	for i, tap := range taps {
		out, err := d.try(ctx, "ip -n qrouter-r1 -s link show dev "+tap, counterLines)
		if err != nil {
			return c, err
		}
		m := linkCounters.FindStringSubmatch(out)
		if m == nil {
			return c, fmt.Errorf("the counters of %s are not in\n%s", tap, out)
		}
		c[i].received, _ = strconv.Atoi(m[2]) // digits
		c[i].sent, _ = strconv.Atoi(m[4])
	}
	return c, nil
}

var linkCounters = regexp.MustCompile(`RX: +bytes +packets[^\n]*\n +(\d+) +(\d+)[^\n]*\n +TX: +bytes +packets[^\n]*\n +(\d+) +(\d+)`)

// counterLines returns the counters in the output of ip -s link.
func counterLines(out string) string { return out[max(0, strings.Index(out, "    RX:")):] }

func (d *demo) flows(ctx context.Context) error {
	d.say("These are the flows of the router's bridge that have counted packets, without cookies, times,\n" +
		"bytes, and the match on “no VLAN tag”. The line after # explains a flow.")
	const line = "ovs-ofctl -O OpenFlow13 --names dump-flows rb-r1"
	d.command(line)
	d.wait("waiting until Open vSwitch has added up its counters")
	var flows []flow
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := lab.Await(ctx, "the flows to have counted the ping", func() error {
		out, err := d.quiet(ctx, line)
		if err != nil {
			return err
		}
		flows = parseFlows(out)
		return checkFlows(flows)
	})
	d.output(explain(flows))
	if err != nil {
		return err
	}
	d.proved("%d requests were delivered to vm2 and %d replies to vm1, all by flows; the flows that send\n"+
		"    packets to the kernel have none.", pings, pings)
	return nil
}

// checkFlows returns nil if only flows handled the ping. Otherwise the error names the missing
// part.
func checkFlows(flows []flow) error {
	for _, dst := range []string{"10.0.1.10", "10.0.2.10"} {
		if n := packets(flows, compile.RoleDeliver, "nw_dst="+dst+" "); n != pings {
			return fmt.Errorf("%d packets were delivered to %s, want %d", n, dst, pings)
		}
	}
	if packets(flows, compile.RoleARP, "") == 0 {
		return errors.New("no ARP request was answered by a flow")
	}
	for _, f := range flows {
		if f.packets > 0 && meanings[f.role] == "" {
			return fmt.Errorf("a flow has packets that should have none: %s", f.line)
		}
	}
	return nil
}

func (d *demo) traceroute(ctx context.Context) error {
	d.say("The kernel answers packets whose TTL expires at the router: a flow sends them to the tap, and\n" +
		"the kernel answers from the router's address.")
	out, err := d.try(ctx, "ip netns exec vm1 traceroute -n -I -q 1 -N 1 10.0.2.10", nil)
	if err != nil {
		return err
	}
	if !hops.MatchString(out) {
		return errors.New("the path should be 10.0.1.1, 10.0.2.10")
	}
	d.proved("The first hop is the router, the second is vm2.")
	return nil
}

var hops = regexp.MustCompile(`\n 1  10\.0\.1\.1 .*\n 2  10\.0\.2\.10 [^\n]*\n?$`)
