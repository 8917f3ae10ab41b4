package ovsdb

import (
	"fmt"
	"slices"
	"strings"
)

// Table is the name of a table of database Open_vSwitch. The rows that we use form a tree. The
// row of table Open_vSwitch refers to bridges, a bridge to ports and controllers, and a port
// to interfaces. ovsdb-server deletes rows without a reference.
type Table string

const (
	TableRoot       Table = "Open_vSwitch"
	TableBridge     Table = "Bridge"
	TablePort       Table = "Port"
	TableInterface  Table = "Interface"
	TableController Table = "Controller"
)

// Verb is the kind of an [Op].
type Verb uint8

const (
	Insert Verb = iota + 1 // insert a row below Parent
	Update                 // write some columns of a row
	Remove                 // remove the reference from Parent to a row; the row and all rows below it are deleted
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

// A Row identifies a row. If an earlier [Op] of the same plan inserts the row, UUID is the
// placeholder of that Op.
type Row struct {
	Table Table
	UUID  string
	Name  string // name of the row; for a controller, the target
	Ours  bool   // the row has our mark, and must still have it when the plan is carried out
}

// An Op is one step of a plan. All steps of a plan belong in one transaction, because the
// states between them may be inconsistent.
type Op struct {
	Verb   Verb
	Row    Row
	Parent Row // the row that refers to Row, for Insert and Remove

	Router    string // the router's ID
	Interface string // the router interface's ID, "" for a bridge and its controller
	// Fabric means that the row belongs to the fabric, or is a tagged port of a machine. Then
	// Router or Network is the ID of the router or network that the row connects, if any.
	Fabric  bool
	Network string // the network's ID

	// Set replaces complete columns. The values are string, int, []string or []int. An empty
	// slice is an empty set.
	Set map[string]any
	// Put and Drop change keys of map columns and leave other keys unchanged. An
	// Insert has only Put.
	Put  map[string]map[string]string
	Drop map[string][]string
}

// String returns a summary of o, such as "update Port qp-1 (tag)".
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

// set sets column to v.
func (o *Op) set(column string, v any) {
	if o.Set == nil {
		o.Set = map[string]any{}
	}
	o.Set[column] = v
}

// put sets keys of a map column to the values in want. have is the column's current value.
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

// drop deletes keys from a map column. have is the column's current value.
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

// tags reports whether o changes the tag of a machine's port.
func (o Op) tags() bool {
	_, tag := o.Set["tag"]
	return tag && o.Verb == Update && o.Fabric && !o.Row.Ours && o.Row.Table == TablePort
}

// empty reports whether an Update writes nothing.
func (o *Op) empty() bool { return len(o.Set)+len(o.Put)+len(o.Drop) == 0 }
