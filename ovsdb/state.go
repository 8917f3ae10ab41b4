package ovsdb

import "slices"

// A State is the part of the database that we use, between two transactions. It has bridges
// with their ports and controllers, and ports with their interfaces. A State must not be
// modified after it was returned.
type State struct {
	// Root is the UUID of the Open_vSwitch row, which Open vSwitch creates at its first start.
	// It is "" if the database does not have the row yet.
	Root string
	// SystemID is the name of this Open vSwitch instance (external_ids:system-id), or "" if it
	// has no name.
	SystemID string
	// Version is Open vSwitch's version. It is "" until ovs-vswitchd has written it.
	Version string
	// A client increments NextCfg to learn when ovs-vswitchd has applied the database. When
	// ovs-vswitchd has applied it, it sets CurCfg to NextCfg.
	NextCfg, CurCfg int
	// FlowRestoreWait means that ovs-vswitchd forwards only packets that have a
	// datapath flow, until its flows are restored and the setting is removed.
	FlowRestoreWait bool
	Bridges         []BridgeRow // by name

	stamp *stamp
}

// A stamp distinguishes States that were read at different times.
type stamp struct{ _ byte }

// Same reports whether s and t were read at the same time. States that were read at
// different times may have equal contents.
func (s State) Same(t State) bool { return s.stamp != nil && s.stamp == t.stamp }

// HasOurs reports whether s has a row that we inserted, or a tag that we set.
func (s State) HasOurs() bool {
	for i := range s.Bridges {
		b := &s.Bridges[i]
		if isOurs(b.ExternalIDs) {
			return true
		}
		for j := range b.Ports {
			if ids := b.Ports[j].ExternalIDs; isOurs(ids) || ids[KeyTag] != "" {
				return true
			}
		}
	}
	return false
}

// Routers returns the IDs of all routers that have rows, sorted.
func (s State) Routers() []string {
	var ids []string
	for i := range s.Bridges {
		b := &s.Bridges[i]
		if isOurs(b.ExternalIDs) && !b.key().fabric {
			ids = append(ids, b.Router())
		}
		for j := range b.Ports {
			if k := keyOf(b.Ports[j].ExternalIDs); isOurs(b.Ports[j].ExternalIDs) && !k.fabric {
				ids = append(ids, k.router)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// A BridgeRow is a row of table Bridge (ovs-vswitchd.conf.db(5)).
type BridgeRow struct {
	UUID, Name   string
	DatapathType string // "" means system
	DatapathID   string // 16 hexadecimal digits; "" until ovs-vswitchd has created the bridge
	FailMode     string // "" means standalone
	Protocols    []string
	OtherConfig  map[string]string
	ExternalIDs  map[string]string
	Controllers  []ControllerRow // by UUID
	Ports        []PortRow       // by name
}

// A PortRow is a row of table Port.
type PortRow struct {
	UUID, Name  string
	Tag         *int // nil if the port has no tag
	VLANMode    string
	Trunks      []int
	ExternalIDs map[string]string
	Interfaces  []InterfaceRow // interfaces by name; several form a bond
}

// An InterfaceRow is a row of table Interface.
type InterfaceRow struct {
	UUID, Name  string
	Type        string // "" means system
	Options     map[string]string
	ExternalIDs map[string]string
	// OFPort is the OpenFlow port number. It is 0 until ovs-vswitchd has assigned it. It is -1
	// if ovs-vswitchd could not create the port, and then Error has the reason.
	OFPort int
	Error  string
}

// A ControllerRow is a row of table Controller.
type ControllerRow struct {
	UUID, Target    string
	MaxBackoff      *int // ms; nil means ovs-vswitchd's default
	InactivityProbe *int // ms; nil means ovs-vswitchd's default
	ExternalIDs     map[string]string
}

// Bridge returns the bridge with the given name.
func (s State) Bridge(name string) (BridgeRow, bool) {
	for _, b := range s.Bridges {
		if b.Name == name {
			return b, true
		}
	}
	return BridgeRow{}, false
}

// Port returns b's port with the given name.
func (b BridgeRow) Port(name string) (PortRow, bool) {
	for _, p := range b.Ports {
		if p.Name == name {
			return p, true
		}
	}
	return PortRow{}, false
}

// Interface returns b's interface with the given name.
func (b BridgeRow) Interface(name string) (InterfaceRow, bool) {
	for _, p := range b.Ports {
		for _, i := range p.Interfaces {
			if i.Name == name {
				return i, true
			}
		}
	}
	return InterfaceRow{}, false
}

// Router returns the ID of the router that b implements. It returns "" if b is not one of our
// routing bridges.
func (b BridgeRow) Router() string {
	if !isOurs(b.ExternalIDs) {
		return ""
	}
	return b.key().router
}

// IsFabric reports whether b is our fabric bridge.
func (b BridgeRow) IsFabric() bool { return isOurs(b.ExternalIDs) && b.key().fabric }

// key returns the key of b, one of our bridges.
func (b BridgeRow) key() key { return keyOf(b.ExternalIDs).bridge() }

// isOurs reports whether external_ids has the owner's mark.
func isOurs(externalIDs map[string]string) bool { return externalIDs[KeyOwner] == Owner }

// isLocal reports whether p is b's local port. Every bridge has a local port, which is created
// and deleted with it.
func isLocal(b *BridgeRow, p *PortRow) bool { return p.Name == b.Name }

// sameDatapath reports whether patch ports work between bridges of the datapath types a and b.
func sameDatapath(a, b string) bool {
	system := func(s string) string {
		if s == "" {
			return "system"
		}
		return s
	}
	return system(a) == system(b)
}

// foreignPorts returns the names of b's ports that we do not own.
func (b *BridgeRow) foreignPorts() []string {
	var names []string
	for i := range b.Ports {
		if p := &b.Ports[i]; !isOurs(p.ExternalIDs) && !isLocal(b, p) {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}
