// Package peercred finds the user of the process at the other end of a connection on this
// machine.
package peercred

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrElsewhere means that the other end of a connection is not on this machine.
var ErrElsewhere = errors.New("the peer is not on this machine")

// Of returns the user ID of the process at the other end of nc. The connection is a TCP or
// Unix connection, or TLS over such a connection. The error wraps [ErrElsewhere] if the other
// end is on another machine or in a network namespace with its own addresses. Any other error
// means that the peer is on this machine and its user is unknown.
func Of(nc net.Conn) (uid uint32, err error) {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	switch nc := nc.(type) {
	case *net.UnixConn:
		return ofUnix(nc)
	case *net.TCPConn:
		return ofTCP(addrOf(nc.LocalAddr()), addrOf(nc.RemoteAddr()))
	}
	return 0, fmt.Errorf("find the user of a %T: it is not a TCP or Unix connection", nc)
}

func addrOf(a net.Addr) netip.AddrPort {
	t := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(t.Addr().Unmap(), t.Port())
}

// ofUnix returns the user who connected to a Unix socket or, for an outgoing connection, the
// user who listens on it.
func ofUnix(nc *net.UnixConn) (uint32, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("read SO_PEERCRED: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return 0, fmt.Errorf("read SO_PEERCRED: %w", err)
	}
	if credErr != nil {
		return 0, fmt.Errorf("read SO_PEERCRED: %w", credErr)
	}
	return cred.Uid, nil
}

// ofTCP finds the socket at the other end of a TCP connection and returns its user.
func ofTCP(us, peer netip.AddrPort) (uint32, error) {
	if !here(us.Addr(), peer.Addr()) {
		return 0, ErrElsewhere
	}
	s, err := find(peer, us)
	if err != nil && unusable(us, peer) {
		s, err = findInProc(peer, us)
	}
	switch {
	case errors.Is(err, errNoSocket):
		return 0, fmt.Errorf("%v is an address of this machine, but no socket in our network namespace belongs to the connection from it to %v:  "+
			"the connection has ended, or a firewall rule rewrites its addresses", peer, us)
	case err != nil:
		return 0, err
	case !s.open():
		return 0, fmt.Errorf("the socket at %v is being closed, so its user is unknown", peer)
	}
	return s.uid, nil
}

// here reports whether the peer of a connection is in our network namespace. A loopback
// address at either end proves that.
func here(us, peer netip.Addr) bool {
	if us.IsLoopback() || peer.IsLoopback() || us.WithZone("") == peer.WithZone("") {
		return true
	}
	routes, err := netlink.RouteGet(peer.AsSlice())
	if err != nil {
		return false // no route to peer, although a connection from it exists: the address is not ours
	}
	for _, r := range routes {
		if r.Type == unix.RTN_LOCAL {
			return true
		}
	}
	return false
}

// A socket has the kernel's data about a socket. If no process has the socket open any more,
// the kernel reports user 0 and no inode.
type socket struct {
	local, remote netip.AddrPort
	state         uint8
	uid, inode    uint32
}

// open reports whether the socket is connected and a process has it open.
func (s socket) open() bool { return s.state == tcpEstablished && s.inode != 0 }

// tcpEstablished is from linux/include/net/tcp_states.h.
const tcpEstablished = 1

// errNoSocket means that no socket has the requested addresses.
var errNoSocket = syscall.ENOENT
