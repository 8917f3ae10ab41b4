package routing

import (
	"fmt"
	"net/netip"
)

// A Misfit is a network that a host carries to others, though its packets do not fit through a link
// of the host.
type Misfit struct {
	Network string // ID
	MTU     int    // of the network
	Headers int    // bytes that a tunnel adds to each packet; 0 for the uplink
	Link    string
	LinkMTU int
	To      string // the host at the other end of the tunnel; "" for the uplink
}

func (m Misfit) String() string {
	if m.Headers == 0 {
		return fmt.Sprintf("packets of %d bytes, its mtu, do not fit through uplink %s, whose MTU is %d", m.MTU, m.Link, m.LinkMTU)
	}
	return fmt.Sprintf("packets of %d bytes, its mtu, and %d bytes of a tunnel do not fit through link %s, whose MTU is %d, to host %s", m.MTU, m.Headers, m.Link, m.LinkMTU, m.To)
}

// Remedy returns the action for the operator.
func (m Misfit) Remedy() string {
	return fmt.Sprintf("set its mtu to %d or less, in the machines too, or raise that of the link", m.LinkMTU-m.Headers)
}

// Misfits returns a Misfit for each network of the host called id with packets that do not fit. If
// they do not fit through several tunnels, it is for the tunnel with the least room. path returns
// the MTU of the path to an address, and its link. uplink returns the MTU of a link. An unknown MTU
// is ignored.
func Misfits(x *Index, id string, path func(netip.Addr) (mtu int, link string, err error), uplink func(link string) (mtu int, err error)) (out []Misfit) {
	self := x.Host(id)
	if self == nil {
		return nil
	}
	var tunnel, wire Misfit // the least room
	if Tunnels(x, id) {
		for h := range x.Hosts("") {
			a := h.Tunnel.Address
			if h.ID == id || !a.IsValid() {
				continue
			}
			mtu, link, err := path(a)
			headers := 50 // Ethernet, Geneve or VXLAN, UDP, IPv4
			if a.Is6() {
				headers = 70
			}
			if err == nil && (tunnel.Link == "" || mtu-headers < tunnel.LinkMTU-tunnel.Headers) {
				tunnel = Misfit{Headers: headers, Link: link, LinkMTU: mtu, To: h.ID}
			}
		}
	}
	if Uplinks(x, id) {
		if mtu, err := uplink(self.Uplink); err == nil {
			wire = Misfit{Link: self.Uplink, LinkMTU: mtu}
		}
	}
	for n := range x.Networks("") {
		var m Misfit
		switch CarrierOf(x, id, &n) {
		case ByTunnel:
			m = tunnel
		case ByUplink:
			m = wire
		}
		if m.Link != "" && n.MTU+m.Headers > m.LinkMTU {
			m.Network, m.MTU = n.ID, n.MTU
			out = append(out, m)
		}
	}
	return out
}
