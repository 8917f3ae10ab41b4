package peercred

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// findInProc replaces find on a kernel without the module. It reads the list of all sockets.
func findInProc(local, remote netip.AddrPort) (socket, error) {
	for _, name := range []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"} {
		f, err := os.Open(name)
		if err != nil {
			return socket{}, fmt.Errorf("look for the socket at %v (the kernel has no module tcp_diag): %w", local, err)
		}
		s, err := scan(f, local, remote)
		f.Close()
		if err != errNoSocket {
			return s, err
		}
	}
	return socket{}, errNoSocket
}

// scan parses /proc/net/tcp or tcp6, see linux/Documentation/networking/proc_net_tcp.rst.
func scan(r io.Reader, local, remote netip.AddrPort) (socket, error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 {
			continue
		}
		s := socket{local: procAddr(f[1]), remote: procAddr(f[2])}
		if !same(s.local, local) || !same(s.remote, remote) {
			continue
		}
		state, err1 := strconv.ParseUint(f[3], 16, 8)
		uid, err2 := strconv.ParseUint(f[7], 10, 32)
		inode, err3 := strconv.ParseUint(f[9], 10, 32)
		if err1 != nil || err2 != nil || err3 != nil {
			return socket{}, fmt.Errorf("read the socket at %v in /proc/net/tcp: %q", local, lines.Text())
		}
		s.state, s.uid, s.inode = uint8(state), uint32(uid), uint32(inode)
		return s, nil
	}
	if err := lines.Err(); err != nil {
		return socket{}, fmt.Errorf("read /proc/net/tcp: %w", err)
	}
	return socket{}, errNoSocket
}

// procAddr parses ADDRESS:PORT. The address consists of 32-bit words in host byte order.
// procAddr returns the zero AddrPort if s is malformed.
func procAddr(s string) netip.AddrPort {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}
	}
	for word := range slices.Chunk(b, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(n))
}
