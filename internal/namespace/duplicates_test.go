package namespace

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// gopacket reads the requests as they are meant.
func TestDuplicateRequest(t *testing.T) {
	mac := [6]byte{2, 0, 0, 0, 1, 1}
	p := gopacket.NewPacket(DuplicateRequest(mac, netip.MustParseAddr("10.0.1.1")), layers.LayerTypeEthernet, gopacket.Default)
	arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP)
	if !ok || arp.Operation != layers.ARPRequest || [6]byte(arp.SourceHwAddress) != mac || [4]byte(arp.SourceProtAddress) != [4]byte{} || [4]byte(arp.DstProtAddress) != [4]byte{10, 0, 1, 1} {
		t.Errorf("the ARP probe is %v", p)
	}
	addr := netip.MustParseAddr("fd00:1::1234:5678")
	p = gopacket.NewPacket(DuplicateRequest(mac, addr), layers.LayerTypeEthernet, gopacket.Default)
	ns, ok := p.Layer(layers.LayerTypeICMPv6NeighborSolicitation).(*layers.ICMPv6NeighborSolicitation)
	if !ok || [16]byte(ns.TargetAddress) != addr.As16() || len(ns.Options) > 0 {
		t.Fatalf("the solicitation is %v", p)
	}
	ip := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	if ip.HopLimit != 255 || !ip.SrcIP.IsUnspecified() || ip.DstIP.String() != "ff02::1:ff34:5678" || p.LinkLayer().LinkFlow().Dst().String() != "33:33:ff:34:56:78" {
		t.Errorf("the solicitation is %v", p)
	}
	if err := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6).SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	if err, mismatches := p.VerifyChecksums(); err != nil || len(mismatches) > 0 {
		t.Errorf("checksums: %v, %v", mismatches, err)
	}
}

// Answers of any length are read without a panic; only whole ones claim an address.
func TestClaims(t *testing.T) {
	arp := DuplicateRequest([6]byte{2, 0, 0, 0, 1, 1}, netip.MustParseAddr("10.0.1.1"))
	copy(arp[28:], []byte{10, 0, 1, 1})
	na := append(DuplicateRequest([6]byte{2, 0, 0, 0, 1, 1}, netip.MustParseAddr("fd00:1::1")), 2, 1, 2, 0, 0, 0, 1, 9)
	for n := range arp {
		if addr, _ := claimedByARP(arp[:n]); addr.IsValid() {
			t.Errorf("%d bytes of an ARP packet claim %v", n, addr)
		}
	}
	for n := range na[:78] {
		if addr, _ := claimedByNA(na[:n]); addr.IsValid() {
			t.Errorf("%d bytes of an advertisement claim %v", n, addr)
		}
	}
	if addr, mac := claimedByARP(arp); addr.String() != "10.0.1.1" || mac != [6]byte{2, 0, 0, 0, 1, 1} {
		t.Errorf("the ARP packet claims %v for %x", addr, mac)
	}
	for n, want := range map[int]byte{78: 1, 85: 1, 86: 9} { // without, with half and with the whole option
		if addr, mac := claimedByNA(na[:n]); addr.String() != "fd00:1::1" || mac[5] != want {
			t.Errorf("%d bytes of the advertisement claim %v for %x", n, addr, mac)
		}
	}
}
