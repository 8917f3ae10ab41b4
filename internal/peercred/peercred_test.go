package peercred

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const nobody = 65534

// skip skips a test that this machine cannot run. In CI that is a failure.
func skip(t *testing.T, why any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// as calls f with the given user ID, so that the user owns the sockets that f creates.
func as(t *testing.T, uid int, f func()) {
	t.Helper()
	if uid != os.Geteuid() && os.Geteuid() != 0 {
		skip(t, "the test must run as root to create sockets of other users")
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		none := ^uintptr(0)
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, none, uintptr(uid), none); errno != 0 { // changes only this thread
			done <- errno
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// meet makes a user connect from one address to ln, and returns both ends.
func meet(t *testing.T, uid int, ln net.Listener, d net.Dialer) (accepted, dialed net.Conn) {
	t.Helper()
	var err error
	as(t, uid, func() { dialed, err = d.Dial(ln.Addr().Network(), ln.Addr().String()) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close() })
	if accepted, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { accepted.Close() })
	return accepted, dialed
}

func listen(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	ln, err := net.Listen(network, addr)
	if err != nil {
		skip(t, err) // a machine without IPv6
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// Of finds the user of a peer on this machine for every kind of connection: IPv4, IPv6, IPv4 to a
// dual-stack socket, from any loopback address, from a bound address, and over a Unix socket.
func TestUserOfPeer(t *testing.T) {
	bound := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 7, 7, 7)}}
	mapped := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1")}}
	for _, uid := range []int{os.Geteuid(), nobody} {
		for _, c := range []struct {
			name, network, addr string
			d                   net.Dialer
		}{
			{"IPv4", "tcp", "127.0.0.1:0", net.Dialer{}},
			{"another loopback address", "tcp", "127.0.0.1:0", bound},
			{"IPv6", "tcp", "[::1]:0", net.Dialer{}},
			{"mapped", "tcp", "127.0.0.1:0", mapped},
			{"Unix", "unix", filepath.Join(t.TempDir(), "socket"), net.Dialer{}},
		} {
			t.Run(c.name, func(t *testing.T) {
				ln := listen(t, c.network, c.addr)
				if c.network == "unix" {
					if err := errors.Join(os.Chmod(c.addr, 0o777), os.Chmod(filepath.Dir(c.addr), 0o777), os.Chmod(filepath.Dir(filepath.Dir(c.addr)), 0o777)); err != nil {
						t.Fatal(err)
					}
				}
				accepted, _ := meet(t, uid, ln, c.d)
				if got, err := Of(accepted); err != nil || got != uint32(uid) {
					t.Errorf("user %d, %v, want %d", got, err, uid)
				}
			})
		}
	}
}

// The peer of a dual-stack socket has an IPv4-mapped address, and an IPv6 socket may connect to such an
// address.
func TestUserOfMappedPeer(t *testing.T) {
	ln := listen(t, "tcp", "[::]:0")
	port := uint16(ln.Addr().(*net.TCPAddr).Port)
	for _, addr := range []string{"127.0.0.1", "::1"} {
		var dialed net.Conn
		var err error
		as(t, nobody, func() { dialed, err = net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(addr), port).String()) })
		if err != nil {
			skip(t, err)
		}
		defer dialed.Close()
		accepted, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		if got, err := Of(accepted); err != nil || got != nobody {
			t.Errorf("%s: user %d, %v", addr, got, err)
		}
	}
	// This IPv6 socket connects to a mapped address.
	var fd int
	var err error
	as(t, nobody, func() {
		if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, 0); err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet6{Port: int(port), Addr: netip.MustParseAddr("::ffff:127.0.0.1").As16()})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if got, err := Of(accepted); err != nil || got != nobody {
		t.Errorf("user %d, %v", got, err)
	}
}

// The kernel reports root as the owner of a socket that no process has open. Of does not use
// it.
func TestClosedPeerIsNotRoot(t *testing.T) {
	accepted, dialed := meet(t, nobody, listen(t, "tcp", "127.0.0.1:0"), net.Dialer{})
	dialed.Close()
	if _, err := io.Copy(io.Discard, accepted); err != nil { // reads until the connection is closed
		t.Fatal(err)
	}
	if uid, err := Of(accepted); err == nil || errors.Is(err, ErrElsewhere) {
		t.Errorf("user %d, %v", uid, err)
	}
}

// If the kernel lacks the module for socket queries, the list of all sockets gives the same result.
func TestProcAgrees(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		accepted, _ := meet(t, nobody, listen(t, "tcp", addr), net.Dialer{})
		us, peer := addrOf(accepted.LocalAddr()), addrOf(accepted.RemoteAddr())
		asked, err := find(peer, us)
		if err != nil {
			t.Fatal(err)
		}
		read, err := findInProc(peer, us)
		if err != nil || read != asked || read.uid != nobody || !read.open() {
			t.Errorf("%s: /proc has socket %+v, %v, but the kernel reports %+v", addr, read, err, asked)
		}
		if unusable(us, peer) {
			t.Error("the kernel's query does not find the test's socket")
		}
		if s, err := findInProc(netip.AddrPortFrom(peer.Addr(), 1), us); err != errNoSocket {
			t.Errorf("a missing socket: %+v, %v", s, err)
		}
	}
	if s, err := scan(strings.NewReader("  0: 0100007F:0001 0100007F:0002 xx a b c -1 d 9\n"), netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")); err == nil {
		t.Errorf("parsed %+v from garbage", s)
	}
}

// A socket that listens at the peer's address is not the peer.
func TestListenerIsNotThePeer(t *testing.T) {
	ln := listen(t, "tcp", "127.0.0.1:0")
	at := addrOf(ln.Addr())
	if s, err := find(at, netip.MustParseAddrPort("127.0.0.1:1")); err != errNoSocket {
		t.Errorf("%+v, %v", s, err)
	}
}

// A peer with an address of another machine is not on this machine. One end with a loopback address
// is enough for a peer to be on this machine. (A firewall may have rewritten the other address.)
func TestPeerIsLocal(t *testing.T) {
	for _, c := range []struct {
		us, peer string
		want     bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "203.0.113.1", true},
		{"203.0.113.1", "127.0.0.1", true},
		{"203.0.113.1", "203.0.113.1", true},
		{"203.0.113.1", "203.0.113.2", false},
		{"fe80::1%lo", "fe80::1", true},
		{"::1", "::1", true},
	} {
		if got := here(netip.MustParseAddr(c.us), netip.MustParseAddr(c.peer)); got != c.want {
			t.Errorf("%s and %s: %v", c.us, c.peer, got)
		}
	}
	if _, err := ofTCP(netip.MustParseAddrPort("203.0.113.1:1"), netip.MustParseAddrPort("203.0.113.2:2")); !errors.Is(err, ErrElsewhere) {
		t.Error(err)
	}
	if _, err := ofTCP(netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")); err == nil || errors.Is(err, ErrElsewhere) {
		t.Error(err)
	}
}
