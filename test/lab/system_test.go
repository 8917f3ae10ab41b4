package lab_test

import (
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A system has systemd as PID 1 and files that are its own, and starts the
// services of this machine when it is told to.
func TestSystem(t *testing.T) {
	t.Parallel()
	s := lab.BootSystem(t)
	if got := lab.Run(t, s, "cat", "/proc/1/comm"); got != "systemd\n" {
		t.Errorf("PID 1 is %s", got)
	}
	lab.Run(t, s, "touch", "/usr/bin/of-the-system")
	if got := lab.Run(t, lab.Bare(t), "ls", "/usr/bin"); strings.Contains(got, "of-the-system") {
		t.Error("a file of the system is on this machine")
	}
	lab.Run(t, s, "systemctl", "start", "openvswitch-switch")
	if err := s.AddBridge(t.Context(), lab.IntegrationBridge); err != nil {
		t.Fatal(err)
	}
	if got := lab.Run(t, s, "systemctl", "is-active", "ovs-vswitchd"); got != "active\n" {
		t.Errorf("ovs-vswitchd is %s", got)
	}
}
