package e2e

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A manager is a service manager as sd_notify(3) has it. It knows what it was
// told, line by line.
type manager struct {
	t     *testing.T
	conn  *net.UnixConn
	lines []string
}

// supervised starts a daemon under a service manager that wants to hear of it
// every two seconds.
func (s *site) supervised(name string, flags ...string) (*lab.Process, *manager) {
	s.t.Helper()
	socket := filepath.Join(s.Dir(), name)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	binary, err := lab.Binary()
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := s.Start("env", append([]string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=2000000", binary, "serve", "--topology", s.file}, flags...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return p, &manager{t: s.t, conn: conn}
}

// hears waits until the manager has been told a line, after those that it was
// known to have been told.
func (m *manager) hears(line string) {
	m.t.Helper()
	for !slices.Contains(m.lines, line) {
		b := make([]byte, 1<<16)
		m.conn.SetReadDeadline(time.Now().Add(patience))
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("the service manager waits for %s: %v; it was told %q", line, err, m.lines)
		}
		m.lines = append(m.lines, strings.Split(string(b[:n]), "\n")...)
	}
	m.lines = m.lines[slices.Index(m.lines, line)+1:]
}

// A service manager is told when the API answers, also by a daemon that stands
// by, then again and again that the daemon works and how far it is, and at last
// that it stops.
func TestServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	first, manager := s.supervised("first")
	manager.hears("READY=1")
	if out, err := s.Ofdvr(t.Context(), "status"); err != nil {
		t.Errorf("the daemon is ready, and its API says %v\n%s", err, out)
	}
	manager.hears("STATUS=1 router, all settled")
	manager.hears("WATCHDOG=1")
	manager.hears("WATCHDOG=1")

	_, second := s.supervised("second", "--standby")
	second.hears("READY=1")
	if out, err := s.Ofdvr(t.Context(), "status", "--api", "unix:/run/ofdvr/standby.sock"); err != nil {
		t.Errorf("the daemon that stands by is ready, and its API says %v\n%s", err, out)
	}
	second.hears("WATCHDOG=1")

	if code, err := first.Stop(within(t)); err != nil || code != 0 {
		t.Errorf("the daemon ended with %d, %v", code, err)
	}
	manager.hears("STOPPING=1")
	second.hears("STATUS=1 router, all settled")
}
