package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// Faults of machines are traffic of one machine that must not affect others.

// In one fault, a machine sends floods frames, with pauses of floodPause.
const (
	floods     = 600
	floodPause = time.Millisecond
)

// arpFlood plans that a machine requests the MAC address of its gateway repeatedly.
func arpFlood(t *document, r *rand.Rand) step {
	return flood(t, r, "requests its gateway's address", func(m *machine, gateway iface, _ int) []gopacket.SerializableLayer {
		return []gopacket.SerializableLayer{
			&layers.Ethernet{SrcMAC: hardware(m.MAC), DstMAC: hardware("ff:ff:ff:ff:ff:ff"), EthernetType: layers.EthernetTypeARP},
			&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
				SourceHwAddress: hardware(m.MAC), SourceProtAddress: address(m.Addresses[0]), DstHwAddress: make([]byte, 6), DstProtAddress: address(gateway.Addresses[0])},
		}
	})
}

// subnetScan plans that a machine sends packets through its router to all unused
// addresses of a network.
func subnetScan(t *document, r *rand.Rand) step {
	n := 1 + r.IntN(meshNetworks)
	return flood(t, r, fmt.Sprintf("scans network %d", n), func(m *machine, gateway iface, i int) []gopacket.SerializableLayer {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: address(m.Addresses[0]), DstIP: net.IPv4(10, 0, byte(n), byte(100+i%150))}
		udp := &layers.UDP{SrcPort: 7, DstPort: 7}
		_ = udp.SetNetworkLayerForChecksum(ip) // cannot fail for this layer
		return []gopacket.SerializableLayer{
			&layers.Ethernet{SrcMAC: hardware(m.MAC), DstMAC: hardware(gateway.MAC), EthernetType: layers.EthernetTypeIPv4}, ip, udp,
		}
	})
}

// flood plans that a machine sends many frames. No packet of other machines is lost.
func flood(t *document, r *rand.Rand, what string, frame func(m *machine, gateway iface, i int) []gopacket.SerializableLayer) step {
	m := pick(r, machines())
	st := step{what: m.Name + " " + what, do: func(context.Context, *site) error { return nil }}
	x := t.router(m.router)
	if x == nil {
		return st
	}
	for _, f := range x.Interfaces {
		if f.Network != m.network {
			continue
		}
		st.do = func(ctx context.Context, s *site) error {
			out, err := s.Sender(m.Name, "eth0")
			if err != nil {
				return err
			}
			defer out.Close()
			pace := time.NewTicker(floodPause)
			defer pace.Stop()
			for i := range floods {
				buf := gopacket.NewSerializeBuffer()
				if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, frame(m, f, i)...); err != nil {
					return err
				}
				if _, err := out.Write(buf.Bytes()); err != nil {
					return err
				}
				select {
				case <-pace.C:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			return nil
		}
	}
	return st
}

// hardware and address parse constants of this package.
func hardware(text string) net.HardwareAddr {
	m, err := net.ParseMAC(text)
	if err != nil {
		panic(err)
	}
	return m
}

func address(text string) net.IP { return netip.MustParsePrefix(text).Addr().AsSlice() }
