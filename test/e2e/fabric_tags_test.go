package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// When the port of a machine leaves the intent, or its network loses the VNI, the machine gets no
// more packets: neither of a network, nor of another machine without a network. When the port comes
// back, packets pass again.
func TestMachineOfNoNetwork(t *testing.T) {
	t.Parallel()
	port := func(n int, network string) string {
		return fmt.Sprintf("  - {id: vm%d, network: %s, mac: %q, addresses: [10.0.%d.1%d]}\n", n, network, fmt.Sprintf("02:00:00:00:0%d:1%[1]d", n), map[string]int{"blue": 1, "green": 2}[network], n)
	}
	intent, _, _ := strings.Cut(strings.Replace(carried, "vni: 5001,", "vni: 5001, vlan: 2,", 1), "ports:\n")
	intent += "ports:\n" + port(2, "green") + port(4, "blue")
	full := intent + port(1, "blue") + port(3, "blue")
	s := bare(t, full)
	s.serve("--host", "h1")
	machines := make(map[int]*lab.Machine)
	for n, vlan := range map[int]uint16{1: 0, 2: 1, 3: 0, 4: 0} {
		network := 1
		if n == 2 {
			network = 2
		}
		c := vm(fmt.Sprint("vm", n), fmt.Sprintf("10.0.%d.1%d", network, n))
		c.MAC, c.VLAN, c.MTU = fmt.Sprintf("02:00:00:00:0%d:1%[1]d", n), vlan, 1400
		if vlan == 0 {
			c.ID = c.Name
		}
		machines[n] = s.plug(c)
	}
	s.settle()
	tag := func(want string) {
		t.Helper()
		s.eventually("the tag of vm1 to change", func() error {
			if got := s.vsctl("get", "port", "vm1", "tag"); got != want {
				return fmt.Errorf("it is %s, want %s", got, want)
			}
			return nil
		})
		s.vsctl("set", "open_vswitch", ".", "external_ids:test-tag="+want) // returns when ovs-vswitchd has read it, and so the tag
	}
	for name, without := range map[string]string{
		"port removed":        intent,
		"network without vni": strings.Replace(full, "blue, vni: 5001, vlan: 2,", "blue, vlan: 9,", 1),
	} {
		tag("2")
		pingTTL(t, machines[2], "10.0.1.11", 63)
		s.write(without)
		tag("4095")
		at := record(t, machines[1], came)
		for _, n := range []int{2, 3, 4} { // of another network, without a network, and of the former network
			ask(t, machines[n], broadcast, machines[n].IP(), "10.0.0.99")
		}
		s.write(full)
		tag("2")
		ask(t, machines[4], broadcast, machines[4].IP(), "10.0.0.100") // passes after the others
		foreign := arpFor(1, "10.0.0.99")
		await(t, at, "a broadcast when the port is back", arpFor(1, "10.0.0.100"))
		seen(t, at, "the machine without a network, "+name, 0, "broadcasts", foreign)
		at.Close()
	}
}

// If a network loses its VNI, and its key vlan becomes the tag that it has, packets pass all the
// time.
func TestTagOutlivesTheVNI(t *testing.T) {
	t.Parallel()
	with := strings.Replace(carried, "blue, vni: 5001,", "blue, vni: 5001, vlan: 9,", 1)
	s := bare(t, with)
	s.serve("--host", "h1")
	c := vm("vm1", "10.0.1.10")
	c.VLAN, c.ID, c.MTU = 0, "vm1", 1400
	vm1 := s.plug(c)
	s.settle()
	pingTTL(t, vm1, "10.0.1.1", 64)
	s.write(strings.Replace(with, "vni: 5001, ", "", 1))
	s.eventually("the mark to go", func() error {
		if got := s.vsctl("--columns=tag,vlan_mode,external_ids", "list", "port", "vm1"); strings.Contains(got, "ofdvr-tag") {
			return fmt.Errorf("the port is %s", got)
		}
		return nil
	})
	if got := s.vsctl("get", "port", "vm1", "tag"); got != "9" {
		t.Errorf("the tag is %s", got)
	}
	pingTTL(t, vm1, "10.0.1.1", 64)
}

// A write of a port is applied when its machine on this host is in the network: the first packet
// passes. While the tag cannot be set, the write is pending.
func TestAppliedPortIsTagged(t *testing.T) {
	t.Parallel()
	s := &site{Host: lab.Boot(t), t: t}
	s.serve("--host", "h1", "--state-dir", "/run/state")
	file := func(content string) string {
		path, err := s.WriteFile("intent.yaml", content)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	networks, _, _ := strings.Cut(carried, "ports:\n")
	s.ofdvr(0, "apply", "-f", file(networks))
	c := vm("vm1", "10.0.1.10")
	c.VLAN, c.ID, c.MTU = 4095, "vm1", 1400
	vm1 := s.plug(c)
	port := file("ports:\n  - {id: vm1, network: blue, mac: \"02:00:00:00:01:10\", addresses: [10.0.1.10]}\n")
	for range 5 {
		s.ofdvr(0, "apply", "-f", port)
		at := record(t, vm1, all(came, isARP))
		ask(t, vm1, broadcast, "10.0.1.10", "10.0.1.1") // once
		await(t, at, "the gateway's answer", arpFor(2, "10.0.1.1"))
		at.Close()
		s.ofdvr(0, "delete", "port", "vm1")
		if got := s.vsctl("get", "port", "vm1", "tag"); got != "4095" {
			t.Fatalf("the tag after the port's deletion is %s", got)
		}
	}
	if err := s.Database().Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	mustHave(t, s.ofdvr(1, "apply", "--timeout=1s", "-f", port), "the tag of port vm1 on the integration bridge is being set")
	if err := s.Database().Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.ofdvr(0, "apply", "-f", port)
	if got := s.vsctl("get", "port", "vm1", "tag"); got == "4095" {
		t.Errorf("the write is applied, but the tag is %s", got)
	}
}
