package e2e

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/ofdvr/ofdvr/internal/lab"
)

// A port that goes from the file loses its flow, one that comes gets one, and
// nothing else changes: the other flows keep their counters.
func TestReloadChangesJustWhatChanged(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	vm3 := s.plug(vm("vm3", "10.0.2.11"))
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 3})
	s.counted(bridge, 3, "table=2,", "nw_dst=10.0.2.10 ")
	s.aged(bridge)
	before, counted := s.flows(bridge), s.scrape()

	s.reload(twoNetworks + `  - {id: vm3, network: green, mac: "02:00:00:00:02:11", addresses: [10.0.2.11]}` + "\n")
	with := s.flows(bridge)
	if err := untouched(before, with, nil); err != nil {
		t.Error(err)
	}
	if n := len(with.flows) - len(before.flows); n != 1 || len(with.find("nw_dst=10.0.2.11 ")) != 1 {
		t.Errorf("%d flows more, want one for 10.0.2.11: %v", n, with.find("nw_dst=10.0.2.11 "))
	}
	tap := s.recordIn(netns, blueTap, isIPv4)
	pingTTL(t, vm1, vm3.IP(), 63)
	seen(t, tap, "the tap", 0, "the packets to the new port", echo("", vm3.IP()))

	s.reload(twoNetworks)
	after := s.flows(bridge)
	mustBeUntouched(t, before, after)
	// Without a port the address is for the kernel to find.
	pingTTL(t, vm1, vm3.IP(), 63)
	await(t, tap, "the packet to the former port", echo(vm1.IP(), vm3.IP()))

	now := s.scrape()
	for operation, want := range map[string]float64{"add": 1, "delete": 1, "modify": 0} {
		name := fmt.Sprintf("ofdvr_flow_mods_total{operation=%q}", operation)
		if n := now[name] - counted[name]; n != want {
			t.Errorf("%s grew by %v, want %v", name, n, want)
		}
	}
}

// A port that gets another MAC address has its flow changed in place.
func TestReloadMovesAPort(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	const modified, deleted = `ofdvr_flow_mods_total{operation="modify"}`, `ofdvr_flow_mods_total{operation="delete"}`
	pingTTL(t, vm1, vm2.IP(), 63)
	counted := s.scrape()
	lab.Run(t, vm2, "ip", "link", "set", "eth0", "address", "02:00:00:00:02:99")
	s.reload(strings.ReplaceAll(twoNetworks, "02:00:00:00:02:10", "02:00:00:00:02:99"))
	at := record(t, vm2, all(came, echo("", "")))
	pingTTL(t, vm1, vm2.IP(), 63)
	if p := await(t, at, "the request", echo("", "")); p.eth.DstMAC.String() != "02:00:00:00:02:99" {
		t.Errorf("it was sent to %v", p.eth.DstMAC)
	}
	if now := s.scrape(); now[modified] != counted[modified]+1 || now[deleted] != counted[deleted] {
		t.Errorf("%v flows were modified and %v deleted, want 1 and 0", now[modified]-counted[modified], now[deleted]-counted[deleted])
	}
}

// A file with mistakes changes nothing, and the log and the status say where
// they are. So does a file that is not there. A good file ends it.
func TestBrokenFileChangesNothing(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	pingTTL(t, vm1, vm2.IP(), 63)
	s.aged(bridge)
	flows, database := s.flows(bridge), s.database()

	s.write(strings.Replace(twoNetworks, "network: green, mac", "network: grey, mac", 2))
	s.signal(syscall.SIGHUP)
	for _, place := range []string{":9:33: ", ":12:24: "} {
		s.logged("topology.yaml" + place)
	}
	s.logged("did not take in the topology, the old one stays")
	s.eventually("the status to tell", func() error {
		if len(s.status().Problems) == 0 {
			return errors.New("no problem")
		}
		return nil
	})
	st := s.status()
	for _, want := range []string{":9:33: ", ":12:24: ", "grey"} {
		if st.Settled || !strings.Contains(st.Problems[0], want) {
			t.Errorf("the status lacks %q: settled %v, %v", want, st.Settled, st.Problems)
		}
	}
	mustBeUntouched(t, flows, s.flows(bridge))
	if got := s.database(); got != database {
		t.Errorf("the database has changed:\n%s", diff(database, got))
	}
	pingTTL(t, vm1, vm2.IP(), 63)

	s.sh("", "rm "+s.file)
	s.signal(syscall.SIGHUP)
	s.logged("no such file or directory")

	s.reload(twoNetworks)
	mustBeUntouched(t, flows, s.flows(bridge))
	if p := s.status().Problems; len(p) > 0 {
		t.Errorf("problems remain: %v", p)
	}
}

// twoRouters is twoNetworks with a third interface on r1, and a router r2
// that has one network.
var twoRouters = strings.NewReplacer(
	"routers:", `  - {id: red, vlan: 3}
  - {id: pink, vlan: 4}
routers:
  - id: r2
    interfaces:
      - {id: r2-pink, network: pink, mac: "02:00:00:00:04:01", addresses: [10.0.4.1/24]}`,
	"ports:", `      - {id: r1-red, network: red, mac: "02:00:00:00:03:01", addresses: [10.0.3.1/24]}
ports:`).Replace(twoNetworks)

// What goes from the file goes from Open vSwitch and from the kernel; what stays
// is not touched.
func TestReloadRemovesInterfacesAndRouters(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	s.serve()
	s.settle()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	database := s.database()
	s.aged(bridge)
	flows := s.flows(bridge)

	s.reload(twoRouters)
	vm4 := s.plug(vm("vm4", "10.0.4.10"))
	pingTTL(t, vm1, "10.0.3.1", 64)
	pingTTL(t, vm4, "10.0.4.1", 64)
	if err := untouched(flows, s.flows(bridge), nil); err != nil {
		t.Error(err)
	}
	if got := s.vsctl("list-ports", "rb-r2"); got != "pr-r2-pink\nqr-r2-pink" {
		t.Errorf("r2's ports are %q", got)
	}
	if err := vm4.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}

	s.reload(twoNetworks)
	if got := s.database(); got != database {
		t.Errorf("the database is not what it was before:\n%s", diff(database, got))
	}
	mustBeUntouched(t, flows, s.flows(bridge))
	if got := s.sh("", "ls /run/netns"); got != "qrouter-r1\nvm1\nvm2\n" {
		t.Errorf("the namespaces are %q", got)
	}
	s.eventually("the tap to go", func() error { // by ovs-vswitchd
		if got := s.sh(netns, "ip -brief link"); strings.Contains(got, "qr-r1-red") {
			return errors.New(got)
		}
		return nil
	})
	if st := s.status(); len(st.Routers) != 1 || st.Routers[0].ID != "r1" {
		t.Errorf("the status has %+v", st.Routers)
	}
	pingTTL(t, vm1, vm2.IP(), 63)
	pingTTL(t, vm1, "10.0.2.1", 64)

	s.reload("networks: [{id: blue, vlan: 1}]\n")
	if got := s.vsctl("list-br"); got != "br-int" {
		t.Errorf("bridges are left: %q", got)
	}
	if got := s.vsctl("list-ports", "br-int"); got != "vm1\nvm2" {
		t.Errorf("br-int has the ports %q", got)
	}
	if got := s.sh("", "ls /run/netns"); got != "vm1\nvm2\n" {
		t.Errorf("the namespaces are %q", got)
	}
}
