//go:build kernel

package e2e

import (
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// TC has the flows of routed packets, in software, as it would for hardware.
func TestTCHasRoutedPackets(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := dualPair(t)
	s.offload()
	s.tcHas(s.routedFlows(vm1, vm2, ""))
}

// TC has the flows without check_pkt_larger. It cannot have the other flows, because the tap is in
// another namespace.
func TestTCHasFlowsWithoutMeasuring(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := narrowPair(t)
	s.offload()
	s.tcHas(s.routedFlows(vm1, vm2, blueTap))
}

// offload makes ovs-vswitchd use TC, and restarts it.
func (s *site) offload() {
	s.t.Helper()
	s.vsctl("set", "open_vswitch", ".", "other_config:hw-offload=true", "other_config:tc-policy=skip_hw")
	s.Switch().Kill()
	if err := s.StartSwitch(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.settle()
}

// tcHas fails the test unless TC has exactly the flows without check_pkt_larger. TC cannot have a
// flow with a field that Open vSwitch does not know.
func (s *site) tcHas(flows []datapathFlow) {
	s.t.Helper()
	for _, f := range flows {
		want := "dp:tc,"
		unknown := lab.Differs(s.t, strings.Contains(f.text, "bad key length"),
			"TC has no flow of IPv6: the kernel reports a field that this Open vSwitch does not know (extension headers, since Linux 5.18), and Open vSwitch gives TC only flows with known fields")
		if unknown || measure.MatchString(f.actions[0]) {
			want = "dp:ovs,"
		}
		if !strings.Contains(f.text, want) {
			s.t.Errorf("%s is missing from %s", want, f.text)
		}
	}
}
