package lab_test

import (
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A system has systemd as PID 1 and separate files. It can start this machine's services.
func TestSystem(t *testing.T) {
	t.Parallel()
	s := lab.BootSystem(t)
	if got := lab.Run(t, s, "cat", "/proc/1/comm"); got != "systemd\n" {
		t.Errorf("PID 1 is %s", got)
	}
	lab.Run(t, s, "touch", "/usr/bin/file-of-the-system")
	if got := lab.Run(t, lab.Bare(t), "ls", "/usr/bin"); strings.Contains(got, "file-of-the-system") {
		t.Error("a file made in the system is visible on this machine")
	}
	lab.Run(t, s, "systemctl", "start", "openvswitch-switch")
	if err := s.AddBridge(t.Context(), lab.IntegrationBridge); err != nil {
		t.Fatal(err)
	}
	if got := lab.Run(t, s, "systemctl", "is-active", "ovs-vswitchd"); got != "active\n" {
		t.Errorf("ovs-vswitchd is %s", got)
	}
}
