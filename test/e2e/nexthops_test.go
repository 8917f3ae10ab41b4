package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// severalHops routes 10.9.0.0/16 through some of vm2, vm3 and vm4 on green.
func severalHops(hops ...int) string {
	var next []string
	for _, h := range hops {
		next = append(next, fmt.Sprintf("{address: 10.0.2.%d}", h))
	}
	return with("ports:", `    routes:
      - destination: 10.9.0.0/16
        nexthops: [`+strings.Join(next, ", ")+`]
ports:
  - {id: vm3, network: green, mac: "02:00:00:00:02:11", addresses: [10.0.2.11]}
  - {id: vm4, network: green, mac: "02:00:00:00:02:12", addresses: [10.0.2.12]}`)
}

// Several next hops share the traffic, and each connection keeps its next hop. When a next hop is
// removed, only its connections move. The switch routes all of these packets.
func TestSeveralNextHops(t *testing.T) {
	t.Parallel()
	s := ready(t, severalHops(10, 11, 12))
	vm1 := s.plug(vm("vm1", "10.0.1.10"))
	var hops []*lab.Machine
	var at []*lab.Capture
	for i, name := range []string{"vm2", "vm3", "vm4"} {
		m := s.plug(vm(name, fmt.Sprintf("10.0.2.%d", 10+i)))
		hops, at = append(hops, m), append(at, record(t, m, flowTo(m)))
	}
	const flows = 60
	var sockets []net.Conn // keep the sockets open, because Linux gives each socket its own hash
	for i := range flows {
		sockets = append(sockets, dialUDP(t, s, vm1, fmt.Sprintf("10.9.%d.1:%d", i, 4000+i)))
	}
	send := func() {
		for _, c := range sockets {
			write(t, c, 2)
		}
	}
	tap := s.recordIn(netns, blueTap, all(came, isFlow))
	// went sends two packets of each flow, and returns its next hop. If the two went to different ones, err
	// names the flow.
	went := func() (out map[int]int, err error) {
		t.Helper()
		send()
		out = make(map[int]int)
		s.eventually("the packets to arrive", func() error {
			n := 0
			clear(out)
			err = nil
			for h, c := range at {
				for _, f := range c.Frames() {
					n++
					port := flowPort(f)
					if old, ok := out[port]; ok && old != h {
						err = fmt.Errorf("flow %d used next hop %d and next hop %d", port, old, h)
					}
					out[port] = h
				}
			}
			if n != 2*flows {
				return fmt.Errorf("%d packets of %d", n, 2*flows)
			}
			return nil
		})
		return out, err
	}
	before, err := went()
	if err != nil {
		t.Error(err)
	}
	least := flows / 10
	if lab.OnKernel(t, "each next hop gets at least one flow, not a tenth of them: Linux chooses the hashes of sockets at random") {
		least = 1
	}
	var per [3]int
	for _, h := range before {
		per[h]++
	}
	for h, n := range per {
		if n < least {
			t.Errorf("next hop %d got %d of %d flows", h, n, flows)
		}
	}
	s.reload(severalHops(10, 12))
	var after map[int]int
	s.eventually("no flow to use the removed next hop", func() error { // Open vSwitch confirms the group before its datapath has the change
		for i, m := range hops {
			at[i].Close()
			at[i] = record(t, m, flowTo(m))
		}
		var err error
		if after, err = went(); err != nil {
			return err
		}
		for port, h := range after {
			if h == 1 {
				return fmt.Errorf("flow %d uses next hop 1", port)
			}
		}
		return nil
	})
	for port, h := range after {
		if old := before[port]; old != 1 && h != old {
			t.Errorf("flow %d moved from next hop %d to next hop %d", port, old, h)
		}
	}
	seen(t, tap, "blue's tap", 0, "packets by the route", isFlow)
	s.reload(twoNetworks)
	if got := s.sh("", "ovs-ofctl -O OpenFlow13 dump-groups "+bridge); strings.Contains(got, "group_id=") {
		t.Errorf("groups are left: %s", got)
	}
}

// isFlow is true for packets of the test's flows.
func isFlow(f lab.Frame) bool { return flowPort(f) >= 4000 }

// flowTo is true for packets of the test's flows that are sent to m.
func flowTo(m *lab.Machine) condition {
	return all(came, isFlow, sentTo(m.MAC))
}

func flowPort(f lab.Frame) int {
	if udp, ok := f.Packet().Layer(layers.LayerTypeUDP).(*layers.UDP); ok {
		return int(udp.DstPort)
	}
	return 0
}

// dialUDP returns a socket for datagrams to an address. It is closed when the test ends.
func dialUDP(t *testing.T, s *site, from *lab.Machine, to string) net.Conn {
	t.Helper()
	conn, err := s.DialIn(within(t), from.Name, "udp4", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// write sends n datagrams.
func write(t *testing.T, conn net.Conn, n int) {
	t.Helper()
	for range n {
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
}
