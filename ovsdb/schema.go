package ovsdb

import (
	"cmp"
	"maps"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
)

// database is the name of Open vSwitch's database.
const database = "Open_vSwitch"

// These are the rows as libovsdb caches them, with the tables and columns of vswitch.ovsschema
// that we use. All of these exist since Open vSwitch 2.0.
type (
	dbRoot struct {
		UUID        string            `ovsdb:"_uuid"`
		Bridges     []string          `ovsdb:"bridges"`
		Version     *string           `ovsdb:"ovs_version"`
		NextCfg     int               `ovsdb:"next_cfg"`
		CurCfg      int               `ovsdb:"cur_cfg"`
		OtherConfig map[string]string `ovsdb:"other_config"`
		ExternalIDs map[string]string `ovsdb:"external_ids"`
	}
	dbBridge struct {
		UUID         string            `ovsdb:"_uuid"`
		Name         string            `ovsdb:"name"`
		DatapathType string            `ovsdb:"datapath_type"`
		DatapathID   *string           `ovsdb:"datapath_id"`
		FailMode     *string           `ovsdb:"fail_mode"`
		Protocols    []string          `ovsdb:"protocols"`
		OtherConfig  map[string]string `ovsdb:"other_config"`
		ExternalIDs  map[string]string `ovsdb:"external_ids"`
		Controllers  []string          `ovsdb:"controller"`
		Ports        []string          `ovsdb:"ports"`
	}
	dbPort struct {
		UUID        string            `ovsdb:"_uuid"`
		Name        string            `ovsdb:"name"`
		Tag         *int              `ovsdb:"tag"`
		VLANMode    *string           `ovsdb:"vlan_mode"`
		Trunks      []int             `ovsdb:"trunks"`
		ExternalIDs map[string]string `ovsdb:"external_ids"`
		Interfaces  []string          `ovsdb:"interfaces"`
	}
	dbInterface struct {
		UUID        string            `ovsdb:"_uuid"`
		Name        string            `ovsdb:"name"`
		Type        string            `ovsdb:"type"`
		Options     map[string]string `ovsdb:"options"`
		ExternalIDs map[string]string `ovsdb:"external_ids"`
		OFPort      *int              `ovsdb:"ofport"`
		Error       *string           `ovsdb:"error"`
	}
	dbController struct {
		UUID            string            `ovsdb:"_uuid"`
		Target          string            `ovsdb:"target"`
		MaxBackoff      *int              `ovsdb:"max_backoff"`
		InactivityProbe *int              `ovsdb:"inactivity_probe"`
		ExternalIDs     map[string]string `ovsdb:"external_ids"`
	}
)

func dbModel() (model.ClientDBModel, error) {
	return model.NewClientDBModel(database, map[string]model.Model{
		string(TableRoot): &dbRoot{}, string(TableBridge): &dbBridge{}, string(TablePort): &dbPort{},
		string(TableInterface): &dbInterface{}, string(TableController): &dbController{},
	})
}

// monitored lists the columns to monitor. Without a list libovsdb monitors all columns
// of the server's schema, and then drops every update with a column that the model
// lacks.
func monitored() []client.MonitorOption {
	var (
		r dbRoot
		b dbBridge
		p dbPort
		i dbInterface
		c dbController
	)
	return []client.MonitorOption{
		client.WithTable(&r, &r.Bridges, &r.Version, &r.NextCfg, &r.CurCfg, &r.OtherConfig, &r.ExternalIDs),
		client.WithTable(&b, &b.Name, &b.DatapathType, &b.DatapathID, &b.FailMode, &b.Protocols, &b.OtherConfig, &b.ExternalIDs, &b.Controllers, &b.Ports),
		client.WithTable(&p, &p.Name, &p.Tag, &p.VLANMode, &p.Trunks, &p.ExternalIDs, &p.Interfaces),
		client.WithTable(&i, &i.Name, &i.Type, &i.Options, &i.ExternalIDs, &i.OFPort, &i.Error),
		client.WithTable(&c, &c.Target, &c.MaxBackoff, &c.InactivityProbe, &c.ExternalIDs),
	}
}

// rows has the rows of each table by UUID. If a row changes, libovsdb replaces it, so equal
// pointers mean equal contents.
type rows map[Table]map[string]model.Model

func (r rows) equal(o rows) bool {
	return maps.EqualFunc(r, o, func(a, b map[string]model.Model) bool { return maps.Equal(a, b) })
}

// state builds a State from r. The State shares no memory with libovsdb.
func (r rows) state() State {
	var s State
	for _, m := range r[TableRoot] {
		root := m.(*dbRoot)
		s.Root, s.Version, s.NextCfg, s.CurCfg = root.UUID, value(root.Version), root.NextCfg, root.CurCfg
		s.FlowRestoreWait = root.OtherConfig["flow-restore-wait"] == "true"
		s.SystemID = root.ExternalIDs["system-id"]
		for _, id := range root.Bridges {
			if b, ok := r[TableBridge][id].(*dbBridge); ok {
				s.Bridges = append(s.Bridges, r.bridge(b))
			}
		}
	}
	slices.SortFunc(s.Bridges, func(a, b BridgeRow) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

func (r rows) bridge(b *dbBridge) BridgeRow {
	row := BridgeRow{UUID: b.UUID, Name: b.Name, DatapathType: b.DatapathType, DatapathID: value(b.DatapathID), FailMode: value(b.FailMode),
		Protocols: slices.Sorted(slices.Values(b.Protocols)), OtherConfig: maps.Clone(b.OtherConfig), ExternalIDs: maps.Clone(b.ExternalIDs)}
	for _, id := range b.Controllers {
		if c, ok := r[TableController][id].(*dbController); ok {
			row.Controllers = append(row.Controllers, ControllerRow{UUID: c.UUID, Target: c.Target, MaxBackoff: clone(c.MaxBackoff),
				InactivityProbe: clone(c.InactivityProbe), ExternalIDs: maps.Clone(c.ExternalIDs)})
		}
	}
	for _, id := range b.Ports {
		if p, ok := r[TablePort][id].(*dbPort); ok {
			row.Ports = append(row.Ports, r.port(p))
		}
	}
	slices.SortFunc(row.Controllers, func(a, b ControllerRow) int { return cmp.Compare(a.UUID, b.UUID) })
	slices.SortFunc(row.Ports, func(a, b PortRow) int { return cmp.Compare(a.Name, b.Name) })
	return row
}

func (r rows) port(p *dbPort) PortRow {
	row := PortRow{UUID: p.UUID, Name: p.Name, Tag: clone(p.Tag), VLANMode: value(p.VLANMode),
		Trunks: slices.Sorted(slices.Values(p.Trunks)), ExternalIDs: maps.Clone(p.ExternalIDs)}
	for _, id := range p.Interfaces {
		if i, ok := r[TableInterface][id].(*dbInterface); ok {
			row.Interfaces = append(row.Interfaces, InterfaceRow{UUID: i.UUID, Name: i.Name, Type: i.Type, Options: maps.Clone(i.Options),
				ExternalIDs: maps.Clone(i.ExternalIDs), OFPort: value(i.OFPort), Error: value(i.Error)})
		}
	}
	slices.SortFunc(row.Interfaces, func(a, b InterfaceRow) int { return cmp.Compare(a.Name, b.Name) })
	return row
}

// value returns *p, or the zero value if p is nil.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}
