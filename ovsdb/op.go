package ovsdb

import (
	"fmt"
	"slices"
	"strings"
)

// Table is the name of a table of database Open_vSwitch. The rows that
// concern us form a tree: Open_vSwitch has bridges, a bridge has ports and
// controllers, a port has interfaces. ovsdb-server deletes what nothing
// refers to any more.
type Table string

const (
	TableRoot       Table = "Open_vSwitch"
	TableBridge     Table = "Bridge"
	TablePort       Table = "Port"
	TableInterface  Table = "Interface"
	TableController Table = "Controller"
)

// Verb says what an [Op] does.
type Verb uint8

const (
	Insert Verb = iota + 1 // insert a row below Parent
	Update                 // write some columns of a row
	Remove                 // take a row, and what is below it, away from Parent
)

// String returns "insert", "update" or "remove".
func (v Verb) String() string {
	switch v {
	case Insert:
		return "insert"
	case Update:
		return "update"
	case Remove:
		return "remove"
	}
	return fmt.Sprintf("verb-%d", uint8(v))
}

// A Row names a row. UUID is the row's own or, if an earlier [Op] of the same
// plan inserts it, the placeholder that this Op has.
type Row struct {
	Table Table
	UUID  string
	Name  string // its name, a controller's target
	Ours  bool   // it carries our mark and must still do so when the plan is carried out
}

// An Op is one step of a plan. The steps of a plan belong into one
// transaction: in between, the state may make no sense.
type Op struct {
	Verb   Verb
	Row    Row
	Parent Row // Insert, Remove: the row that refers to Row

	Router    string // the router's ID
	Interface string // the router interface's ID, "" for a bridge and its controller

	// Set replaces columns as a whole. The values are string, int, []string
	// or []int; an empty slice is an empty set.
	Set map[string]any
	// Put and Drop change keys of columns that are maps of strings and leave
	// the other keys as they are. An Insert has Put only.
	Put  map[string]map[string]string
	Drop map[string][]string
}

// String says what o does, such as "update Port qp-1 (tag)".
func (o Op) String() string {
	s := fmt.Sprintf("%s %s %s", o.Verb, o.Row.Table, o.Row.Name)
	if o.Verb == Update {
		var cols []string
		for c := range o.Set {
			cols = append(cols, c)
		}
		for c, m := range o.Put {
			for k := range m {
				cols = append(cols, c+":"+k)
			}
		}
		for c, ks := range o.Drop {
			for _, k := range ks {
				cols = append(cols, c+":"+k)
			}
		}
		slices.Sort(cols)
		s += " (" + strings.Join(cols, ", ") + ")"
	}
	return s
}

// set notes that column is to become v.
func (o *Op) set(column string, v any) {
	if o.Set == nil {
		o.Set = map[string]any{}
	}
	o.Set[column] = v
}

// put notes that want's keys are to have want's values in column, which now
// holds have.
func (o *Op) put(column string, have, want map[string]string) {
	for k, v := range want {
		if got, ok := have[k]; ok && got == v {
			continue
		}
		if o.Put == nil {
			o.Put = map[string]map[string]string{}
		}
		if o.Put[column] == nil {
			o.Put[column] = map[string]string{}
		}
		o.Put[column][k] = v
	}
}

// drop notes that keys are not to be in column, which now holds have.
func (o *Op) drop(column string, have map[string]string, keys ...string) {
	for _, k := range keys {
		if _, ok := have[k]; !ok {
			continue
		}
		if o.Drop == nil {
			o.Drop = map[string][]string{}
		}
		o.Drop[column] = append(o.Drop[column], k)
	}
}

// empty reports whether an Update writes nothing.
func (o *Op) empty() bool { return len(o.Set)+len(o.Put)+len(o.Drop) == 0 }
