package ovsdb

import (
	"fmt"
	"maps"

	wire "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// A port cannot move between bridges in one transaction, because Open vSwitch 3.1 then leaves
// most patch ports without a peer, and they pass no packets. Therefore the port is removed
// first, and inserted after ovs-vswitchd has confirmed the removal:
//
//	on the old bridge → row removed, next_cfg incremented → cur_cfg has reached it → row inserted
//
// The same sequence repairs a patch port that has lost its peer.
//
// moves maps the names of waiting ports to the next_cfg that they wait for.
type moves map[string]int

// settle deletes from m the ports that ovs-vswitchd has removed. It also deletes ports that
// wait for a next_cfg larger than the next_cfg of s, because then s belongs to a new database.
func (m moves) settle(s State) {
	maps.DeleteFunc(m, func(_ string, cfg int) bool { return s.CurCfg >= cfg || s.NextCfg < cfg })
}

// hold splits ops. now has the operations that can be carried out now, including the removal of the
// ports in renew. leaving has the names of ports that are removed now and inserted later. waiting
// has a problem for each waiting port.
func (m moves) hold(s State, ops []Op, renew map[string]bool) (now []Op, leaving []string, waiting []Problem) {
	on := make(map[string]string) // bridge names by port name
	for i := range s.Bridges {
		for j := range s.Bridges[i].Ports {
			on[s.Bridges[i].Ports[j].Name] = s.Bridges[i].Name
		}
	}
	for i := range s.Bridges {
		b := &s.Bridges[i]
		for j := range b.Ports {
			if port := &b.Ports[j]; renew[port.Name] && isOurs(port.ExternalIDs) && !isLocal(b, port) {
				now, leaving = append(now, keyOf(port.ExternalIDs).op(Op{Verb: Remove, Row: port.row(), Parent: b.row()})), append(leaving, port.Name)
			}
		}
	}
	held := make(map[string]bool) // placeholders of ports
	for _, o := range ops {
		if o.Verb == Insert && o.Row.Table == TableInterface && held[o.Parent.UUID] {
			continue
		}
		if o.Verb == Insert && o.Row.Table == TablePort {
			_, waits := m[o.Row.Name]
			old, exists := on[o.Row.Name]
			if moves := exists && old != o.Parent.Name; moves || waits {
				held[o.Row.UUID] = true
				if moves {
					leaving = append(leaving, o.Row.Name)
				}
				waiting = append(waiting, Problem{Kind: Moving, Router: o.Router, Interface: o.Interface, Fabric: o.Fabric, Network: o.Network,
					Object: fmt.Sprintf("port %s on bridge %s", o.Row.Name, o.Parent.Name),
					Detail: "ovs-vswitchd has not removed it from its previous bridge yet",
					Remedy: "if this does not change, check that ovs-vswitchd runs"})
				continue
			}
		}
		now = append(now, o)
	}
	return now, leaving, waiting
}

// incrementNextCfg makes t increment next_cfg, so that ovs-vswitchd reports when it has
// applied t.
func (t *transaction) incrementNextCfg(root string) {
	t.add(wire.Operation{Op: wire.OperationMutate, Table: string(TableRoot), Where: byUUID(root),
		Mutations: []wire.Mutation{*wire.NewMutation("next_cfg", wire.MutateOperationAdd, 1)}}, nil, "increment next_cfg")
}

// wait adds removed ports to m. s is the state after their removal.
func (m moves) wait(names []string, s State) {
	for _, name := range names {
		m[name] = s.NextCfg
	}
}

// Renew makes the next [Client.Apply] remove one of our ports. If the port is still desired, a
// later Apply inserts it again after ovs-vswitchd has removed it.
func (c *Client) Renew(port string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renew == nil {
		c.renew = make(map[string]bool)
	}
	c.renew[port] = true
}

// renewed returns the names of the ports to renew, and forgets them.
func (c *Client) renewed() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.renew
	c.renew = nil
	return r
}
