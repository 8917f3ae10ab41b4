package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// speak makes a machine send a frame that gets no answer.
func speak(t *testing.T, m *lab.Machine) {
	t.Helper()
	mac, err := net.ParseMAC(m.MAC)
	if err != nil {
		t.Fatal(err)
	}
	frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
	if err := m.Send(append(frame, make([]byte, 48)...)); err != nil {
		t.Fatal(err)
	}
}

// shown waits until ofdvr get ports shows a machine in the given state.
func (s *site) shown(port, want string) {
	s.t.Helper()
	s.eventually("port "+port+" to be shown as "+want, func() error {
		out := s.ofdvr(0, "get", "ports")
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, port+" ") && strings.HasSuffix(line, "  "+want+"\n") {
				return nil
			}
		}
		return fmt.Errorf("no such line:\n%s", out)
	})
}

// The daemon locates the machine of each port on the integration bridge. It detects
// machines that are unplugged, silent, in another VLAN, without a tag, with another MAC
// address, without a link, or on another host.
func TestMachines(t *testing.T) {
	t.Parallel()
	topology := twoNetworks
	for n := 11; n <= 19; n++ {
		topology += fmt.Sprintf("  - {id: b%d, network: blue, mac: \"02:00:00:00:01:%d\", addresses: [10.0.1.%[1]d]}\n", n, n)
	}
	s := ready(t, topology)
	s.sh("", "ovs-vsctl set bridge br-int other_config:mac-aging-time=3600")
	blue := func(n int) lab.MachineConfig { return vm(fmt.Sprint("b", n), fmt.Sprint("10.0.1.", n)) }
	quiet := func(name, ids string) { // the bridge has seen no packet of the machine
		s.sh("", fmt.Sprintf("ovs-vsctl set interface %s %s && ovs-appctl fdb/flush br-int", name, ids))
	}

	s.plug(blue(12))
	quiet("b12", "external_ids:iface-id=b12")
	s.plug(blue(13))
	quiet("b13", `external_ids:attached-mac="02:00:00:00:01:13"`)
	down := s.plug(blue(18))
	quiet("b18", "external_ids:iface-id=b18")
	s.sh("", "ip link set b18 down")
	s.shown("b12", "b12, VLAN 1")
	s.shown("b13", "b13, VLAN 1")
	s.shown("b18", "no: b18")

	learned := s.plug(blue(11))
	speak(t, learned)
	wrong, untagged, other := blue(14), blue(15), blue(16)
	wrong.VLAN, untagged.VLAN, other.MAC = 2, 0, "02:00:00:00:01:66"
	for _, c := range []lab.MachineConfig{wrong, untagged} {
		speak(t, s.plug(c))
	}
	stranger := s.plug(other)
	s.sh("", "ovs-vsctl set interface b16 external_ids:iface-id=b16")
	speak(t, stranger)
	gone := s.plug(blue(17))
	speak(t, gone)
	s.shown("b17", "b17, VLAN 1")
	if err := gone.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.sh("", "ovs-vsctl add-br br-out -- set bridge br-out datapath_type="+lab.Datapath()+
		" -- add-port br-out to-int -- set interface to-int type=patch options:peer=to-out -- add-port br-int to-out -- set interface to-out type=patch options:peer=to-int")
	far := blue(19)
	far.Bridge = "br-out"
	speak(t, s.plug(far))

	for port, want := range map[string]string{
		"b11": "b11, VLAN 1", "b12": "b12, VLAN 1", "b13": "b13, VLAN 1", "b14": "elsewhere: b14, VLAN 2", "b15": "elsewhere: b15, no VLAN",
		"b16": "elsewhere: b16, VLAN 1", "b17": "no", "b18": "no: b18", "b19": "via to-out, VLAN 1", "vm1": "no",
	} {
		s.shown(port, want)
	}
	mustHave(t, s.ofdvr(0, "describe", "port", "b14"), "Seen:        elsewhere: b14, VLAN 2\n",
		"packets from its MAC address 02:00:00:00:01:14 came ", " by port b14 of bridge br-int in VLAN 2, and network blue is VLAN 1\n", "→ correct the tag (ovs-vsctl set Port b14 tag=1), or ")
	mustHave(t, s.ofdvr(0, "describe", "network", "blue"), "Ports:       10, of which 4 are seen on the integration bridge\n", "b12, 02:00:00:00:01:12, 10.0.1.12; seen: b12, VLAN 1\n")
	out := s.ofdvr(1, "doctor")
	mustHave(t, out,
		"PROBLEM  port b14: its machine is elsewhere: ", "PROBLEM  port b15: its machine is elsewhere: ",
		"PROBLEM  port b16: its machine is elsewhere: port b16 of bridge br-int has its iface-id, and the machine there has MAC address 02:00:00:00:01:66, not 02:00:00:00:01:16\n         → correct the MAC address of port b16 in the intent, or that of the machine\n",
		"WARNING  port b18: its machine is not seen: the machine's port is b18 of bridge br-int, and its device is down\n         → start the machine, or set its device up\n",
		"WARNING  machines: 3 of 11 ports not seen on bridge br-int: b17, vm1, vm2\n         → start the machines and plug them into bridge br-int; ofdvr describe port b17 vm1 vm2 shows the evidence for each. ",
		"ok       machines: 4 of 11 ports seen on bridge br-int, in the VLANs of their networks\n",
		"\n3 problems, 2 warnings.\n")
	if st := s.status(); !st.Settled || len(st.Problems) > 0 {
		t.Errorf("the status has problems because of machines: %+v", st)
	}
	for state, want := range map[string]float64{"seen": 4, "not_seen": 4, "elsewhere": 3, "unknown": 0} {
		if got := s.scrape()[fmt.Sprintf("ofdvr_ports_seen{state=%q}", state)]; got != want {
			t.Errorf("%v ports are %s, want %v", got, state, want)
		}
	}

	// A corrected machine is seen.
	s.sh("", "ovs-vsctl set port b14 tag=1")
	s.sh("", "ip link set b18 up")
	s.shown("b18", "b18, VLAN 1")
	speak(t, down)
	speak(t, &lab.Machine{MachineConfig: wrong, Host: s.Host, Interface: "eth0"})
	s.shown("b14", "b14, VLAN 1")
}

// 300 ports without machines are not a problem of the router, but doctor has a finding about them.
func TestNoMachines(t *testing.T) {
	t.Parallel()
	s := ready(t, manyPorts(298))
	out := s.ofdvr(0, "doctor")
	mustHave(t, out, "WARNING  machines: 300 of 300 ports not seen on bridge br-int: vm1, vm2, x0, x1 and 296 more\n         → start the machines and plug them into bridge br-int; ofdvr describe port vm1 vm2 x0 x1 x10 shows the evidence for each. ", "\nNo problems, 1 warning.\n")
	mustHave(t, s.ofdvr(0, "describe", "port", "vm1"), "Seen:        no\n             no interface of bridge br-int has its ID (external_ids:iface-id) or MAC address 02:00:00:00:01:10, and the MAC table does not have that address (it forgets an address 5m0s after the last packet")

	// If ovs-vswitchd does not answer, the state of all machines is unknown, whatever the
	// database says, and a scrape does not wait for it.
	s.plug(vm("vm1", "10.0.1.10"))
	s.sh("", "ovs-vsctl set interface vm1 external_ids:iface-id=vm1")
	s.shown("vm1", "vm1, VLAN 1")
	s.Switch().Kill()
	s.shown("vm1", "unknown")
	if got := s.scrape()[`ofdvr_ports_seen{state="seen"}`]; got != 0 {
		t.Errorf("%v ports are seen without ovs-vswitchd", got)
	}
	mustHave(t, s.ofdvr(0, "describe", "port", "vm1"), "ovs-vswitchd does not answer, so the database may be out of date: ", "→ see whether ovs-vswitchd runs")
}
