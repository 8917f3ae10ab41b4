package doctor

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// A machine on another bridge, or with a device that is down, gets its own finding. All other
// machines that are not seen share one finding.
func TestMachinesNotSeen(t *testing.T) {
	m := &routing.Model{Networks: []routing.Network{{ID: "blue", VLAN: 1, MTU: 1500}}}
	for i, id := range []string{"-first", "away", "down", "seen", "silent", "wrong"} {
		m.Ports = append(m.Ports, routing.Port{ID: id, Network: "blue", MAC: ofproto.MAC{2, 0, 0, 0, 1, byte(i)}})
	}
	port := func(id string, tag int) ovsdb.PortRow {
		return ovsdb.PortRow{Name: "tap-" + id, Tag: &tag, Interfaces: []ovsdb.InterfaceRow{{UUID: id, OFPort: 1, ExternalIDs: map[string]string{ovsdb.KeyIfaceID: id}}}}
	}
	inner := ovsdb.BridgeRow{Name: "br-int", Ports: []ovsdb.PortRow{port("down", 1), port("seen", 1), port("wrong", 2)}}
	outer := ovsdb.BridgeRow{Name: "br-out", Ports: []ovsdb.PortRow{port("away", 1)}}
	evidence := machines.NewEvidence(&inner, []ovsdb.BridgeRow{inner, outer}, map[string]ovsdb.Link{"down": {Admin: "down"}}, nil, nil)
	e := &examination{Host: Host{Lifecycle: new(lifecycle.Lifecycle), Bridge: "br-int", Intent: lifecycle.Intent{Index: routing.NewIndex(m)},
		Machines: func(context.Context) (*machines.Evidence, error) { return evidence, nil }}}
	if err := e.machines(t.Context()); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range e.findings {
		got = append(got, fmt.Sprintf("%v %s: %s → %s", f.Level, f.About, f.Says, f.Remedy))
	}
	want := []string{
		"warning port away: its machine is not seen: port tap-away of bridge br-out has its iface-id, and ",
		"warning port down: its machine is not seen: the machine's port is tap-down of bridge br-int, and its device is down → start the machine, or set its device up",
		"problem port wrong: its machine is elsewhere: ",
		"warning machines: 2 of 6 ports not seen on bridge br-int: -first, silent → start the machines and plug them into bridge br-int; ofdvr describe port -- -first silent shows the evidence for each. ",
		"ok machines: 1 of 6 ports seen on bridge br-int, in the VLANs of their networks",
	}
	if len(got) != len(want) {
		t.Fatalf("findings\n%s", strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("finding\n%s\nwant\n%s", got[i], want[i])
		}
	}
}
