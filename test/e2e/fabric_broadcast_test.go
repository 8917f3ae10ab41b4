package e2e

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A datagram is a UDP probe in a frame that the test makes.
type datagram struct {
	eth, src, dst string // if src is "", the machine's address is used
	from, to      layers.UDPPort
}

// datagram sends a datagram from a machine.
func (f *fleet) datagram(t *testing.T, from string, d datagram, number int) {
	t.Helper()
	frame, err := d.frame(f.machines[from], number)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ends[from].raw.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// frame returns the datagram in a frame of a machine.
func (d datagram) frame(m *lab.Machine, number int) ([]byte, error) {
	var ip interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	}
	eth := &layers.Ethernet{SrcMAC: mac(m.MAC), DstMAC: mac(d.eth)}
	if dst := net.ParseIP(d.dst); dst.To4() != nil {
		eth.EthernetType = layers.EthernetTypeIPv4
		ip = &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: sourceOf(d, m, 0), DstIP: dst}
	} else {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: sourceOf(d, m, 1), DstIP: dst}
	}
	udp := &layers.UDP{SrcPort: d.from, DstPort: d.to}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		return nil, err
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, eth, ip, udp, gopacket.Payload(probe(number)))
	return buf.Bytes(), err
}

func sourceOf(d datagram, m *lab.Machine, i int) net.IP {
	if d.src != "" {
		return net.ParseIP(d.src)
	}
	return net.ParseIP(address(m.MachineConfig, i))
}

// Broadcast and multicast packets that a network carries between hosts reach exactly the hosts with
// machines of the network, once. Unknown unicast packets reach no other host.
func TestBroadcast(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 3, []fleetNetwork{{id: "blue"}, {id: "green", options: ", broadcast: dhcp"}, {id: "red", options: ", broadcast: none"}},
		strings.Fields("b11 b12 b21 g11 g12 g21 r11 r12 r21 g31"))
	seen := f.watch(t, isProbe)
	dropped := func(reason string) float64 {
		return f.hosts[0].scrape()[fmt.Sprintf("ofdvr_fabric_dropped_packets_total{reason=%q}", reason)]
	}
	unknown, confined := dropped("unknown"), dropped("broadcast")
	number := 0
	want := make(map[int][]string)
	what := make(map[int]string)
	for _, c := range []struct {
		name    string
		d       datagram
		crosses string // initials of the networks that carry it to other hosts
	}{
		{"broadcast", datagram{eth: broadcast, dst: "255.255.255.255", from: 7, to: 7}, "b"},
		{"multicast", datagram{eth: "01:00:5e:00:00:fb", dst: "224.0.0.251", from: 5353, to: 5353}, "b"},
		{"IPv6 multicast", datagram{eth: "33:33:00:00:00:fb", dst: "ff02::fb", from: 5353, to: 5353}, "b"},
		{"DHCP", datagram{eth: broadcast, src: "0.0.0.0", dst: "255.255.255.255", from: 68, to: 67}, "bg"},
		{"DHCP, answer", datagram{eth: broadcast, dst: "255.255.255.255", from: 67, to: 68}, "bg"},
		{"DHCPv6", datagram{eth: "33:33:00:01:00:02", dst: "ff02::1:2", from: 546, to: 547}, "bg"},
		{"unknown unicast", datagram{eth: "02:00:00:00:99:99", dst: "10.0.9.9", from: 7, to: 7}, ""},
	} {
		for _, from := range []string{"b11", "g11", "r11"} {
			n := from[:1]
			number++
			what[number] = c.name + " from " + from
			f.datagram(t, from, c.d, number)
			want[number] = []string{from + " sent", n + "12 got"}
			if !strings.Contains(c.crosses, n) {
				continue
			}
			want[number] = append(want[number], "h1 sent", "h2 got", n+"21 got")
			if n == "g" {
				want[number] = append(want[number], "h1 sent", "h3 got", "g31 got")
			}
		}
	}
	arrives := make(map[int]string)
	for i, to := range []string{"b21", "g21", "r21", "g31"} { // later packets on the same paths
		f.send(t, to[:1]+"11", to, 0, 100+i)
		arrives[100+i] = to
	}
	for n, places := range want {
		for _, p := range places {
			if name, got := strings.CutSuffix(p, " got"); got && name[0] != 'h' {
				arrives[n] = name
			}
		}
	}
	seen.arrive(arrives)
	all := seen.sightings()
	for n := range want {
		slices.Sort(want[n])
		if got := places(all[n]); !slices.Equal(got, want[n]) {
			t.Errorf("%s was seen at %v, want %v", what[n], got, want[n])
		}
	}
	f.hosts[0].eventually("metrics count what was not carried", func() error {
		if n := dropped("unknown") - unknown; n < 3 {
			return fmt.Errorf("%v packets for an unknown MAC address, want at least 3", n)
		}
		if n := dropped("broadcast") - confined; n < 9 { // three of green, six of red
			return fmt.Errorf("%v broadcasts that the network excludes, want at least 9", n)
		}
		return nil
	})
	if lab.Datapath() != "netdev" { // an emulated processor cannot send enough
		return
	}
	h1 := f.hosts[0]
	h1.eventually("the limit of broadcasts to be reached", func() error {
		for i := range 3000 {
			f.datagram(t, "b11", datagram{eth: broadcast, dst: "255.255.255.255", from: 7, to: 9}, 1000+i)
		}
		if dropped("flood") == 0 {
			return errors.New("no broadcast was dropped")
		}
		return nil
	})
	h1.eventually("the status to report the limit", func() error {
		out, err := h1.Ofdvr(t.Context(), "status")
		if err == nil && !strings.Contains(out, "broadcasts to other hosts beyond 1000 a second on one network were dropped") {
			err = fmt.Errorf("the status is %s", out)
		}
		return err
	})
}
