package e2e

import (
	"fmt"
	"regexp"
	"slices"
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
	f.offloadable(t, "genev_sys_6081", func(_, to string) string { return gatewayMAC(f.network(to)) },
		func(_ string, actions []string) error { return sendable(actions) },
		func(to string, actions []string) error { return actionsAre(actions, to) })
}

// The same by uplinks: the sender's host also pushes the VLAN tag, and the source is the address with
// which only this host routes. The other host restores the router's MAC address and removes the tag.
func TestRoutedPacketsByUplinksCanBeOffloaded(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, blueAndGreen)
	f.tagged = true
	f.uplinks()
	f.serve(uplinkTopology(2, blueAndGreen, strings.Fields("b11 g21")))
	for _, name := range []string{"b11", "g21"} {
		f.plugTagged(name)
	}
	f.settle()
	f.offloadable(t, lab.UplinkNIC, func(from, to string) string { return uplinkMAC(int(from[1]-'0'), f, f.network(to)) },
		func(to string, actions []string) error {
			return actionsAre(actions, `set\(eth\(src=.*,dst=.*\)\)`, `set\((ipv4\(ttl|ipv6\(hlimit)=63\)\)`, fmt.Sprintf(`push_vlan\(vid=%d,pcp=0\)`, 101+f.network(to)), lab.UplinkNIC)
		},
		func(to string, actions []string) error {
			return actionsAre(actions, `set\(eth\(src=`+gatewayMAC(f.network(to))+`\)\)`, "pop_vlan", to)
		})
}

// offloadable checks the flows of the datapaths of two hosts, between b11 and g21. Packets arrive by a
// port, from the MAC address source. sent and arrived check the actions on packets to a machine.
func (f *fleet) offloadable(t *testing.T, port string, source func(from, to string) string, sent, arrived func(to string, actions []string) error) {
	t.Helper()
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
				in = far.datapathFlows("in_port("+port+")", ethertype, "src="+source(way.from, way.to))
				if len(out) == 0 || len(in) == 0 {
					return fmt.Errorf("there are %d where it is sent and %d where it arrives", len(out), len(in))
				}
				return nil
			})
			for _, fl := range out {
				if err := sent(way.to, fl.actions); err != nil {
					t.Errorf("a packet that is sent: %v\n%s", err, fl.text)
				}
			}
			for _, fl := range in {
				if err := arrived(way.to, fl.actions); err != nil {
					t.Errorf("a packet that arrives: %v\n%s", err, fl.text)
				}
			}
		}
	}
}

// actionsAre returns an error unless the actions match the regular expressions, in their order.
func actionsAre(actions []string, want ...string) error {
	same := slices.EqualFunc(actions, want, func(a, pattern string) bool { return regexp.MustCompile("^(" + pattern + ")$").MatchString(a) })
	if !same {
		return fmt.Errorf("the actions are %q, want %q", actions, want)
	}
	return nil
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
