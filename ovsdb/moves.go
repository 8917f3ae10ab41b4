package ovsdb

import (
	"fmt"
	"maps"

	wire "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// A port cannot go from one bridge to another in one transaction: Open vSwitch 3.1
// then leaves most patch ports without a peer, and nothing passes. So the port is
// removed first, and inserted when ovs-vswitchd says that it has done that:
//
//	on the old bridge → row removed, and asked → cur_cfg has come to ask → row inserted
//
// The same brings back a patch port that has lost its peer.
//
// moves has the names of ports that wait for that, with what [Client.Ask] returns.
type moves map[string]int

// settle forgets the ports that ovs-vswitchd has removed. A database in which
// nobody has asked yet has taken the place of the one that was asked in.
func (m moves) settle(s State) {
	maps.DeleteFunc(m, func(_ string, ask int) bool { return s.CurCfg >= ask || s.NextCfg < ask })
}

// hold returns the operations that can be carried out now, also to remove the ports
// to renew, the names of ports that leave their bridge with them, and problems that
// name all ports that wait.
func (m moves) hold(s State, ops []Op, renew map[string]bool) (now []Op, leaving []string, waiting []Problem) {
	on := make(map[string]string) // names of bridges, by which ovs-vswitchd knows them, by port
	for i := range s.Bridges {
		for j := range s.Bridges[i].Ports {
			on[s.Bridges[i].Ports[j].Name] = s.Bridges[i].Name
		}
	}
	for i := range s.Bridges {
		b := &s.Bridges[i]
		for j := range b.Ports {
			if port := &b.Ports[j]; renew[port.Name] && isOurs(port.ExternalIDs) && !isLocal(b, port) {
				now, leaving = append(now, Op{Verb: Remove, Row: port.row(), Parent: b.row(),
					Router: keyOf(port.ExternalIDs).router, Interface: keyOf(port.ExternalIDs).iface}), append(leaving, port.Name)
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
				waiting = append(waiting, Problem{Kind: Moving, Router: o.Router, Interface: o.Interface,
					Object: fmt.Sprintf("port %s on bridge %s", o.Row.Name, o.Parent.Name),
					Detail: "ovs-vswitchd has yet to remove it from the bridge that it was on",
					Remedy: "if this stays, see whether ovs-vswitchd runs"})
				continue
			}
		}
		now = append(now, o)
	}
	return now, leaving, waiting
}

// askToo adds to t that ovs-vswitchd is asked to tell when it has done all of it.
func (t *transaction) askToo(root string) {
	t.add(wire.Operation{Op: wire.OperationMutate, Table: string(TableRoot), Where: byUUID(root),
		Mutations: []wire.Mutation{*wire.NewMutation("next_cfg", wire.MutateOperationAdd, 1)}}, nil, "increment next_cfg")
}

// wait notes that ports have been removed, and that s is the state after that.
func (m moves) wait(names []string, s State) {
	for _, name := range names {
		m[name] = s.NextCfg
	}
}

// Renew has the next [Client.Apply] remove a port of ours. A later one inserts it
// again, if it is desired, when ovs-vswitchd has removed it.
func (c *Client) Renew(port string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.renew == nil {
		c.renew = make(map[string]bool)
	}
	c.renew[port] = true
}

// renewed returns the ports to renew, once.
func (c *Client) renewed() map[string]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.renew
	c.renew = nil
	return r
}
