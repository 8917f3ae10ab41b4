package e2e

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A datapathFlow is a flow of the datapath. ovs-vswitchd has made it from flows in all bridges
// (ovs-dpctl(8)).
type datapathFlow struct {
	text    string
	actions []string
}

// datapathFlows returns the datapath's flows that have counted packets and contain all parts in
// their text.
func (s *site) datapathFlows(parts ...string) []datapathFlow {
	s.t.Helper()
	out, err := s.Run(s.t.Context(), "ovs-appctl", "dpctl/dump-flows", "--names", "-m")
	if err != nil {
		s.t.Fatal(err)
	}
	var flows []datapathFlow
	for line := range strings.Lines(out) {
		match, actions, ok := strings.Cut(strings.TrimSpace(line), ", actions:")
		if !ok || strings.Contains(match, "packets:0,") || slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(match, p) }) {
			continue
		}
		actions, _, _ = strings.Cut(actions, ", dp-extra-info:")
		flows = append(flows, datapathFlow{line, splitActions(actions)})
	}
	return flows
}

// splitActions splits a list of actions at the commas outside of parentheses.
func splitActions(list string) []string {
	var out []string
	depth, begin := 0, 0
	for i, c := range list {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out = append(out, list[begin:i])
			begin = i + 1
		}
	}
	return append(out, list[begin:])
}

// Actions that hardware can execute: rewriting MAC addresses and the TTL, and output.
var (
	rewrite = regexp.MustCompile(`^set\((eth\((src=[0-9a-f:]+,?|dst=[0-9a-f:]+,?)+\)|ipv4\(ttl=\d+\)|ipv6\(hlimit=\d+\))\)$`)
	measure = regexp.MustCompile(`^check_pkt_len\(size=\d+,gt\(meter\(\d+\),([\w-]+)\),le\((.*)\)\)$`)
)

// offloadable returns an error unless actions only rewrite headers and output to port, as hardware
// can do. If tap is not "", they may first check the packet's length (check_pkt_larger), and send
// packets larger than an MTU to tap.
func offloadable(actions []string, port, tap string) error {
	if len(actions) == 1 && tap != "" {
		m := measure.FindStringSubmatch(actions[0])
		if m == nil || m[1] != tap {
			return fmt.Errorf("%s does not check the length of packets and send larger ones to %s", actions[0], tap)
		}
		actions = splitActions(m[2])
	}
	rewritten := 0
	for _, a := range actions[:len(actions)-1] {
		if !rewrite.MatchString(a) {
			return fmt.Errorf("%s does not rewrite headers", a)
		}
		rewritten++
	}
	if last := actions[len(actions)-1]; last != port || rewritten != 2 {
		return fmt.Errorf("the actions rewrite headers %d times and output to %s, want 2 and %s", rewritten, last, port)
	}
	return nil
}

// Hardware can execute the datapath's actions on routed packets: rewriting MAC addresses and the
// TTL, and output. Packets are not recirculated, and no packet reaches ovs-vswitchd.
func TestRoutedPacketsCanBeOffloaded(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := dualPair(t)
	s.routedFlows(vm1, vm2, "")
}

// The same holds if networks have different MTUs, except for the action check_pkt_larger.
func TestMeasuredPacketsCanBeOffloaded(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := narrowPair(t)
	s.routedFlows(vm1, vm2, blueTap)
}

// narrowPair returns a site where flows check the length of packets from vm1 to vm2.
func narrowPair(t *testing.T) (s *site, vm1, vm2 *lab.Machine) {
	t.Helper()
	s = ready(t, narrow)
	small := dual("vm2", "10.0.2.10")
	small.MTU = 1400
	return s, s.plug(dual("vm1", "10.0.1.10")), s.plug(small)
}

// If a route has several next hops, the switch first hashes a packet, which many hardware switches
// cannot do. Then it treats the packet like others.
func TestHashedPackets(t *testing.T) {
	t.Parallel()
	s := ready(t, severalHops(10, 11))
	vm1 := s.plug(vm("vm1", "10.0.1.10"))
	for _, hop := range []*lab.Machine{s.plug(vm("vm2", "10.0.2.10")), s.plug(vm("vm3", "10.0.2.11"))} {
		ping(t, hop, vm1.IP(), lab.PingOptions{}) // br-int learns the next hop's MAC address
	}
	conn := dialUDP(t, s, vm1, "10.9.0.1:4000")
	var first, then []datapathFlow
	s.eventually("the datapath to have the flows", func() error {
		write(t, conn, 3)
		first = s.datapathFlows("recirc_id(0)", "in_port(vm1)", "eth_type(0x0800)", "dst="+blueMAC)
		then = s.datapathFlows("dp_hash(0x", "in_port(vm1)")
		if len(first) == 0 || len(then) == 0 {
			return fmt.Errorf("got %d datapath flows before the hash and %d after it", len(first), len(then))
		}
		return nil
	})
	for _, f := range first {
		if a := f.actions; len(a) != 2 || !strings.HasPrefix(a[0], "hash(") || !strings.HasPrefix(a[1], "recirc(") {
			t.Errorf("the datapath flow has no hash action: %s", f.text)
		}
	}
	for _, f := range then {
		if vm2, vm3 := offloadable(f.actions, "vm2", ""), offloadable(f.actions, "vm3", ""); vm2 != nil && vm3 != nil {
			t.Errorf("%v\n%s", errors.Join(vm2, vm3), f.text)
		}
	}
}

// routedFlows sends packets between vm1 and vm2, fails the test unless the datapath flows that
// forward them are offloadable, and returns these flows. The length of packets to vm2 is checked
// if tap is not "".
func (s *site) routedFlows(vm1, vm2 *lab.Machine, tap string) (all []datapathFlow) {
	s.t.Helper()
	for _, way := range []struct {
		from *lab.Machine
		ip   string
		port string
		tap  string
	}{
		{vm1, "10.0.2.10", "vm2", tap}, {vm1, "fd00:2::10", "vm2", tap},
		{vm2, "10.0.1.10", "vm1", ""}, {vm2, "fd00:1::10", "vm1", ""},
	} {
		ethertype := "eth_type(0x0800)"
		if strings.Contains(way.ip, ":") {
			ethertype = "eth_type(0x86dd)"
		}
		gateway := "dst=" + map[string]string{"vm1": blueMAC, "vm2": greenMAC}[way.from.Name]
		var flows []datapathFlow
		s.eventually("a flow of the datapath from "+way.from.Name+" to "+way.ip, func() error {
			if _, err := way.from.Ping(s.t.Context(), way.ip, lab.PingOptions{Count: 3}); err != nil {
				return err
			}
			flows = s.datapathFlows("in_port("+way.from.Name+")", ethertype, gateway)
			if len(flows) == 0 {
				return fmt.Errorf("no such flow yet")
			}
			for _, f := range flows {
				if strings.Contains(f.text, "push_vlan(") {
					return fmt.Errorf("br-int has not learned the other machine's MAC address yet, and floods: %s", f.text)
				}
			}
			return nil
		})
		for _, f := range flows {
			if err := offloadable(f.actions, way.port, way.tap); err != nil {
				s.t.Errorf("%v\n%s", err, f.text)
			}
		}
		all = append(all, flows...)
	}
	return all
}
