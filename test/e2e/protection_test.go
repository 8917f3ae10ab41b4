package e2e

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A packetFlood is a packet that vm1 of dualStack sends repeatedly.
type packetFlood struct {
	packet []gopacket.SerializableLayer
	answer condition
	kind   string // of limit
}

// packetFloods has one of each kind of limited packet.
func packetFloods(t *testing.T) map[string]packetFlood {
	eth := func(to string, typ layers.EthernetType) *layers.Ethernet {
		return &layers.Ethernet{SrcMAC: mac("02:00:00:00:01:10"), DstMAC: mac(to), EthernetType: typ}
	}
	return map[string]packetFlood{
		"ARP": {[]gopacket.SerializableLayer{eth(broadcast, layers.EthernetTypeARP), &layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
			SourceHwAddress: mac("02:00:00:00:01:10"), SourceProtAddress: ip4("10.0.1.10"), DstHwAddress: make([]byte, 6), DstProtAddress: ip4("10.0.1.1"),
		}}, arpFor(layers.ARPReply, "10.0.1.1"), "resolution"},
		"echo": {[]gopacket.SerializableLayer{eth(blueMAC, layers.EthernetTypeIPv4),
			&layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: ip4("10.0.1.10"), DstIP: ip4("10.0.2.1")},
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)}}, echoReply("10.0.2.1", ""), "echo"},
		"TTL": {[]gopacket.SerializableLayer{eth(blueMAC, layers.EthernetTypeIPv4),
			&layers.IPv4{Version: 4, TTL: 1, Protocol: layers.IPProtocolICMPv4, SrcIP: ip4("10.0.1.10"), DstIP: ip4("10.0.2.10")},
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)}}, icmp(layers.ICMPv4TypeTimeExceeded, "", ""), "ttl"},
		"ND": {solicitationFrames(t), isAdvertisement, "resolution"},
	}
}

// frame returns the packet as bytes.
func (f packetFlood) frame(t *testing.T) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, f.packet...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// A machine floods its gateway with packets that the switch or the kernel answers. It gets only the
// allowed number of answers, and the other packets are counted. Another machine gets all answers,
// from its gateway and through it.
func TestFloodsAreLimited(t *testing.T) {
	t.Parallel()
	const rate = 50
	floods := packetFloods(t)
	if lab.OnKernel(t, "solicitations are not limited: the namespace answers them, without ovs-vswitchd") {
		delete(floods, "ND")
	}
	flood, together, pause := 6000, 20, time.Millisecond // 20,000 a second, which the kernel can send
	if lab.OnKernel(t, "the floods have 500 packets a second, not 20,000: packets to be limited go to ovs-vswitchd first, through a queue that they share with other packets") {
		flood, together, pause = 1500, 1, 2*time.Millisecond
	}
	empty := lab.Differs(t, metersBeginEmpty(t), "for a second after the daemon has made a meter, fewer replies than `answer_rate` pass: in this Open vSwitch a new meter's bucket is empty")
	for name, f := range floods {
		t.Run(name, func(t *testing.T) { // runs one after the other, because each subtest needs a whole processor
			s := ready(t, strings.NewReplacer("- id: r1\n", fmt.Sprintf("- id: r1\n    answer_rate: %d\n", rate),
				"routers:", "  - {id: red, vlan: 3}\nrouters:",
				"ports:", `      - {id: r1-red, network: red, mac: "02:00:00:00:03:01", addresses: [10.0.3.1/24]}
ports:
  - {id: vm4, network: red, mac: "02:00:00:00:03:10", addresses: [10.0.3.10]}`).Replace(dualStack))
			vm1, vm2, vm3 := s.plug(dual("vm1", "10.0.1.10")), s.plug(dual("vm2", "10.0.2.10")), s.plug(dual("vm3", "10.0.2.11"))
			s.plug(vm("vm4", "10.0.3.10"))
			ping(t, vm1, vm2.IP(), lab.PingOptions{})
			if empty {
				<-time.After(time.Second) // waits until the meter's bucket is full
			}
			frame := f.frame(t)
			at := record(t, vm1, all(came, f.answer))
			count := fmt.Sprintf(`ofdvr_interface_limited_packets_total{interface="r1-blue",kind=%q,router="r1"}`, f.kind)
			before := s.scrape()[count]
			start := time.Now()
			done := make(chan error, 1)
			go func() {
				out, err := s.Sender(vm1.Name, vm1.Interface)
				pace := time.NewTicker(pause)
				defer pace.Stop()
				for i := 0; err == nil && i < flood; i++ {
					if i%together == 0 {
						<-pace.C
					}
					_, err = out.Write(frame)
				}
				done <- err
			}()
			ping(t, vm3, "10.0.2.1", lab.PingOptions{Count: 10})
			ping(t, vm3, "10.0.1.1", lab.PingOptions{Count: 10})
			ping(t, vm3, "10.0.3.10", lab.PingOptions{Count: 10})
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			limited := func() float64 {
				return s.scrape()[count] - before
			}
			s.eventually("the unanswered packets to be counted", func() error {
				if n := limited(); n < float64(flood)/10 { // the switch may have received only a part
					return fmt.Errorf("%v", n)
				}
				return nil
			})
			if err := at.Sync(within(t)); err != nil {
				t.Fatal(err)
			}
			// At most the answers for a full bucket, and for the time since.
			if n, most := at.Count(f.answer), rate+int(time.Since(start).Seconds()*rate)+1; n == 0 || n > most {
				t.Errorf("got %d answers, want at most %d", n, most)
			}
		})
	}
}

// While a machine floods its gateway with any kind of packet, another machine on its network gets
// every answer to its ARP and neighbour requests.
func TestFloodsDoNotAffectOthers(t *testing.T) {
	t.Parallel()
	const rate, asked = 30, 10 // answer_rate, so low that an emulated switch can exceed it, and the number of requests of each machine and kind
	pause := time.Millisecond
	if lab.OnKernel(t, "the floods have 500 packets a second, not 1,000: packets to be limited go to ovs-vswitchd first, through a queue that they share with other packets") {
		pause = 2 * time.Millisecond
	}
	s := ready(t, strings.Replace(dualStack, "- id: r1\n", fmt.Sprintf("- id: r1\n    answer_rate: %d\n", rate), 1)+
		`  - {id: vm3, network: blue, mac: "02:00:00:00:01:11", addresses: [10.0.1.11, "fd00:1::11"]}`+"\n")
	vm1, vm3, undeclared := s.plug(dual("vm1", "10.0.1.10")), s.plug(dual("vm3", "10.0.1.11")), s.plug(dual("vm5", "10.0.1.15"))
	s.plug(dual("vm2", "10.0.2.10"))
	ping(t, vm1, "10.0.2.10", lab.PingOptions{})
	if lab.Differs(t, metersBeginEmpty(t), "for a second after the daemon has made a meter, fewer replies than `answer_rate` pass: in this Open vSwitch a new meter's bucket is empty") {
		<-time.After(time.Second)
	}
	for name, f := range packetFloods(t) {
		t.Run(name, func(t *testing.T) {
			frame := f.frame(t)
			limited := func() float64 { // the counter of the kind, which all floods share
				return s.scrape()[fmt.Sprintf(`ofdvr_interface_limited_packets_total{interface="r1-blue",kind=%q,router="r1"}`, f.kind)]
			}
			before := limited()
			stop, done := make(chan struct{}), make(chan error, 1)
			sent := make(chan struct{}) // closed when the flood has exceeded its rate
			go func() {
				out, err := s.Sender(vm1.Name, vm1.Interface)
				pace := time.NewTicker(pause)
				defer pace.Stop()
				for i := 0; err == nil; i++ {
					if i == 5*rate {
						close(sent)
					}
					select {
					case <-pace.C:
						_, err = out.Write(frame)
					case <-stop:
						done <- nil
						return
					}
				}
				done <- err
			}()
			<-sent
			for _, m := range []*lab.Machine{vm3, undeclared} {
				for what, ask := range map[string]func() condition{
					"ARP": func() condition {
						ask(t, m, broadcast, m.IP(), "10.0.1.1")
						return arpFor(layers.ARPReply, "10.0.1.1")
					},
					"ND": func() condition {
						c := solicitations[0]
						c.src = strings.TrimSuffix(m.Addresses[1], "/64")
						solicit(t, m, c)
						return icmp6(layers.ICMPv6TypeNeighborAdvertisement, "fd00:1::1", c.src)
					},
				} {
					at := record(t, m, came)
					var answer condition
					for range asked {
						answer = ask()
					}
					s.eventually(fmt.Sprintf("%s to have %d of %d answers to %s", m.Name, asked, asked, what), func() error {
						if n := at.Count(answer); n != asked {
							return fmt.Errorf("%d", n)
						}
						return nil
					})
				}
			}
			close(stop)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if name == "ND" && lab.OnKernel(t, "solicitations are not limited: the namespace answers them, without ovs-vswitchd") {
				return
			}
			s.eventually("the refused packets of the flood to be counted", func() error {
				if limited() == before {
					return errors.New("none")
				}
				return nil
			})
		})
	}
}

// metersBeginEmpty reports whether the switch drops packets right after a meter was made.
func metersBeginEmpty(t *testing.T) bool {
	t.Helper()
	h := lab.Boot(t)
	a := lab.Plug(t, h, lab.MachineConfig{Name: "a", MAC: "02:00:00:00:00:01", Addresses: []string{"10.0.0.1/24"}})
	lab.Plug(t, h, lab.MachineConfig{Name: "b", MAC: "02:00:00:00:00:02", Addresses: []string{"10.0.0.2/24"}})
	ping(t, a, "10.0.0.2", lab.PingOptions{})
	lab.Run(t, h, "ovs-ofctl", "-O", "OpenFlow13", "add-meter", lab.IntegrationBridge, "meter=1,pktps,burst,band=type=drop,rate=1,burst_size=1")
	lab.Run(t, h, "ovs-ofctl", "-O", "OpenFlow13", "add-flow", lab.IntegrationBridge, "icmp,icmp_type=8,actions=meter:1,NORMAL")
	_, err := a.Run(t.Context(), "ping", "-c", "1", "-W", "1", "10.0.0.2")
	return err != nil
}

func solicitationFrames(t *testing.T) []gopacket.SerializableLayer {
	t.Helper()
	c := solicitations[0]
	ip := &layers.IPv6{Version: 6, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6, SrcIP: net.ParseIP(c.src), DstIP: net.ParseIP(c.dst)}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeNeighborSolicitation, 0)}
	if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return []gopacket.SerializableLayer{
		&layers.Ethernet{SrcMAC: mac("02:00:00:00:01:10"), DstMAC: mac(c.to), EthernetType: layers.EthernetTypeIPv6}, ip, icmp,
		&layers.ICMPv6NeighborSolicitation{TargetAddress: net.ParseIP(c.target), Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: mac("02:00:00:00:01:10")}}},
	}
}
