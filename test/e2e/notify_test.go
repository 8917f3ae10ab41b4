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

// A manager is a service manager as in sd_notify(3). It records the lines that it
// receives.
type manager struct {
	t     *testing.T
	conn  *net.UnixConn
	lines []string
}

// supervised starts a daemon under a service manager with a watchdog of two seconds.
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

// hears waits until the manager receives a line. It ignores lines for which earlier calls have
// returned.
func (m *manager) hears(line string) {
	m.t.Helper()
	for !slices.Contains(m.lines, line) {
		b := make([]byte, 1<<16)
		m.conn.SetReadDeadline(time.Now().Add(patience))
		n, err := m.conn.Read(b)
		if err != nil {
			m.t.Fatalf("the service manager did not receive %s: %v; it received %q", line, err, m.lines)
		}
		m.lines = append(m.lines, strings.Split(string(b[:n]), "\n")...)
	}
	m.lines = m.lines[slices.Index(m.lines, line)+1:]
}

// The service manager gets READY when the API answers, also from a standby daemon, then
// watchdog and status messages regularly, and STOPPING at the end.
func TestServiceManagerNotifications(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	first, manager := s.supervised("first")
	manager.hears("READY=1")
	if out, err := s.Ofdvr(t.Context(), "status"); err != nil {
		t.Errorf("the daemon sent READY, but the API returned %v\n%s", err, out)
	}
	manager.hears("STATUS=1 router, all settled")
	manager.hears("WATCHDOG=1")
	manager.hears("WATCHDOG=1")

	_, second := s.supervised("second", "--standby")
	second.hears("READY=1")
	if out, err := s.Ofdvr(t.Context(), "status", "--api", "unix:/run/ofdvr/standby.sock"); err != nil {
		t.Errorf("the standby daemon sent READY, but the API returned %v\n%s", err, out)
	}
	second.hears("WATCHDOG=1")

	if code, err := first.Stop(within(t)); err != nil || code != 0 {
		t.Errorf("the daemon exited with status %d, %v", code, err)
	}
	manager.hears("STOPPING=1")
	second.hears("STATUS=1 router, all settled")
}
