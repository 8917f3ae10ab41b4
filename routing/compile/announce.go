package compile

import (
	"encoding/binary"
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// An Announcement informs the machines on a network of the new MAC address of a router
// address.
type Announcement struct {
	Interface string // its ID
	Port      string // the patch port to its network
	Address   netip.Addr
	MAC       ofproto.MAC
}

// Owners has the last MAC address of each router address on a network. It also has those of
// deleted interfaces: an interface may be added again with another MAC address, while machines
// still have the old one in their caches. The zero Owners is empty.
type Owners struct {
	macs map[ownedAt]ofproto.MAC
}

type ownedAt struct {
	network string
	address netip.Addr
}

// forgetful is the number of deleted addresses that Owners keeps, in addition to one for each
// existing address.
const forgetful = 4096

// Update records the addresses of x and returns the announcements by router. A new address is
// not announced.
func (o *Owners) Update(x *routing.Index) map[string][]Announcement {
	if o.macs == nil {
		o.macs = make(map[ownedAt]ofproto.MAC)
	}
	present := make(map[ownedAt]bool)
	out := make(map[string][]Announcement)
	for r := range x.Routers("") {
		for i := range r.Interfaces {
			f := &r.Interfaces[i]
			if f.Down {
				continue
			}
			former := make(map[ofproto.MAC]bool)
			for _, p := range f.Addresses {
				at := ownedAt{f.Network, p.Addr()}
				present[at] = true
				if old, known := o.macs[at]; known && old != f.MAC {
					former[old] = true
					out[r.ID] = append(out[r.ID], announce(f, p.Addr()))
				}
				o.macs[at] = f.MAC
			}
			out[r.ID] = append(out[r.ID], announceLinkLocal(x, f, former)...)
			if len(out[r.ID]) == 0 {
				delete(out, r.ID)
			}
		}
	}
	if len(o.macs) > 2*len(present)+forgetful {
		for at := range o.macs {
			if !present[at] {
				delete(o.macs, at)
			}
		}
	}
	return out
}

// Moved returns the announcements for f after a change of its MAC address from former.
func Moved(x *routing.Index, f *routing.Interface, former ofproto.MAC) (out []Announcement) {
	for _, p := range f.Addresses {
		out = append(out, announce(f, p.Addr()))
	}
	return append(out, announceLinkLocal(x, f, map[ofproto.MAC]bool{former: true})...)
}

func announce(f *routing.Interface, a netip.Addr) Announcement {
	return Announcement{f.ID, f.PatchName(), a, f.MAC}
}

// announceLinkLocal returns announcements for the link-local addresses derived from the
// previous MAC addresses, former. The namespace keeps these link-local addresses until its tap
// is recreated, and sends router advertisements from them. It does not announce an address
// that another interface on the network has.
func announceLinkLocal(x *routing.Index, f *routing.Interface, former map[ofproto.MAC]bool) (out []Announcement) {
	six := false
	for _, p := range f.Addresses {
		six = six || p.Addr().Is6()
	}
	if !six {
		return nil
	}
	for _, leg := range x.Legs(f.Network) {
		delete(former, leg.MAC)
	}
	for mac := range former {
		out = append(out, announce(f, routing.LinkLocalOf(mac)))
	}
	return out
}

// Frame returns the Ethernet frame of the announcement. For IPv4 it is a gratuitous ARP request
// (RFC 5227 §2.3). For IPv6 it is an unsolicited neighbour advertisement to all nodes with the
// override flag (RFC 4861 §7.2.6).
func (a Announcement) Frame() []byte {
	be := binary.BigEndian
	addr := a.Address.AsSlice()
	if a.Address.Is4() {
		b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, a.MAC[:]...)
		b = append(b, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1)
		b = append(append(b, a.MAC[:]...), addr...)
		b = append(append(b, 0, 0, 0, 0, 0, 0), addr...)
		return append(b, make([]byte, 18)...) // padding to the minimum length of Ethernet
	}
	allNodes := netip.MustParseAddr("ff02::1").AsSlice()
	icmp := []byte{136, 0, 0, 0, 0xa0, 0, 0, 0} // flags: router, override
	icmp = append(append(icmp, addr...), 2, 1)  // option: target's link-layer address
	icmp = append(icmp, a.MAC[:]...)
	pseudo := append(append([]byte{}, addr...), allNodes...)
	pseudo = append(pseudo, 0, 0, 0, byte(len(icmp)), 0, 0, 0, 58)
	be.PutUint16(icmp[2:], checksum(append(pseudo, icmp...)))
	b := append([]byte{0x33, 0x33, 0, 0, 0, 1}, a.MAC[:]...)
	b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(icmp)), 58, 255)
	b = append(append(b, addr...), allNodes...)
	return append(b, icmp...)
}

// checksum is the internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
