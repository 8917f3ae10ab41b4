package e2e

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A packet is a decoded frame. A layer that the frame does not have is nil.
type packet struct {
	eth  *layers.Ethernet
	arp  *layers.ARP
	ip   *layers.IPv4
	icmp *layers.ICMPv4
}

func decode(f lab.Frame) packet {
	p := f.Packet()
	var out packet
	out.eth, _ = p.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	out.arp, _ = p.Layer(layers.LayerTypeARP).(*layers.ARP)
	out.ip, _ = p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	out.icmp, _ = p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
	return out
}

// A condition reports whether a frame has a property.
type condition = func(lab.Frame) bool

func isIPv4(f lab.Frame) bool { return decode(f).ip != nil }
func isARP(f lab.Frame) bool  { return decode(f).arp != nil }

// came is true for a frame that the interface received.
func came(f lab.Frame) bool { return !f.Outgoing }

func all(cs ...condition) condition {
	return func(f lab.Frame) bool {
		for _, c := range cs {
			if !c(f) {
				return false
			}
		}
		return true
	}
}

// echo is true for an ICMP echo request from src to dst. "" matches any address.
func echo(src, dst string) condition { return icmp(layers.ICMPv4TypeEchoRequest, src, dst) }

// echoReply is true for an ICMP echo reply from src to dst. "" matches any address.
func echoReply(src, dst string) condition { return icmp(layers.ICMPv4TypeEchoReply, src, dst) }

func icmp(typ uint8, src, dst string) condition {
	return func(f lab.Frame) bool {
		p := decode(f)
		return p.icmp != nil && p.icmp.TypeCode.Type() == typ &&
			(src == "" || p.ip.SrcIP.String() == src) && (dst == "" || p.ip.DstIP.String() == dst)
	}
}

// arpFor is true for an ARP request (operation 1) for target, or for a reply (operation 2) with
// target's MAC address.
func arpFor(operation uint16, target string) condition {
	return func(f lab.Frame) bool {
		p := decode(f)
		if p.arp == nil || p.arp.Operation != operation {
			return false
		}
		asked := p.arp.DstProtAddress
		if operation == layers.ARPReply {
			asked = p.arp.SourceProtAddress
		}
		return net.IP(asked).String() == target
	}
}

// record records the frames on a machine's interface.
func record(t *testing.T, m *lab.Machine, keep condition) *lab.Capture {
	t.Helper()
	return lab.Record(t, m, keep)
}

// recordIn records the frames on an interface in a namespace of the host.
func (s *site) recordIn(netns, ifname string, keep condition) *lab.Capture {
	s.t.Helper()
	c, err := s.Capture(netns, ifname, keep)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// await returns the first frame that matches.
func await(t *testing.T, c *lab.Capture, what string, match condition) packet {
	t.Helper()
	f, err := c.Await(within(t), what, match)
	if err != nil {
		t.Fatal(err)
	}
	return decode(f)
}

// seen fails the test unless the number of matching frames equals the parameter want.
func seen(t *testing.T, c *lab.Capture, where string, want int, what string, match condition) {
	t.Helper()
	if err := c.Sync(within(t)); err != nil {
		t.Fatal(err)
	}
	if n := c.Count(match); n != want {
		t.Errorf("%s saw %d of %s, want %d:", where, n, what, want)
		for _, f := range c.Frames() {
			if match(f) {
				t.Logf("  outgoing %v: %v", f.Outgoing, f.Packet())
			}
		}
	}
}

func mac(s string) net.HardwareAddr {
	m, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

func ip4(s string) net.IP { return netip.MustParseAddr(s).AsSlice() }

func send(t *testing.T, from *lab.Machine, ls ...gopacket.SerializableLayer) {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...); err != nil {
		t.Fatal(err)
	}
	if err := from.Send(buf.Bytes()); err != nil {
		t.Fatal(err)
	}
}

const broadcast = "ff:ff:ff:ff:ff:ff"

// ask sends an ARP request for target to the Ethernet address dst. sender is the
// machine's protocol address in the request.
func ask(t *testing.T, from *lab.Machine, dst, sender, target string) {
	t.Helper()
	send(t, from,
		&layers.Ethernet{SrcMAC: mac(from.MAC), DstMAC: mac(dst), EthernetType: layers.EthernetTypeARP},
		&layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation:       layers.ARPRequest,
			SourceHwAddress: mac(from.MAC), SourceProtAddress: ip4(sender),
			DstHwAddress: make([]byte, 6), DstProtAddress: ip4(target),
		},
		gopacket.Payload(make([]byte, 18))) // Ethernet's minimum
}

// sendEcho sends an ICMP echo request to dst, in a frame to the Ethernet
// address hop.
func sendEcho(t *testing.T, from *lab.Machine, hop, dst string, seq uint16, ttl uint8) {
	t.Helper()
	send(t, from,
		&layers.Ethernet{SrcMAC: mac(from.MAC), DstMAC: mac(hop), EthernetType: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, TTL: ttl, Protocol: layers.IPProtocolICMPv4, SrcIP: ip4(from.IP()), DstIP: ip4(dst)},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: 7, Seq: seq},
		gopacket.Payload(make([]byte, 56)))
}

// numbered is true for an ICMP message with the given sequence number.
func numbered(seq uint16) condition {
	return func(f lab.Frame) bool {
		p := decode(f)
		return p.icmp != nil && p.icmp.Seq == seq
	}
}

// transfer sends some 100 kB over TCP to an address of another machine, and fails
// the test unless all arrive.
func transfer(t *testing.T, from, to *lab.Machine, addr string) {
	t.Helper()
	if err := carries(t, from, to.Host, to.Name, netip.AddrPortFrom(netip.MustParseAddr(strings.Trim(addr, "[]")), 0), netip.AddrPort{}, patience); err != nil {
		t.Errorf("TCP from %s to %s: %v", from.Name, addr, err)
	}
}

// carries sends some 100 kB over TCP to a listener on the address at, in a
// network namespace of a host. The sender connects to the address to if that is
// valid, otherwise to the address of the listener. It returns an error if there
// is no connection within the time wait.
func carries(t *testing.T, from *lab.Machine, host *lab.Host, netns string, at, to netip.AddrPort, wait time.Duration) error {
	t.Helper()
	ln, err := host.ListenIn(within(t), netns, "tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if !to.IsValid() {
		to = netip.MustParseAddrPort(ln.Addr().String())
	}
	got := make(chan error, 1)
	const size = 100_000
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			_, err = io.CopyN(io.Discard, conn, size)
		}
		got <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	conn, err := from.Host.DialIn(ctx, from.Name, "tcp", to.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(make([]byte, size)); err != nil {
		return err
	}
	return <-got
}

// turns sends pings until c has captured a frame that matches. After a change of flows, Open vSwitch
// uses its old flow cache until it has revalidated it, which takes a moment on a busy machine.
func turns(t *testing.T, s *site, from *lab.Machine, to string, c *lab.Capture, what string, match condition) {
	t.Helper()
	s.eventually(what, func() error {
		pingTTL(t, from, to, 63)
		if err := c.Sync(within(t)); err != nil {
			return err
		}
		if c.Count(match) == 0 {
			return errors.New("no packet of the ping was captured")
		}
		return nil
	})
}
