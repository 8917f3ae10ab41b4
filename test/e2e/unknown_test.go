package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// neighbours counts the router's neighbour entries for machines that do not
// answer.
func (s *site) neighbours() int {
	return strings.Count(s.sh(netns, "ip neigh show nud incomplete; ip neigh show nud failed"), "\n")
}

// If a machine scans a subnet, its own or another, the kernel resolves only a limited number of
// addresses a second. The other packets are counted. Packets to undeclared machines are not limited
// once the namespace has resolved them. A restart of the daemon changes no flow.
func TestScansAreLimited(t *testing.T) {
	t.Parallel()
	const rate = 10
	s := ready(t, strings.Replace(dualStack, "- id: r1\n", fmt.Sprintf("- id: r1\n    unknown_rate: %d\n", rate), 1))
	vm1, vm9 := s.plug(dual("vm1", "10.0.1.10")), s.plug(dual("vm9", "10.0.2.99"))
	s.plug(dual("vm2", "10.0.2.10"))
	known := func(addr string) bool { return len(s.flows(bridge).find("table=7,", "dst="+addr+" ")) == 1 }
	for _, to := range vm9.Addresses {
		to, _, _ := strings.Cut(to, "/")
		s.eventually(to+" to be known", func() error {
			if _, err := vm1.Ping(t.Context(), to, lab.PingOptions{}); err != nil {
				return err
			}
			if !known(to) {
				return errors.New(s.sh("", "ovs-ofctl -O OpenFlow13 dump-flows "+bridge+" table=7"))
			}
			return nil
		})
	}
	for _, c := range []struct{ name, to, from string }{{"others' subnet", "10.0.2.", "10.0.1.10"}, {"own subnet", "10.0.1.", "10.0.1.10"}} {
		t.Run(c.name, func(t *testing.T) {
			counted := func() float64 {
				return s.scrape()[`ofdvr_interface_limited_packets_total{interface="r1-blue",kind="unknown",router="r1"}`]
			}
			before, had, began := counted(), s.neighbours(), time.Now()
			out, err := s.Sender(vm1.Name, vm1.Interface)
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			const scanned = 120
			for i := range scanned {
				buf := gopacket.NewSerializeBuffer()
				ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: ip4(c.from), DstIP: ip4(fmt.Sprint(c.to, 100+i))}
				udp := &layers.UDP{SrcPort: 7, DstPort: 7}
				if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
					t.Fatal(err)
				}
				eth := &layers.Ethernet{SrcMAC: mac(vm1.MAC), DstMAC: mac(blueMAC), EthernetType: layers.EthernetTypeIPv4}
				if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, udp); err != nil {
					t.Fatal(err)
				}
				if _, err := out.Write(buf.Bytes()); err != nil {
					t.Fatal(err)
				}
			}
			ping(t, vm1, vm9.IP(), lab.PingOptions{Count: 100})
			most := rate + int(time.Since(began).Seconds()*rate) + 1
			if n := s.neighbours() - had; n > most {
				t.Errorf("the scan added %d neighbour entries, want at most %d", n, most)
			}
			s.eventually("the limited packets to be counted", func() error {
				if n := counted() - before; n < float64(scanned-most) {
					return fmt.Errorf("%v", n)
				}
				return nil
			})
		})
	}
	mustHave(t, s.ofdvr(0, "flows", "r1"), "exempts a neighbour that the namespace of router r1 has resolved from the limit for unknown addresses", "limits packets from interface r1-blue for unknown addresses")

	s.stop()
	s.serve()
	s.settle()
	s.eventually("the neighbours to be read again", func() error {
		if s.neighbourFlows() == 0 {
			return errors.New("the neighbours have no flow")
		}
		return nil
	})
	if n := s.scrape()[`ofdvr_flow_mods_total{operation="add"}`] + s.scrape()[`ofdvr_flow_mods_total{operation="delete"}`]; n != 0 {
		t.Errorf("the restart has changed %v flows", n)
	}
	s.sh(netns, "ip neigh flush all; ip neigh del 10.0.2.99 dev "+greenTap+" 2>/dev/null || true")
	s.eventually("packets to forgotten neighbours to be limited again", func() error {
		if known(vm9.IP()) {
			return errors.New("a neighbour still has a flow")
		}
		return nil
	})
}

func (s *site) neighbourFlows() int { return len(s.flows(bridge).find("table=7,", "priority=20")) }
