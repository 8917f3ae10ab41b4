package ovsdb_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// carryOut applies ops to s as ovsdb-server does: atomically, with unique names, and with
// deletion of rows without a reference.
func carryOut(s ovsdb.State, ops []ovsdb.Op) (ovsdb.State, error) {
	m := &machine{s: copyState(s), real: map[string]string{}}
	for _, o := range ops { // an Op may refer to the placeholder of a later Op
		if o.Verb == ovsdb.Insert {
			m.serial++
			m.real[o.Row.UUID] = fmt.Sprintf("%s/%s", o.Row.Table, o.Row.Name)
			if o.Row.Table == ovsdb.TableController {
				m.real[o.Row.UUID] += fmt.Sprint(m.serial)
			}
		}
	}
	for _, o := range ops {
		if err := m.do(o); err != nil {
			return m.s, fmt.Errorf("%v: %w", o, err)
		}
	}
	m.sort()
	return m.s, m.unique()
}

type machine struct {
	s      ovsdb.State
	real   map[string]string // placeholder → UUID
	serial int
}

func (m *machine) id(uuid string) string {
	if r, ok := m.real[uuid]; ok {
		return r
	}
	return uuid
}

func (m *machine) bridge(uuid string) *ovsdb.BridgeRow {
	for i := range m.s.Bridges {
		if m.s.Bridges[i].UUID == m.id(uuid) {
			return &m.s.Bridges[i]
		}
	}
	return nil
}

func (m *machine) port(uuid string) *ovsdb.PortRow {
	for i := range m.s.Bridges {
		for j := range m.s.Bridges[i].Ports {
			if p := &m.s.Bridges[i].Ports[j]; p.UUID == m.id(uuid) {
				return p
			}
		}
	}
	return nil
}

func (m *machine) do(o ovsdb.Op) error {
	switch {
	case o.Verb == ovsdb.Update:
		return m.update(o)
	case o.Row.Table == ovsdb.TableBridge:
		if o.Verb == ovsdb.Insert {
			m.s.Bridges = append(m.s.Bridges, ovsdb.BridgeRow{UUID: m.id(o.Row.UUID), Name: o.Row.Name})
			return m.update(o)
		}
		return remove(&m.s.Bridges, o, func(b ovsdb.BridgeRow) string { return b.UUID })
	case o.Row.Table == ovsdb.TablePort, o.Row.Table == ovsdb.TableController:
		b := m.bridge(o.Parent.UUID)
		if b == nil {
			return fmt.Errorf("no bridge %v", o.Parent)
		}
		switch {
		case o.Verb == ovsdb.Remove && o.Row.Table == ovsdb.TablePort:
			return remove(&b.Ports, o, func(p ovsdb.PortRow) string { return p.UUID })
		case o.Verb == ovsdb.Remove:
			return remove(&b.Controllers, o, func(c ovsdb.ControllerRow) string { return c.UUID })
		case o.Row.Table == ovsdb.TablePort:
			b.Ports = append(b.Ports, ovsdb.PortRow{UUID: m.id(o.Row.UUID), Name: o.Row.Name})
		default:
			b.Controllers = append(b.Controllers, ovsdb.ControllerRow{UUID: m.id(o.Row.UUID)})
		}
		return m.update(o)
	case o.Row.Table == ovsdb.TableInterface && o.Verb == ovsdb.Insert:
		p := m.port(o.Parent.UUID)
		if p == nil {
			return fmt.Errorf("no port %v", o.Parent)
		}
		p.Interfaces = append(p.Interfaces, ovsdb.InterfaceRow{UUID: m.id(o.Row.UUID), Name: o.Row.Name})
		return m.update(o)
	}
	return fmt.Errorf("unexpected operation")
}

func remove[T any](from *[]T, o ovsdb.Op, uuid func(T) string) error {
	n := len(*from)
	*from = slices.DeleteFunc(*from, func(v T) bool { return uuid(v) == o.Row.UUID })
	if len(*from) != n-1 {
		return fmt.Errorf("the row does not exist")
	}
	return nil
}

func (m *machine) update(o ovsdb.Op) error {
	columns := map[string]any{}
	switch o.Row.Table {
	case ovsdb.TableBridge:
		if b := m.bridge(o.Row.UUID); b != nil {
			columns = map[string]any{"name": &b.Name, "fail_mode": &b.FailMode, "protocols": &b.Protocols, "datapath_type": &b.DatapathType,
				"other_config": &b.OtherConfig, "external_ids": &b.ExternalIDs}
		}
	case ovsdb.TablePort:
		if p := m.port(o.Row.UUID); p != nil {
			columns = map[string]any{"name": &p.Name, "tag": &p.Tag, "vlan_mode": &p.VLANMode, "trunks": &p.Trunks, "external_ids": &p.ExternalIDs}
		}
	case ovsdb.TableInterface:
		for _, b := range m.s.Bridges {
			for _, p := range b.Ports {
				for k := range p.Interfaces {
					if i := &p.Interfaces[k]; i.UUID == m.id(o.Row.UUID) {
						columns = map[string]any{"name": &i.Name, "type": &i.Type, "options": &i.Options, "external_ids": &i.ExternalIDs}
					}
				}
			}
		}
	case ovsdb.TableController:
		for _, b := range m.s.Bridges {
			for k := range b.Controllers {
				if c := &b.Controllers[k]; c.UUID == m.id(o.Row.UUID) {
					columns = map[string]any{"target": &c.Target, "max_backoff": &c.MaxBackoff, "inactivity_probe": &c.InactivityProbe, "external_ids": &c.ExternalIDs}
				}
			}
		}
	}
	if len(columns) == 0 {
		return fmt.Errorf("no such row")
	}
	for c, v := range o.Set {
		if err := assign(columns[c], v); err != nil {
			return fmt.Errorf("column %s: %w", c, err)
		}
	}
	for c, keys := range o.Drop {
		for _, k := range keys {
			delete(*columns[c].(*map[string]string), k)
		}
	}
	for c, kv := range o.Put {
		p := columns[c].(*map[string]string)
		if *p == nil {
			*p = map[string]string{}
		}
		maps.Copy(*p, kv)
	}
	return nil
}

func assign(to, v any) error {
	switch to := to.(type) {
	case *string:
		if s, ok := v.([]string); ok && len(s) == 0 {
			*to = ""
			return nil
		}
		*to = v.(string)
	case **int:
		if s, ok := v.([]int); ok && len(s) == 0 {
			*to = nil
			return nil
		}
		n := v.(int)
		*to = &n
	case *[]int:
		*to = v.([]int)
	case *[]string:
		*to = v.([]string)
	default:
		return fmt.Errorf("unknown type")
	}
	return nil
}

// unique returns an error if two rows of a table have the same name.
func (m *machine) unique() error {
	seen := map[string]bool{}
	for _, b := range m.s.Bridges {
		names := []string{"bridge " + b.Name}
		for _, p := range b.Ports {
			names = append(names, "port "+p.Name)
			for _, i := range p.Interfaces {
				names = append(names, "interface "+i.Name)
			}
			if len(p.Interfaces) == 0 {
				return fmt.Errorf("port %s has no interface", p.Name)
			}
		}
		for _, n := range names {
			if seen[n] {
				return fmt.Errorf("%s exists twice", n)
			}
			seen[n] = true
		}
	}
	return nil
}

func (m *machine) sort() {
	slices.SortFunc(m.s.Bridges, func(a, b ovsdb.BridgeRow) int { return compare(a.Name, b.Name) })
	for _, b := range m.s.Bridges {
		slices.SortFunc(b.Ports, func(a, b ovsdb.PortRow) int { return compare(a.Name, b.Name) })
	}
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func copyState(s ovsdb.State) ovsdb.State {
	s.Bridges = slices.Clone(s.Bridges)
	for i := range s.Bridges {
		b := &s.Bridges[i]
		b.OtherConfig, b.ExternalIDs = maps.Clone(b.OtherConfig), maps.Clone(b.ExternalIDs)
		b.Controllers, b.Ports = slices.Clone(b.Controllers), slices.Clone(b.Ports)
		for j := range b.Controllers {
			b.Controllers[j].ExternalIDs = maps.Clone(b.Controllers[j].ExternalIDs)
		}
		for j := range b.Ports {
			p := &b.Ports[j]
			p.ExternalIDs, p.Interfaces = maps.Clone(p.ExternalIDs), slices.Clone(p.Interfaces)
			for k := range p.Interfaces {
				p.Interfaces[k].Options = maps.Clone(p.Interfaces[k].Options)
				p.Interfaces[k].ExternalIDs = maps.Clone(p.Interfaces[k].ExternalIDs)
			}
		}
	}
	return s
}
