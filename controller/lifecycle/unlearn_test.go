package lifecycle

import (
	"testing"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
	"github.com/ofdvr/ofdvr/routing"
)

// plugged returns a row of the integration bridge's port of a machine.
func plugged(id string, ofport int) ovsdb.PortRow {
	return ovsdb.PortRow{Name: "tap-" + id, Interfaces: []ovsdb.InterfaceRow{{Name: "tap-" + id, OFPort: ofport, ExternalIDs: map[string]string{ovsdb.KeyIfaceID: id}}}}
}

// A machine is on this host if its interface has a port number, or may get one. An interface that
// ovs-vswitchd could not open, as after an evacuation and a restart, is no machine.
func TestUnopenedInterfaceIsNoMachine(t *testing.T) {
	s := ovsdb.State{Bridges: []ovsdb.BridgeRow{{Name: "br-int", Ports: []ovsdb.PortRow{plugged("opened", 3), plugged("new", 0), plugged("failed", -1)}}}}
	machines := rowsOf(s, "br-int").machines
	for id, want := range map[string]bool{"opened": true, "new": true, "failed": false} {
		if _, is := machines[id]; is != want {
			t.Errorf("machine %s is on this host: got %v, want %v", id, is, want)
		}
	}
}

// Entries of the MAC table are stale if they are on the port to the fabric bridge and have the MAC
// address of a machine that has come to this host.
func TestStaleEntries(t *testing.T) {
	m := spanning()
	peer := m.Networks[0].FabricPeer()
	s := ovsdb.State{Bridges: []ovsdb.BridgeRow{{Name: "br-int", Ports: []ovsdb.PortRow{{Name: peer, Interfaces: []ovsdb.InterfaceRow{{Name: peer, OFPort: 4}}}}}}}
	l := &Lifecycle{cfg: Config{IntegrationBridge: "br-int"}, want: Intent{Index: routing.NewIndex(m)}, database: newDatabase()}
	l.database.setState(s, "br-int")
	mac, other := ofproto.MAC(m.Ports[0].MAC), ofproto.MAC{2, 0, 0, 0, 9, 9}
	table := []ovstrace.MACEntry{{Port: 4, VLAN: 2, MAC: mac}, {Port: 5, VLAN: 2, MAC: mac}, {Port: 4, VLAN: 2, MAC: other}}
	got := (&pass{Lifecycle: l}).stale([]string{"vm1", "not declared"}, table)
	if len(got) != 1 || got[0].MACEntry != table[0] || got[0].port != peer {
		t.Errorf("stale: %+v", got)
	}
	if got := (&pass{Lifecycle: l}).stale([]string{"vm3"}, table); len(got) > 0 {
		t.Errorf("an entry is stale for a machine of another network: %+v", got)
	}
}

// A machine arrives when its port is plugged in and was not before.
func TestArrivals(t *testing.T) {
	d := newDatabase()
	for _, step := range []struct {
		plugged []string
		want    int
	}{{nil, 0}, {[]string{"a", "b"}, 2}, {[]string{"a", "b"}, 2}, {[]string{"b", "c"}, 3}} {
		before := d.plugged
		d.plugged = step.plugged
		if d.arrive(before); len(d.arrived) != step.want {
			t.Errorf("plugged ports %v after %v: arrived %v, want %d of them", step.plugged, before, d.arrived, step.want)
		}
	}
}
