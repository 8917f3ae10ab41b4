package machines

import (
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ovsdb"
)

// Evidence is the state of the integration bridge's ports and MAC table. It is immutable.
type Evidence struct {
	bridge  string
	nothing string        // reason why the bridge could not be read; "" if it was read
	remedy  string        // remedy for nothing; may be ""
	missing bool          // the bridge does not exist
	noTable string        // reason why the MAC table could not be read; "" if it was read
	aging   time.Duration // time after which the MAC table forgets an address

	names map[string]*bridgePort
	byNo  map[ofproto.PortNo]*bridgePort
	byID  map[string][]*bridgePort      // by iface-id
	byMAC map[ofproto.MAC][]*bridgePort // by attached-mac, or the device's MAC address

	learned map[ofproto.MAC][]ovstrace.MACEntry
	on      map[ofproto.PortNo][]ovstrace.MACEntry // MAC table entries of ports with an iface-id

	otherID  map[string]place // ports on other bridges, by iface-id
	otherMAC map[ofproto.MAC]place

	host   string            // the ID of this host; "" without other hosts
	placed map[string]string // the other host that claims the machine of a port, by port ID
}

// Across returns e for host, which is one of several hosts. If another host claims the machine of a
// port, placed maps the port to that host. placed must not be changed afterwards.
func (e *Evidence) Across(host string, placed map[string]string) *Evidence {
	with := *e
	with.host, with.placed = host, placed
	return &with
}

// A place is a port of a bridge.
type place struct{ bridge, port string }

// Missing reports whether the bridge is missing. Then no packet can pass.
func (e *Evidence) Missing() bool { return e.missing }

// Nothing returns the Evidence of a bridge that cannot be read.
func Nothing(bridge, why string) *Evidence { return &Evidence{bridge: bridge, nothing: why} }

// A vlanMode is a port's vlan_mode (ovs-vswitchd.conf.db(5)).
type vlanMode uint8

const (
	access vlanMode = iota // untagged packets, which are in VLAN tag
	trunk                  // tagged packets of trunks
	native                 // tagged packets of trunks, and untagged packets, which are in VLAN tag
)

// A bridgePort is a port of the integration bridge.
type bridgePort struct {
	name     string
	no       ofproto.PortNo // 0 if ovs-vswitchd has assigned no number
	mode     vlanMode
	tag      uint16
	trunks   []int // empty means all
	declared bool  // the port's vlan_mode or trunks are set, which means a trunk or native port
	ours     bool  // a patch port to a routing bridge
	patch    bool  // to any bridge
	ifaceID  string
	attached ofproto.MAC // attached-mac; zero if not set
	down     string      // reason why no packet can pass; "" if none is known
}

// carries reports whether packets of a VLAN pass p.
func (p *bridgePort) carries(vlan uint16) bool {
	switch {
	case p.mode != trunk && p.tag == vlan:
		return true
	case p.mode == access, vlan == 0 && p.mode == native:
		return false
	case len(p.trunks) == 0:
		return true
	}
	for _, t := range p.trunks {
		if t == int(vlan) {
			return true
		}
	}
	return false
}

// untagged returns the VLAN of packets that arrive without a tag.
func (p *bridgePort) untagged() uint16 {
	if p.mode == trunk {
		return 0
	}
	return p.tag
}

// deadVLAN is the VLAN of ports that Neutron's L2 agent has not bound.
const deadVLAN = 4095

// defaultAging is the default mac-aging-time of a bridge.
const defaultAging = 300 * time.Second

// NewEvidence returns the evidence of bridge b. all has all bridges of the database, because a
// machine may be on another bridge. tableErr is the error of reading the MAC table, if any.
func NewEvidence(b *ovsdb.BridgeRow, all []ovsdb.BridgeRow, links map[string]ovsdb.Link, table []ovstrace.MACEntry, tableErr error) *Evidence {
	e := &Evidence{
		bridge: b.Name, aging: defaultAging,
		names: make(map[string]*bridgePort, len(b.Ports)), byNo: make(map[ofproto.PortNo]*bridgePort, len(b.Ports)),
		byID: make(map[string][]*bridgePort), byMAC: make(map[ofproto.MAC][]*bridgePort),
		learned: make(map[ofproto.MAC][]ovstrace.MACEntry, len(table)), on: make(map[ofproto.PortNo][]ovstrace.MACEntry),
		otherID: make(map[string]place), otherMAC: make(map[ofproto.MAC]place),
	}
	if tableErr != nil {
		e.noTable = tableErr.Error()
	}
	if d, err := time.ParseDuration(b.OtherConfig["mac-aging-time"] + "s"); err == nil && d > 0 {
		e.aging = d
	}
	for i := range b.Ports {
		e.add(b, &b.Ports[i], links)
	}
	for i := range all {
		if all[i].Name != b.Name && all[i].ExternalIDs[ovsdb.KeyOwner] != ovsdb.Owner {
			e.addOther(&all[i])
		}
	}
	for _, m := range table {
		p := e.byNo[m.Port]
		if p != nil && p.ours {
			continue // the packets came from a router or its namespace
		}
		e.learned[m.MAC] = append(e.learned[m.MAC], m)
		if p != nil && p.ifaceID != "" {
			e.on[m.Port] = append(e.on[m.Port], m)
		}
	}
	return e
}

// add adds a port of the bridge.
func (e *Evidence) add(b *ovsdb.BridgeRow, row *ovsdb.PortRow, links map[string]ovsdb.Link) {
	p := &bridgePort{name: row.Name, trunks: row.Trunks, declared: row.VLANMode != "" || len(row.Trunks) > 0, ours: row.ExternalIDs[ovsdb.KeyOwner] == ovsdb.Owner && row.ExternalIDs[ovsdb.KeyFabric] == ""}
	if row.Tag != nil {
		p.tag = uint16(*row.Tag)
	}
	switch {
	case row.VLANMode == "trunk", row.VLANMode == "" && row.Tag == nil:
		p.mode = trunk
	case strings.HasPrefix(row.VLANMode, "native"):
		p.mode = native
	}
	e.names[p.name] = p
	for i := range row.Interfaces {
		f := &row.Interfaces[i]
		link := links[f.UUID]
		if f.OFPort > 0 {
			e.byNo[ofproto.PortNo(f.OFPort)] = p
			if f.OFPort == 65534 { // the local port; the MAC table has it as LOCAL
				e.byNo[ofproto.PortLocal] = p
			}
			if p.no == 0 {
				p.no = ofproto.PortNo(f.OFPort)
			}
		}
		p.patch = p.patch || f.Type == "patch"
		if len(row.Interfaces) > 1 {
			continue // a bond passes packets even if one of its links is down
		}
		p.ifaceID = f.ExternalIDs[ovsdb.KeyIfaceID]
		p.attached, _ = ofproto.ParseMAC(f.ExternalIDs[ovsdb.KeyAttachedMAC]) // zero if invalid
		p.down = down(f, link)
		if p.ours || p.patch {
			continue
		}
		if p.ifaceID != "" {
			e.byID[p.ifaceID] = append(e.byID[p.ifaceID], p)
		}
		for _, m := range macsOf(p.attached, link.MAC) {
			e.byMAC[m] = append(e.byMAC[m], p)
		}
	}
}

// addOther adds the ports of another bridge.
func (e *Evidence) addOther(b *ovsdb.BridgeRow) {
	for i := range b.Ports {
		for j := range b.Ports[i].Interfaces {
			f := &b.Ports[i].Interfaces[j]
			at := place{b.Name, b.Ports[i].Name}
			if id := f.ExternalIDs[ovsdb.KeyIfaceID]; id != "" {
				e.otherID[id] = at
			}
			if m, err := ofproto.ParseMAC(f.ExternalIDs[ovsdb.KeyAttachedMAC]); err == nil {
				e.otherMAC[m] = at
			}
		}
	}
}

// macsOf returns the MAC addresses by which a port can be found.
func macsOf(attached ofproto.MAC, device string) (out []ofproto.MAC) {
	if attached != (ofproto.MAC{}) {
		return []ofproto.MAC{attached}
	}
	if m, err := ofproto.ParseMAC(device); err == nil {
		return []ofproto.MAC{m}
	}
	return nil
}

// down returns the reason why no packet can pass an interface, or "" if none is known. If the
// device is in another network namespace, its administrative state and its link state are not
// known, whatever Open vSwitch reports.
func down(f *ovsdb.InterfaceRow, l ovsdb.Link) string {
	switch {
	case f.OFPort < 0 && f.Error != "":
		return "ovs-vswitchd could not create it: " + f.Error
	case f.OFPort < 0:
		return "ovs-vswitchd could not create it"
	case l.Admin == "down":
		return "its device is down"
	case l.Admin == "up" && l.Link == "down":
		return "its device has no link"
	}
	return ""
}

func (e *Evidence) named(port string) *bridgePort { return e.names[port] }

// On returns the names of the ports on which the MAC table has an address in a VLAN.
func (e *Evidence) On(mac ofproto.MAC, vlan uint16) (ports []string) {
	for _, m := range e.learned[mac] {
		if m.VLAN != vlan {
			continue
		}
		if b := e.byNo[m.Port]; b != nil {
			ports = append(ports, b.name)
		} else {
			ports = append(ports, m.Port.String())
		}
	}
	return ports
}
