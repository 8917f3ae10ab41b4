package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// encapsulate matches actions that send a packet by a tunnel. Open vSwitch in userspace adds the
// outer headers itself, and outputs to the link. The kernel's datapath outputs to the tunnel's
// device.
var encapsulate = regexp.MustCompile(`^(tnl_push\(.*\)|set\(tunnel\(.*\)\)|eth0|genev_sys_6081)$`)

// Hardware can execute the datapath's actions on packets that are routed to another host. The
// sender's host rewrites MAC addresses and the TTL, and adds the tunnel's headers. The other host
// outputs the packet. No packet has a mark, goes through a datapath twice, or reaches ovs-vswitchd.
func TestRoutedPacketsBetweenHostsCanBeOffloaded(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 2, blueAndGreen, strings.Fields("b11 g21"))
	for _, way := range []struct{ from, to string }{{"b11", "g21"}, {"g21", "b11"}} {
		sender, receiver := f.machines[way.from], f.machines[way.to]
		near, far := f.hosts[f.number(sender.Host)-1], f.hosts[f.number(receiver.Host)-1]
		for i, ethertype := range []string{"eth_type(0x0800)", "eth_type(0x86dd)"} {
			dst := address(receiver.MachineConfig, i)
			var out, in []datapathFlow
			near.eventually("flows of the datapaths from "+way.from+" to "+dst, func() error {
				if _, err := sender.Ping(t.Context(), dst, lab.PingOptions{Count: 3}); err != nil {
					return err
				}
				out = near.datapathFlows("in_port("+way.from+")", ethertype, "dst="+gatewayMAC(f.network(way.from)))
				in = far.datapathFlows("in_port(genev_sys_6081)", ethertype, "src="+gatewayMAC(f.network(way.to)))
				if len(out) == 0 || len(in) == 0 {
					return fmt.Errorf("there are %d where it is sent and %d where it arrives", len(out), len(in))
				}
				return nil
			})
			for _, fl := range out {
				if err := sendable(fl.actions); err != nil {
					t.Errorf("%v\n%s", err, fl.text)
				}
			}
			for _, fl := range in {
				if len(fl.actions) != 1 || fl.actions[0] != way.to {
					t.Errorf("a packet that arrives has other actions than the output to %s\n%s", way.to, fl.text)
				}
			}
		}
	}
}

// sendable returns an error unless the actions are exactly two rewrites of headers, and sending the
// packet by a tunnel.
func sendable(actions []string) error {
	rewritten, sent := 0, 0
	for _, a := range actions {
		switch {
		case rewrite.MatchString(a):
			rewritten++
		case encapsulate.MatchString(a):
			sent++
		default:
			return fmt.Errorf("%s neither rewrites headers nor sends by a tunnel", a)
		}
	}
	if rewritten != 2 || sent == 0 {
		return fmt.Errorf("headers are rewritten %d times, and %d actions send by a tunnel", rewritten, sent)
	}
	return nil
}
