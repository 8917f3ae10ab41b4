package api

import (
	"maps"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/ofproto"
)

func planDocument(p controller.Plan) *PlanDocument {
	d := &PlanDocument{Routers: make([]RouterPlan, len(p.Routers)), OVSDB: make([]RowChange, len(p.OVSDB)), Problems: p.Problems}
	for i, r := range p.Routers {
		texts := func(flows []ofproto.Flow) []string {
			out := make([]string, len(flows))
			for i := range flows {
				out[i] = controller.Named(flows[i].String(), r.Names)
			}
			return out
		}
		d.Routers[i] = RouterPlan{Router: r.Router, Bridge: r.Bridge, Connected: r.Connected,
			Add: texts(r.Delta.Add), Modify: texts(r.Delta.Modify), Delete: texts(r.Delta.Delete)}
	}
	for i, op := range p.OVSDB {
		c := RowChange{Op: op.Verb.String(), Table: string(op.Row.Table), Row: op.Row.Name, Router: op.Router}
		if len(op.Set)+len(op.Put)+len(op.Drop) > 0 {
			c.Columns = make(map[string]any)
			maps.Copy(c.Columns, op.Set)
		}
		for column, keys := range op.Put {
			for key, value := range keys {
				c.Columns[column+":"+key] = value
			}
		}
		for column, keys := range op.Drop {
			for _, key := range keys {
				c.Columns[column+":"+key] = nil
			}
		}
		d.OVSDB[i] = c
	}
	return d
}
