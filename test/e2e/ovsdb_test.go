package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// created returns the transaction that inserted the row of a name into a table, as
// ovsdb-tool prints it.
func (s *site) created(table, name string) string {
	s.t.Helper()
	var found []string
	for _, tx := range s.transactions() {
		if strings.Contains(tx, fmt.Sprintf("table %s insert row %q", table, name)) {
			found = append(found, tx)
		}
	}
	if len(found) != 1 {
		s.t.Fatalf("%s %s was inserted by %d transactions, want 1", table, name, len(found))
	}
	return found[0]
}

// The patch port on br-int has the Neutron port's ID, as Neutron's L2 agent expects. The
// transaction that creates the port sets the ID. Other ports have only ofdvr's mark. One
// transaction makes all rows.
func TestPatchPortsHaveNeutronIDs(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	const marks = "ofdvr-interface=r1-blue, ofdvr-owner=ofdvr, ofdvr-router=r1}"
	const ids = `{attached-mac="02:00:00:00:01:01", iface-id=r1-blue, iface-status=active, ` + marks
	for _, c := range []struct{ table, name, column, want string }{
		{"interface", bluePeer, "external_ids", ids},
		{"interface", bluePatch, "external_ids", "{" + marks},
		{"interface", blueTap, "external_ids", "{" + marks},
		{"port", bluePeer, "external_ids", "{" + marks},
		{"port", bluePatch, "external_ids", "{" + marks},
		{"port", blueTap, "external_ids", "{" + marks},
		{"bridge", bridge, "external_ids", "{ofdvr-owner=ofdvr, ofdvr-router=r1}"},
		{"bridge", "br-int", "external_ids", "{}"},
		{"port", bluePeer, "tag", "1"},
		{"port", "pi-r1-green", "tag", "2"},
		{"port", bluePeer, "vlan_mode", "[]"},
		{"port", bluePeer, "trunks", "[]"},
		{"bridge", bridge, "fail_mode", "secure"},
		{"bridge", bridge, "protocols", "[OpenFlow13]"},
		{"bridge", bridge, "datapath_type", lab.Datapath()}, // like br-int
		{"bridge", bridge, "other_config:disable-in-band", `"true"`},
	} {
		if got := s.vsctl("get", c.table, c.name, c.column); got != c.want {
			t.Errorf("%s %s has %s %s, want %s", c.table, c.name, c.column, got, c.want)
		}
	}
	tx := s.created("Interface", bluePeer)
	for _, want := range []string{
		"    external_ids=" + ids + "\n",
		"    fail_mode=secure\n",
		"    tag=1\n",
		fmt.Sprintf("insert row %q", bridge), fmt.Sprintf("insert row %q", blueTap), fmt.Sprintf("insert row %q", "pi-r1-green"),
		"table Controller insert",
	} {
		if !strings.Contains(tx+"\n", want) {
			t.Errorf("the transaction lacks %q:\n%s", want, tx)
		}
	}
}

// Without a VLAN in the file, the port on br-int is in the dead VLAN until another agent tags it.
// The daemon never reverts the agent's changes.
func TestTagsBelongToAnotherAgent(t *testing.T) {
	t.Parallel()
	untagged := strings.NewReplacer(", vlan: 1", "", ", vlan: 2", "").Replace(twoNetworks)
	s := ready(t, untagged)
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	dead := s.vsctl("--columns=tag,vlan_mode,trunks", "list", "port", bluePeer)
	if got := strings.Join(strings.Fields(dead), " "); got != "tag : 4095 vlan_mode : trunk trunks : [4095]" {
		t.Errorf("without an agent the port has %q", got)
	}
	unreachable(t, vm1, "10.0.1.1")
	unreachable(t, vm1, vm2.IP())

	for peer, tag := range map[string]string{bluePeer: "1", "pi-r1-green": "2"} {
		s.vsctl("set", "port", peer, "tag="+tag, "other_config:net_uuid=n-"+tag, "--", "clear", "port", peer, "vlan_mode", "trunks")
	}
	pingTTL(t, vm1, vm2.IP(), 63)
	agents := s.database()
	check := func(when string) {
		t.Helper()
		if got := s.database(); got != agents {
			t.Errorf("%s the daemon has changed the agent's columns:\n%s", when, diff(agents, got))
		}
		pingTTL(t, vm1, vm2.IP(), 63)
	}
	check("after a moment")
	s.reload(untagged)
	check("after a reload")
	s.stop()
	s.serve()
	s.settle()
	check("after a restart")
	// This holds even when the file changes and rows have to be written.
	s.reload(strings.Replace(untagged, `mac: "02:00:00:00:01:01"`, `mac: "02:00:00:00:01:02"`, 1))
	if got := s.vsctl("get", "port", bluePeer, "tag", "vlan_mode", "trunks", "other_config"); got != "1\n[]\n[]\n{net_uuid=n-1}" {
		t.Errorf("after a change of the file the port has %q", got)
	}
	if got := s.vsctl("get", "interface", bluePeer, "external_ids:attached-mac"); got != `"02:00:00:00:01:02"` {
		t.Errorf("attached-mac is %s", got)
	}
}

// A tag of the file is restored when another program changes it.
func TestTagOfTheFileIsRestored(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	s.vsctl("set", "port", bluePeer, "tag=7")
	s.eventually("the tag to be restored", func() error {
		if got := s.vsctl("get", "port", bluePeer, "tag"); got != "1" {
			return fmt.Errorf("the tag is %s", got)
		}
		return nil
	})
	pingTTL(t, vm1, vm2.IP(), 63)
}

// A reload or a restart with an unchanged topology changes no column of the database and no
// flow. It makes no transaction, not even one without changes.
func TestSameTopologyWritesNothing(t *testing.T) {
	t.Parallel()
	s := ready(t, twoRouters)
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	pingTTL(t, vm1, vm2.IP(), 63)
	s.counted(bridge, 1, "table=3,", "nw_dst=10.0.2.10 ")
	s.aged(bridge)
	s.aged("rb-r2")
	database, transactions := s.database(), s.transactions()
	flows, flows2 := s.flows(bridge), s.flows("rb-r2")
	links := s.sh(netns, "ip -o addr; ip -o link")
	check := func(when string) {
		t.Helper()
		if got := s.database(); got != database {
			t.Errorf("%s the database has changed:\n%s", when, diff(database, got))
		}
		if got := s.transactions(); len(got) != len(transactions) {
			t.Errorf("%s there were transactions: %v", when, got[len(transactions):])
		}
		mustBeUntouched(t, flows, s.flows(bridge))
		mustBeUntouched(t, flows2, s.flows("rb-r2"))
		if got := s.sh(netns, "ip -o addr; ip -o link"); got != links {
			t.Errorf("%s the namespace has changed:\n%s", when, diff(links, got))
		}
	}
	s.reload(twoRouters)
	check("after a reload")
	s.reload(strings.ReplaceAll(twoRouters, "  - {id: vm1", "  # a comment\n  - {id: vm1"))
	check("after a reload of a file with the same topology")
	s.stop()
	s.serve()
	s.settle()
	check("after a restart")
	for _, operation := range []string{"add", "modify", "delete"} {
		s.metric(0, fmt.Sprintf("ofdvr_flow_mods_total{operation=%q}", operation))
	}
	s.metric(0, `ofdvr_commits_total{result="ok"}`)
	s.stop()
	check("after the end")
}
