package ovsdb

import "slices"

// A State is what the database held at one moment between two transactions,
// as far as it concerns us: bridges with their ports and controllers, ports
// with their interfaces. Nobody modifies a State after it was handed out.
type State struct {
	// Root is the UUID of the Open_vSwitch row, "" if the database has none:
	// Open vSwitch makes it when it starts for the first time.
	Root string
	// SystemID is what whoever starts Open vSwitch calls this one (external_ids:system-id), ""
	// if it has no name.
	SystemID string
	// Version is Open vSwitch's version, "" if it has not said so yet.
	Version string
	// NextCfg grows when somebody wants to know that ovs-vswitchd has done what
	// the database says. Then it sets CurCfg to the NextCfg that it has come to.
	NextCfg, CurCfg int
	// FlowRestoreWait says that ovs-vswitchd forwards no packet that it has no datapath
	// flow for, until somebody has restored its flows and takes the setting back.
	FlowRestoreWait bool
	Bridges         []BridgeRow // by name

	stamp *stamp
}

// A stamp is what tells States that were read at different moments.
type stamp struct{ _ byte }

// Same reports whether s and t are of the same moment. Those of different moments may be equal.
func (s State) Same(t State) bool { return s.stamp != nil && s.stamp == t.stamp }

// Routers returns the IDs of the routers of which something exists, sorted.
func (s State) Routers() []string {
	var ids []string
	for i := range s.Bridges {
		b := &s.Bridges[i]
		if isOurs(b.ExternalIDs) {
			ids = append(ids, b.Router())
		}
		for j := range b.Ports {
			if isOurs(b.Ports[j].ExternalIDs) {
				ids = append(ids, keyOf(b.Ports[j].ExternalIDs).router)
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
	DatapathID   string // 16 hexadecimal digits, "" if ovs-vswitchd has not made it yet
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
	Tag         *int // nil: none
	VLANMode    string
	Trunks      []int
	ExternalIDs map[string]string
	Interfaces  []InterfaceRow // by name; more than one is a bond
}

// An InterfaceRow is a row of table Interface.
type InterfaceRow struct {
	UUID, Name  string
	Type        string // "" means system
	Options     map[string]string
	ExternalIDs map[string]string
	// OFPort is the OpenFlow port number, 0 if ovs-vswitchd has assigned none
	// yet, -1 if it could not create the port; Error says why.
	OFPort int
	Error  string
}

// A ControllerRow is a row of table Controller.
type ControllerRow struct {
	UUID, Target    string
	MaxBackoff      *int // ms; nil: ovs-vswitchd's default
	InactivityProbe *int // ms; nil: ovs-vswitchd's default
	ExternalIDs     map[string]string
}

// Bridge returns the bridge called name.
func (s State) Bridge(name string) (BridgeRow, bool) {
	for _, b := range s.Bridges {
		if b.Name == name {
			return b, true
		}
	}
	return BridgeRow{}, false
}

// Port returns b's port called name.
func (b BridgeRow) Port(name string) (PortRow, bool) {
	for _, p := range b.Ports {
		if p.Name == name {
			return p, true
		}
	}
	return PortRow{}, false
}

// Interface returns b's interface called name.
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

// Router returns the router that b is the routing bridge of, "" if b is not
// ours.
func (b BridgeRow) Router() string {
	if !isOurs(b.ExternalIDs) {
		return ""
	}
	return b.ExternalIDs[KeyRouter]
}

// isOurs reports whether external_ids carries the owner's mark.
func isOurs(externalIDs map[string]string) bool { return externalIDs[KeyOwner] == Owner }

// isLocal reports whether p is b's local port, which every bridge has and
// which comes and goes with it.
func isLocal(b *BridgeRow, p *PortRow) bool { return p.Name == b.Name }

// sameDatapath reports whether patch ports between bridges of datapath types
// a and b work.
func sameDatapath(a, b string) bool {
	system := func(s string) string {
		if s == "" {
			return "system"
		}
		return s
	}
	return system(a) == system(b)
}

// foreignPorts returns the names of b's ports that are not ours.
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
