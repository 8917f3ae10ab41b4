package ovsdb

import (
	"fmt"
	"slices"
	"strings"
)

// existing removes our rows that are not desired, and corrects our other rows.
func (p *planner) existing() {
	root := Row{Table: TableRoot, UUID: p.s.Root}
	for i := range p.s.Bridges {
		b := &p.s.Bridges[i]
		row := b.row()
		if !p.stays(b) {
			p.removes = append(p.removes, b.key().op(Op{Verb: Remove, Row: row, Parent: root}))
			continue
		}
		switch {
		case !isOurs(b.ExternalIDs), p.held(b.key()):
		case p.isWanted(b):
			p.updateBridge(b, p.want[b.key()])
		default:
			p.problem(foreignPorts(b, b.foreignPorts(), "it is not needed any more but cannot be removed"))
			for j := range b.Controllers {
				if c := &b.Controllers[j]; isOurs(c.ExternalIDs) {
					p.removes = append(p.removes, b.key().op(Op{Verb: Remove, Row: c.row(), Parent: row}))
				}
			}
		}
		for j := range b.Ports {
			p.existingPort(b, &b.Ports[j])
		}
	}
}

func (p *planner) existingPort(b *BridgeRow, port *PortRow) {
	k := keyOf(port.ExternalIDs)
	if !isOurs(port.ExternalIDs) || isLocal(b, port) || p.held(k) {
		return
	}
	w := p.ports[port.Name]
	if w == nil || w.key != k || w.bridge != b.Name || len(port.Interfaces) != 1 || port.Interfaces[0].Name != port.Name {
		p.removes = append(p.removes, k.op(Op{Verb: Remove, Row: port.row(), Parent: b.row()}))
		return
	}
	w.exists = true
	p.updatePort(b, port, w)
}

// missing inserts desired rows that do not exist.
func (p *planner) missing() {
	root := Row{Table: TableRoot, UUID: p.s.Root}
	for _, b := range p.blist {
		if p.held(b.key) {
			continue
		}
		if old := p.bridges[b.name]; old != nil && p.isWanted(old) {
			continue
		}
		row := p.insert(TableBridge, root, b.name, b.key, p.bridgeColumns(b), map[string]map[string]string{
			"other_config": b.otherConfig(), "external_ids": marks(b.key)})
		p.placeholders[b.name] = row.UUID
		p.insertController(row, b.key)
		p.insertPort(row, &wantPort{key: b.key, name: b.name, typ: typeInternal})
	}
	for _, w := range p.plist {
		if w.exists || p.held(w.key) {
			continue
		}
		parent := Row{Table: TableBridge, UUID: p.placeholders[w.bridge], Name: w.bridge}
		if parent.UUID == "" {
			parent = p.bridges[w.bridge].row()
		}
		p.insertPort(parent, w)
	}
}

// insert adds an Insert and returns a Row with its placeholder.
func (p *planner) insert(t Table, parent Row, name string, k key, set map[string]any, put map[string]map[string]string) Row {
	p.serial++
	row := Row{Table: t, UUID: fmt.Sprintf("row%d", p.serial), Name: name}
	p.inserts = append(p.inserts, k.op(Op{Verb: Insert, Row: row, Parent: parent, Set: set, Put: put}))
	return row
}

func (p *planner) insertController(bridge Row, k key) {
	p.insert(TableController, bridge, p.d.Controller, k,
		map[string]any{"target": p.d.Controller, "max_backoff": maxBackoff, "inactivity_probe": inactivityProbe},
		map[string]map[string]string{"external_ids": marks(k)})
}

func (p *planner) insertPort(bridge Row, w *wantPort) {
	set := map[string]any{"name": w.name}
	switch {
	case w.vlan != 0:
		set["tag"] = int(w.vlan)
	case w.mac == "": // a port on one of our bridges: it has no VLAN columns
	default: // another agent sets the tag later, and until then the port must not be a trunk of all VLANs
		set["tag"], set["vlan_mode"], set["trunks"] = deadVLAN, "trunk", []int{deadVLAN}
	}
	port := p.insert(TablePort, bridge, w.name, w.key, set, map[string]map[string]string{"external_ids": marks(w.key)})
	put := map[string]map[string]string{"external_ids": w.externalIDs()}
	if len(w.options) > 0 {
		put["options"] = w.options
	}
	p.insert(TableInterface, port, w.name, w.key, map[string]any{"name": w.name, "type": w.typ}, put)
}

// update adds o unless it changes nothing.
func (p *planner) update(o Op) {
	if o.Verb = Update; !o.empty() {
		p.updates = append(p.updates, o)
	}
}

func (p *planner) updateBridge(b *BridgeRow, w *wantBridge) {
	o := w.key.op(Op{Row: b.row()})
	if b.FailMode != failMode {
		o.set("fail_mode", failMode)
	}
	if !slices.Equal(b.Protocols, []string{protocol}) {
		o.set("protocols", []string{protocol})
	}
	if !sameDatapath(b.DatapathType, p.br.DatapathType) {
		o.set("datapath_type", p.br.DatapathType)
	}
	o.put("other_config", b.OtherConfig, w.otherConfig())
	p.update(o)
	if local, ok := b.Port(b.Name); ok {
		p.switchErrors(b, &local, w.key, "bridge")
	}
	p.updateControllers(b)
}

// updateControllers keeps exactly one of our controller rows, because ovs-vswitchd deletes the
// flows when the first row is added and when the last row is removed.
func (p *planner) updateControllers(b *BridgeRow) {
	var keep *ControllerRow
	for i := range b.Controllers {
		c := &b.Controllers[i]
		if isOurs(c.ExternalIDs) && (keep == nil || keep.Target != p.d.Controller && c.Target == p.d.Controller) {
			keep = c
		}
	}
	for i := range b.Controllers {
		c := &b.Controllers[i]
		switch {
		case c == keep:
		case isOurs(c.ExternalIDs):
			p.removes = append(p.removes, b.key().op(Op{Verb: Remove, Row: c.row(), Parent: b.row()}))
		default:
			p.problem(b.key().problem(Problem{Kind: ForeignController, Object: "bridge " + b.Name,
				Detail: fmt.Sprintf("it has controller %s, which does not belong to ofdvr and can change its flows", c.Target),
				Remedy: fmt.Sprintf("remove it with `ovs-vsctl remove Bridge %s controller %s`", b.Name, c.UUID)}))
		}
	}
	if keep == nil {
		p.insertController(b.row(), b.key())
		return
	}
	o := b.key().op(Op{Row: keep.row(), Parent: b.row()})
	if keep.Target != p.d.Controller {
		o.set("target", p.d.Controller)
	}
	if keep.MaxBackoff == nil || *keep.MaxBackoff != maxBackoff {
		o.set("max_backoff", maxBackoff)
	}
	if keep.InactivityProbe == nil || *keep.InactivityProbe != inactivityProbe {
		o.set("inactivity_probe", inactivityProbe)
	}
	p.update(o)
}

func (p *planner) updatePort(b *BridgeRow, port *PortRow, w *wantPort) {
	o := w.key.op(Op{Row: port.row(), Parent: b.row()})
	if w.vlan != 0 {
		o.access(port, w.vlan)
	}
	p.update(o)

	f := &port.Interfaces[0]
	o = w.key.op(Op{Row: f.row(), Parent: port.row()})
	if f.Type != w.typ {
		o.set("type", w.typ)
	}
	o.put("options", f.Options, w.options)
	o.put("external_ids", f.ExternalIDs, w.externalIDs())
	if w.mac == "" { // only ports of the integration bridge have these keys: an agent would take another interface for a second copy of the port
		o.drop("external_ids", f.ExternalIDs, KeyIfaceID, KeyAttachedMAC, KeyIfaceStatus)
	}
	p.update(o)
	p.switchErrors(b, port, w.key, w.what)
}

// switchErrors reports ovs-vswitchd's errors of port. It skips one error: a created patch port
// has no usable peer. This error may be stale, because ovs-vswitchd clears it only at the next
// change of its configuration (OVS vswitchd/bridge.c). The caller has to query ovs-vswitchd
// for the current state.
func (p *planner) switchErrors(b *BridgeRow, port *PortRow, k key, what string) {
	for _, f := range port.Interfaces {
		stale := f.Type == "patch" && f.OFPort > 0
		if f.OFPort != -1 && (f.Error == "" || stale) {
			continue
		}
		detail := "ovs-vswitchd could not create it"
		if f.Error != "" {
			detail += ": " + f.Error
		}
		remedy := "see the log of ovs-vswitchd"
		if strings.Contains(f.Error, "File exists") { // the text of EEXIST, from the kernel's datapath
			remedy = "a link with that name exists already: delete or rename it, or choose another name"
		}
		p.problem(k.problem(Problem{Kind: SwitchError, Object: fmt.Sprintf("%s %s on bridge %s", what, f.Name, b.Name), Detail: detail,
			Remedy: remedy}))
	}
}

func (p *planner) bridgeColumns(b *wantBridge) map[string]any {
	return map[string]any{"name": b.name, "fail_mode": failMode, "protocols": []string{protocol}, "datapath_type": p.br.DatapathType}
}

func (b *wantBridge) otherConfig() map[string]string {
	return map[string]string{"disable-in-band": "true", "datapath-id": datapathID(b.datapathID)}
}

// marks returns the external_ids that mark a row with key k.
func marks(k key) map[string]string {
	m := map[string]string{KeyOwner: Owner}
	for name, v := range map[string]string{KeyRouter: k.router, KeyInterface: k.iface, KeyTunnel: k.tunnel, KeyNetwork: k.network} {
		if v != "" {
			m[name] = v
		}
	}
	if k.fabric {
		m[KeyFabric] = "true"
	}
	if k.uplink {
		m[KeyUplink] = "true"
	}
	return m
}

// externalIDs returns the external_ids of w's Interface row. Only the port on the integration
// bridge has the keys by which other agents identify it.
func (w *wantPort) externalIDs() map[string]string {
	m := marks(w.key)
	if w.mac != "" {
		m[KeyIfaceID], m[KeyAttachedMAC], m[KeyIfaceStatus] = w.key.iface, w.mac, "active"
	}
	return m
}

func (b *BridgeRow) row() Row {
	return Row{Table: TableBridge, UUID: b.UUID, Name: b.Name, Ours: isOurs(b.ExternalIDs)}
}

func (p *PortRow) row() Row {
	return Row{Table: TablePort, UUID: p.UUID, Name: p.Name, Ours: isOurs(p.ExternalIDs)}
}

func (i *InterfaceRow) row() Row { return Row{Table: TableInterface, UUID: i.UUID, Name: i.Name} }

func (c *ControllerRow) row() Row {
	return Row{Table: TableController, UUID: c.UUID, Name: c.Target, Ours: isOurs(c.ExternalIDs)}
}
