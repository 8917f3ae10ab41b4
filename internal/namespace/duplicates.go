package namespace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Duplicate is another machine that has an address of a router.
type Duplicate struct {
	Interface string // the ID of the router interface
	Addr      netip.Addr
	MAC       [6]byte // of the machine
}

// A Detection looks for machines that have an address of a router. It must be closed.
type Detection struct {
	d    Desired
	arp  int // packet sockets (packet(7)) for packets that come in by any tap
	na   int
	taps map[int]*Tap // by index of their links
}

// Detect asks, through each tap of d, whether another machine has one of its addresses, as a host does
// before it uses an address (RFC 5227 §2.1.1, RFC 4862 §5.4.2). Taps that are missing or down are left
// out. If the namespace does not exist, the error wraps fs.ErrNotExist.
func Detect(d Desired) (*Detection, error) {
	ns, err := openNS(d.Name)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	x := &Detection{d: d, arp: -1, na: -1, taps: make(map[int]*Tap)}
	if err := enter(ns, x.ask); err != nil {
		x.Close()
		return nil, fmt.Errorf("look for other machines with addresses of router %s: %w", d.Router, err)
	}
	return x, nil
}

// ask opens the sockets and sends the requests, in the thread's namespace.
func (x *Detection) ask() (err error) {
	if x.arp, err = packetSocket(unix.ETH_P_ARP, nil); err != nil {
		return err
	}
	if x.na, err = packetSocket(unix.ETH_P_IPV6, advertisements); err != nil {
		return err
	}
	for i := range x.d.Taps {
		t := &x.d.Taps[i]
		link, err := net.InterfaceByName(t.Name)
		if err != nil || link.Flags&net.FlagUp == 0 {
			continue
		}
		x.taps[link.Index] = t
		for _, a := range t.Addresses {
			to := &unix.SockaddrLinklayer{Ifindex: link.Index}
			if err := unix.Sendto(x.arp, DuplicateRequest(t.MAC, a.Addr()), 0, to); err != nil && !errors.Is(err, unix.ENETDOWN) {
				return fmt.Errorf("send a request for %v by %s: %w", a.Addr(), t.Name, err)
			}
		}
	}
	return nil
}

// Close closes the sockets.
func (x *Detection) Close() {
	for _, fd := range []int{x.arp, x.na} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// Duplicates returns the machines that have answered since the last call, in the order of their
// answers. A machine may occur several times.
func (x *Detection) Duplicates() (found []Duplicate, err error) {
	for _, s := range []struct {
		fd      int
		claimed func(frame []byte) (netip.Addr, [6]byte)
	}{{x.arp, claimedByARP}, {x.na, claimedByNA}} {
		frame := make([]byte, 2048)
		for {
			n, from, err := unix.Recvfrom(s.fd, frame, 0)
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("receive answers in namespace %s: %w", x.d.Name, err)
			}
			link, ok := from.(*unix.SockaddrLinklayer)
			if !ok || x.taps[link.Ifindex] == nil {
				continue
			}
			t := x.taps[link.Ifindex]
			addr, mac := s.claimed(frame[:n])
			for _, a := range t.Addresses {
				if a.Addr() == addr && mac != t.MAC {
					found = append(found, Duplicate{t.Interface, addr, mac})
				}
			}
		}
	}
	return found, nil
}

// packetSocket returns a packet socket that receives frames of an EtherType that pass the filter, and
// never blocks.
func packetSocket(etherType uint16, filter []unix.SockFilter) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // protocol 0 receives nothing yet
	if err != nil {
		return -1, fmt.Errorf("open a packet socket: %w; this needs CAP_NET_RAW", err)
	}
	if filter != nil {
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: etherType<<8 | etherType>>8})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("prepare a packet socket: %w", err)
	}
	return fd, nil
}

// advertisements passes neighbour advertisements (RFC 4861 §4.4). Otherwise other IPv6 packets could
// fill the socket.
var advertisements = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: ethernetLen + 6}, // next header
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.IPPROTO_ICMPV6, Jf: 3},
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: ethernetLen + ipv6Len}, // type
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: advertisement, Jf: 1},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 16},
	{Code: unix.BPF_RET | unix.BPF_K},
}

// Lengths of headers in bytes, and types of ICMPv6.
const (
	ethernetLen   = 14
	arpLen        = 28
	ipv6Len       = 40
	solicitLen    = 24
	solicitation  = 135
	advertisement = 136
)

// DuplicateRequest returns the frame that asks whether another machine has addr. mac is the sender's.
// It is an ARP probe (RFC 5227 §2.1.1), or a neighbour solicitation from the unspecified address
// (RFC 4862 §5.4.2).
func DuplicateRequest(mac [6]byte, addr netip.Addr) []byte {
	if addr.Is4() {
		ip := addr.As4()
		b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac[:]...)
		b = append(b, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1) // EtherType; Ethernet, IPv4, the lengths of their addresses, request
		b = append(append(b, mac[:]...), 0, 0, 0, 0)
		return append(append(b, 0, 0, 0, 0, 0, 0), ip[:]...)
	}
	ip := addr.As16()
	b := append([]byte{0x33, 0x33, 0xff, ip[13], ip[14], ip[15]}, mac[:]...)
	b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0, 0, solicitLen, unix.IPPROTO_ICMPV6, 255) // EtherType; version, length, next header, hop limit
	b = append(b, make([]byte, 16)...)                                                // the unspecified address
	b = append(b, 0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ip[13], ip[14], ip[15])
	b = append(append(b, solicitation, 0, 0, 0, 0, 0, 0, 0), ip[:]...)
	sum := uint32(solicitLen + unix.IPPROTO_ICMPV6) // of the pseudo-header
	for i := ethernetLen + 8; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[ethernetLen+ipv6Len+2:], ^uint16(sum))
	return b
}

// claimedByARP returns the address that the sender of an ARP packet has, and its MAC address. If the
// frame is malformed, the address is invalid.
func claimedByARP(frame []byte) (addr netip.Addr, mac [6]byte) {
	if len(frame) < ethernetLen+arpLen {
		return addr, mac
	}
	arp := frame[ethernetLen:]
	if binary.BigEndian.Uint16(arp[2:]) != unix.ETH_P_IP || arp[4] != 6 || arp[5] != 4 {
		return addr, mac
	}
	return netip.AddrFrom4([4]byte(arp[14:])), [6]byte(arp[8:])
}

// claimedByNA is claimedByARP for a neighbour advertisement: the target and its MAC address.
func claimedByNA(frame []byte) (addr netip.Addr, mac [6]byte) {
	const options = ethernetLen + ipv6Len + solicitLen
	if len(frame) < options || frame[ethernetLen+7] != 255 {
		return addr, mac
	}
	mac = [6]byte(frame[6:])
	for o := frame[options:]; len(o) >= 8 && o[1] > 0 && len(o) >= 8*int(o[1]); o = o[8*int(o[1]):] {
		if o[0] == 2 { // the target's MAC address
			mac = [6]byte(o[2:])
		}
	}
	return netip.AddrFrom16([16]byte(frame[options-16:])), mac
}
