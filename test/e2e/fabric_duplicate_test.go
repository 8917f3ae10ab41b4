package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// reportsDuplicate waits until doctor reports that another machine answers for both addresses of the
// gateway of blue.
func (f *fleet) reportsDuplicate(s *site, mac, where string) {
	f.t.Helper()
	for _, addr := range []string{"10.0.1.1", "fd00:1::1"} {
		s.eventually("doctor to find the other owner of "+addr, func() error {
			out, _ := s.Ofdvr(f.t.Context(), "doctor")
			return lacks(out, fmt.Sprintf("PROBLEM  interface r1-blue: another machine, with MAC address %s, answers for its address %s on network blue%s: machines may send their packets there", mac, addr, where))
		})
	}
}

// noDuplicate waits until doctor finds no other machine with the address of a gateway.
func (f *fleet) noDuplicate(s *site) {
	f.t.Helper()
	s.eventually("doctor to find no other owner", func() error {
		out, _ := s.Ofdvr(f.t.Context(), "doctor")
		return lacks(out, "ok       gateways: no other machine answers for the addresses of 1 router\n")
	})
}

// Doctor finds a machine that answers for the addresses of a gateway. The requests for them do not
// leave the host, so only the doctor of the machine's host finds it.
func TestDuplicateGateway(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 2, blueAndGreen, strings.Fields("b11 g11 b21 g21"))
	for _, s := range f.hosts {
		f.noDuplicate(s)
	}
	rival := lab.Plug(t, f.hosts[0].Host, rivalMachine(f.hosts[0].tagOf("b11")))
	f.reportsDuplicate(f.hosts[0], rival.MAC, ", at port rival of bridge br-int")
	f.noDuplicate(f.hosts[1])
	if err := rival.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.noDuplicate(f.hosts[0])
}

// Behind an uplink, a machine that answers for the addresses of a gateway is found by all hosts.
func TestDuplicateGatewayBehindUplink(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, blueAndGreen)
	f.tagged = true
	u := f.uplinks()
	f.serve(uplinkTopology(2, blueAndGreen, strings.Fields("b11 b21")))
	for _, name := range []string{"b11", "b21"} {
		f.plugTagged(name)
	}
	f.settle()
	for _, s := range f.hosts {
		f.noDuplicate(s)
	}
	outside := lab.Boot(t)
	if _, err := u.Uplink(t.Context(), outside, 3); err != nil {
		t.Fatal(err)
	}
	lab.Run(t, outside, "ovs-vsctl", "add-port", lab.IntegrationBridge, lab.UplinkNIC)
	rival := lab.Plug(t, outside, rivalMachine(101))
	for _, s := range f.hosts {
		f.reportsDuplicate(s, rival.MAC, ", behind uplink "+lab.UplinkNIC)
	}
	if err := rival.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.hosts {
		f.noDuplicate(s)
	}
}

// rivalMachine returns a machine with the addresses of the gateway of blue.
func rivalMachine(vlan uint16) lab.MachineConfig {
	return lab.MachineConfig{Name: "rival", MAC: "02:00:00:00:01:66", Addresses: []string{"10.0.1.1/24", "fd00:1::1/64"}, VLAN: vlan}
}

// tagOf returns the tag of a port.
func (s *site) tagOf(port string) (tag uint16) {
	s.t.Helper()
	if _, err := fmt.Sscan(s.vsctl("get", "port", port, "tag"), &tag); err != nil {
		s.t.Fatal(err)
	}
	return tag
}
