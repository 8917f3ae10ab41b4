package api

import (
	"maps"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/ofproto"
)

// A PlanDocument is what a write changes on this host.
type PlanDocument struct {
	Routers  []RouterPlan `json:"routers" doc:"Those whose flows change"`
	OVSDB    []RowChange  `json:"ovsdb" doc:"Rows of Open vSwitch's database, changed in one transaction"`
	Problems []string     `json:"problems,omitempty" doc:"What keeps parts of it from coming true"`
}

// A RouterPlan is what a write changes on a router's bridge.
type RouterPlan struct {
	Router    string   `json:"router"`
	Bridge    string   `json:"bridge"`
	Connected bool     `json:"connected" doc:"If not, the numbers of its ports are not known, and all its flows are listed as added"`
	Add       []string `json:"add" doc:"Flows, in the words of ovs-ofctl --names"`
	Modify    []string `json:"modify" doc:"Flows as they will be; they keep their counters"`
	Delete    []string `json:"delete" doc:"Flows that go"`
}

// A RowChange is what is done to a row of the database.
type RowChange struct {
	Op      string         `json:"op" enum:"insert,update,remove"`
	Table   string         `json:"table"`
	Row     string         `json:"row" doc:"Its name"`
	Router  string         `json:"router"`
	Columns map[string]any `json:"columns,omitempty" doc:"The columns that are written, of maps only the keys; null for a key that goes"`
}

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
