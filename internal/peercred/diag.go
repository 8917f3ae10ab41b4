package peercred

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The messages are defined in linux/include/uapi/linux/inet_diag.h. We do not use
// netlink.SocketGet, because it dumps all sockets.
const (
	requestLen = 56
	answerLen  = 72
)

// A request is struct inet_diag_req_v2.
type request [requestLen]byte

func (r *request) Len() int          { return len(r) }
func (r *request) Serialize() []byte { return r[:] }

// find returns the socket with these addresses. The error is errNoSocket if the socket does not
// exist, or if the kernel lacks the module for the query.
func find(local, remote netip.AddrPort) (socket, error) {
	var req request
	req[0], req[1] = unix.AF_INET, unix.IPPROTO_TCP
	if local.Addr().Is6() {
		req[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(req[4:], 1<<tcpEstablished)
	binary.BigEndian.PutUint16(req[8:], local.Port())
	binary.BigEndian.PutUint16(req[10:], remote.Port())
	copy(req[12:28], local.Addr().AsSlice())
	copy(req[28:44], remote.Addr().AsSlice())
	if zone := local.Addr().Zone(); zone != "" {
		if link, err := net.InterfaceByName(zone); err == nil {
			binary.NativeEndian.PutUint32(req[44:], uint32(link.Index))
		}
	}
	copy(req[48:], "\xff\xff\xff\xff\xff\xff\xff\xff") // any cookie
	msg := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	msg.AddData(&req)
	answers, err := msg.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	if errors.Is(err, unix.ENOENT) {
		return socket{}, errNoSocket
	} else if err != nil {
		return socket{}, fmt.Errorf("look for the socket at %v: %w", local, err)
	}
	for _, a := range answers {
		// The kernel may return another socket that listens at the address.
		if s, ok := parseAnswer(a); ok && same(s.local, local) && same(s.remote, remote) {
			return s, nil
		}
	}
	return socket{}, errNoSocket
}

// parseAnswer parses a struct inet_diag_msg.
func parseAnswer(b []byte) (s socket, ok bool) {
	if len(b) < answerLen {
		return s, false
	}
	addr := func(b []byte) netip.Addr {
		return netip.AddrFrom16([16]byte(b)).Unmap()
	}
	if b[0] == unix.AF_INET {
		addr = func(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b[:4])) }
	}
	s.state = b[1]
	s.local = netip.AddrPortFrom(addr(b[8:24]), binary.BigEndian.Uint16(b[4:]))
	s.remote = netip.AddrPortFrom(addr(b[24:40]), binary.BigEndian.Uint16(b[6:]))
	s.uid = binary.NativeEndian.Uint32(b[64:])
	s.inode = binary.NativeEndian.Uint32(b[68:])
	return s, true
}

// same compares addresses without zones, which the kernel reports differently.
func same(a, b netip.AddrPort) bool {
	return a.Port() == b.Port() && a.Addr().WithZone("") == b.Addr().WithZone("")
}

// unusable reports whether the query fails to find our own end of the connection. In that case
// the kernel lacks the module inet_diag or tcp_diag.
func unusable(us, peer netip.AddrPort) bool {
	_, err := find(us, peer)
	return err != nil
}
