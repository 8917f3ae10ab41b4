package sdnotify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// manager opens a service manager's socket and sets the environment for it.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("WATCHDOG_PID", "")
	return conn
}

func fromEnvironment(t *testing.T) Notifier {
	t.Helper()
	n, err := FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// States that are sent together arrive as one message with a line for each state. The socket
// may have a path or be abstract.
func TestSend(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@ofdvr-test-%d", os.Getpid())} {
		at := manager(t, name)
		n := fromEnvironment(t)
		if err := n.Send(Ready, Status("two routers,\n all\tsettled "), Alive); err != nil {
			t.Fatal(err)
		}
		if err := n.Send(Stopping); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"READY=1\nSTATUS=two routers, all settled\nWATCHDOG=1", "STOPPING=1"} {
			b := make([]byte, 1000)
			k, err := at.Read(b)
			if got := string(b[:k]); err != nil || got != want {
				t.Errorf("%s: sent %q, %v; want %q", name, got, err, want)
			}
		}
	}
}

// Without a service manager nothing is sent. If the service manager has ended, the error names
// the states.
func TestNoServiceManager(t *testing.T) {
	if err := (Notifier{}).Send(Ready); err != nil {
		t.Error(err)
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if n := fromEnvironment(t); n.Enabled() {
		t.Error("enabled without a service manager")
	}
	gone := manager(t, filepath.Join(t.TempDir(), "notify"))
	gone.Close()
	if err := fromEnvironment(t).Send(Ready); err == nil || !strings.Contains(err.Error(), "READY=1") {
		t.Errorf("Send to a service manager that has ended: %v", err)
	}
}

// A service manager that does not read cannot block the program.
func TestManagerHangs(t *testing.T) {
	manager(t, filepath.Join(t.TempDir(), "notify"))
	n := fromEnvironment(t)
	for range 1 << 20 {
		if err := n.Send(Alive); err != nil {
			return
		}
	}
	t.Error("Send did not fail after a million messages that the service manager has not read")
}

func TestWatchdog(t *testing.T) {
	pid := fmt.Sprint(os.Getpid())
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
		mistake   bool
	}{
		{"", "", 0, false},
		{"30000000", "", 30 * time.Second, false},
		{"30000000", pid, 30 * time.Second, false},
		{"30000000", "1", 0, false}, // for another process
		{"0", "", 0, true},
		{"-1", "", 0, true},
		{"9223372036854775807", "", 0, true},
		{"30s", pid, 0, true},
	} {
		manager(t, filepath.Join(t.TempDir(), "notify"))
		t.Setenv("WATCHDOG_USEC", tt.usec)
		t.Setenv("WATCHDOG_PID", tt.pid)
		n, err := FromEnvironment()
		if n.Watchdog != tt.want || (err != nil) != tt.mistake {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: %v, %v; want %v", tt.usec, tt.pid, n.Watchdog, err, tt.want)
		}
		if !n.Enabled() {
			t.Errorf("WATCHDOG_USEC=%s: the notifier is not enabled", tt.usec)
		}
	}
}
