package ovsdb

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	wire "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// children maps a table to the column in the parent row that refers to the table's rows.
var children = map[Table]string{
	TableBridge: "bridges", TablePort: "ports", TableController: "controller", TableInterface: "interfaces",
}

// A transaction is a plan encoded for ovsdb-server. It has the Op of each operation.
type transaction struct {
	wire []wire.Operation
	ops  []*Op // nil if the operation belongs to several Ops
	note []string
}

// compile encodes plan as one transaction.
//
// The transaction starts with a wait operation for every existing row that the plan changes. The
// row must still exist, and still have our mark if it is ours. Names are unique in the database. So
// a plan for an outdated state fails as a whole.
func compile(plan []Op) transaction {
	var t transaction
	t.guard(plan)
	links := newLinks(plan)
	for i := range plan {
		if o := &plan[i]; o.Verb == Update {
			t.update(o)
		}
	}
	for i := range plan {
		if o := &plan[i]; o.Verb == Insert {
			row := columns(o.Set)
			for c, m := range o.Put {
				row[c] = ovsMap(m)
			}
			for c, refs := range links.below[o.Row.UUID] {
				row[c] = refs
			}
			t.add(wire.Operation{Op: wire.OperationInsert, Table: string(o.Row.Table), Row: row, UUIDName: o.Row.UUID}, o, o.String())
		}
	}
	for _, l := range links.mutations {
		t.add(wire.Operation{Op: wire.OperationMutate, Table: string(l.row.Table), Where: byUUID(l.row.UUID), Mutations: l.mutations()},
			nil, fmt.Sprintf("mutate %s %s", l.row.Table, l.row.Name))
	}
	return t
}

func (t *transaction) add(w wire.Operation, o *Op, note string) {
	t.wire = append(t.wire, w)
	t.ops = append(t.ops, o)
	t.note = append(t.note, note)
}

func (t *transaction) guard(plan []Op) {
	inserted, done := map[string]bool{}, map[string]bool{}
	for i := range plan {
		if plan[i].Verb == Insert {
			inserted[plan[i].Row.UUID] = true
		}
	}
	for i := range plan {
		for _, r := range []Row{plan[i].Row, plan[i].Parent} {
			if r.UUID == "" || r.Table == TableRoot || inserted[r.UUID] || done[r.UUID] {
				continue
			}
			done[r.UUID] = true
			column, where := "name", byUUID(r.UUID)
			if r.Table == TableController {
				column = "target"
			}
			if r.Ours {
				where = append(where, wire.NewCondition("external_ids", wire.ConditionIncludes, ovsMap(map[string]string{KeyOwner: Owner})))
			}
			t.add(wire.Operation{Op: wire.OperationWait, Table: string(r.Table), Where: where, Timeout: new(int), Until: string(wire.WaitConditionEqual),
				Columns: []string{column}, Rows: []wire.Row{{column: r.Name}}},
				nil, fmt.Sprintf("find %s %s as it was", r.Table, r.Name))
		}
	}
}

func (t *transaction) update(o *Op) {
	where := byUUID(o.Row.UUID)
	if len(o.Set) > 0 {
		t.add(wire.Operation{Op: wire.OperationUpdate, Table: string(o.Row.Table), Where: where, Row: columns(o.Set)}, o, o.String())
	}
	var ms []wire.Mutation
	for _, c := range slices.Sorted(maps.Keys(o.Drop)) {
		ms = append(ms, *wire.NewMutation(c, wire.MutateOperationDelete, ovsSet(o.Drop[c])))
	}
	for _, c := range slices.Sorted(maps.Keys(o.Put)) { // deleted first, because an insert mutation does not replace existing keys
		keys := slices.Sorted(maps.Keys(o.Put[c]))
		ms = append(ms, *wire.NewMutation(c, wire.MutateOperationDelete, ovsSet(keys)),
			*wire.NewMutation(c, wire.MutateOperationInsert, ovsMap(o.Put[c])))
	}
	if len(ms) > 0 {
		t.add(wire.Operation{Op: wire.OperationMutate, Table: string(o.Row.Table), Where: where, Mutations: ms}, o, o.String())
	}
}

// A link collects the references that the transaction adds to and removes from an existing
// row.
type link struct {
	row      Row
	add, del map[string][]wire.UUID // by column
}

func (l *link) mutations() []wire.Mutation {
	var ms []wire.Mutation
	for _, c := range slices.Sorted(maps.Keys(l.del)) {
		ms = append(ms, *wire.NewMutation(c, wire.MutateOperationDelete, ovsSet(l.del[c])))
	}
	for _, c := range slices.Sorted(maps.Keys(l.add)) {
		ms = append(ms, *wire.NewMutation(c, wire.MutateOperationInsert, ovsSet(l.add[c])))
	}
	return ms
}

type links struct {
	below     map[string]map[string]wire.OvsSet // placeholder → column → references
	mutations []*link                           // mutations by table and name of the row
}

func newLinks(plan []Op) links {
	l := links{below: map[string]map[string]wire.OvsSet{}}
	byUUID := map[string]*link{}
	for i := range plan {
		o := &plan[i]
		column, ref := children[o.Row.Table], wire.UUID{GoUUID: o.Row.UUID}
		if o.Verb == Insert {
			l.below[o.Row.UUID] = map[string]wire.OvsSet{}
			if cols := l.below[o.Parent.UUID]; cols != nil {
				cols[column] = wire.OvsSet{GoSet: append(cols[column].GoSet, ref)}
				continue
			}
		} else if o.Verb == Update {
			continue
		}
		m := byUUID[o.Parent.UUID]
		if m == nil {
			m = &link{row: o.Parent, add: map[string][]wire.UUID{}, del: map[string][]wire.UUID{}}
			byUUID[o.Parent.UUID] = m
			l.mutations = append(l.mutations, m)
		}
		if o.Verb == Insert {
			m.add[column] = append(m.add[column], ref)
		} else {
			m.del[column] = append(m.del[column], ref)
		}
	}
	slices.SortStableFunc(l.mutations, func(a, b *link) int {
		return cmp.Or(cmp.Compare(a.row.Table, b.row.Table), cmp.Compare(a.row.Name, b.row.Name))
	})
	return l
}

// errStale means that the database no longer matched the state of the plan.
var errStale = errors.New("the database has changed in the meantime")

// check returns the errors in the server's results of t.
func (t *transaction) check(results []wire.OperationResult) error {
	var errs []error
	for i, r := range results {
		what := "commit the transaction" // used for the additional result after the operations' results
		if i < len(t.note) {
			what = t.note[i]
		}
		switch {
		case r.Error == "timed out":
			errs = append(errs, fmt.Errorf("%s: %w", what, errStale))
		case r.Error == "constraint violation" || r.Error == "referential integrity violation":
			errs = append(errs, fmt.Errorf("%s: %s: %s: %w", what, r.Error, r.Details, errStale))
		case r.Error == "I/O error":
			errs = append(errs, fmt.Errorf("%s: %s: %s; is the disk of ovsdb-server full?", what, r.Error, r.Details))
		case r.Error != "":
			errs = append(errs, fmt.Errorf("%s: %s: %s", what, r.Error, r.Details))
		case i < len(t.wire) && r.Count == 0 && (t.wire[i].Op == wire.OperationUpdate || t.wire[i].Op == wire.OperationMutate):
			errs = append(errs, fmt.Errorf("%s: the row does not exist any more: %w", what, errStale))
		}
	}
	if len(errs) == 0 && len(results) < len(t.wire) {
		return fmt.Errorf("ovsdb-server returned %d results for %d operations", len(results), len(t.wire))
	}
	return errors.Join(errs...)
}

func byUUID(uuid string) []wire.Condition {
	return []wire.Condition{wire.NewCondition("_uuid", wire.ConditionEqual, wire.UUID{GoUUID: uuid})}
}

func columns(set map[string]any) wire.Row {
	row := wire.Row{}
	for c, v := range set {
		switch v := v.(type) {
		case []string:
			row[c] = ovsSet(v)
		case []int:
			row[c] = ovsSet(v)
		default:
			row[c] = v
		}
	}
	return row
}

func ovsSet[T any](s []T) wire.OvsSet {
	set := wire.OvsSet{GoSet: make([]any, len(s))}
	for i, v := range s {
		set.GoSet[i] = v
	}
	return set
}

func ovsMap(m map[string]string) wire.OvsMap {
	om := wire.OvsMap{GoMap: make(map[any]any, len(m))}
	for k, v := range m {
		om.GoMap[k] = v
	}
	return om
}
