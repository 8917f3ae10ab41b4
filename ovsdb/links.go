package ovsdb

import (
	"context"
	"fmt"

	wire "github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// A Link is ovs-vswitchd's report about an interface's device. A field is "" if its value is
// unknown. For example, this is so if the device is in another network namespace.
type Link struct {
	MAC   string // address that the device uses
	Admin string // up or down, as configured
	Link  string // up if it has a carrier, else down
}

// Links reads the links of all interfaces, by the UUID of their row. Unlike [Client.State],
// Links sends a request to ovsdb-server.
func (c *Client) Links(ctx context.Context) (map[string]Link, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	s, err := c.current()
	if err != nil {
		return nil, err
	}
	results, err := s.transactRaw(ctx, wire.Operation{Op: wire.OperationSelect, Table: string(TableInterface),
		Columns: []string{"_uuid", "mac_in_use", "admin_state", "link_state"}})
	if err == nil {
		_, err = wire.CheckOperationResults(results, []wire.Operation{{Op: wire.OperationSelect}})
	}
	if err != nil {
		return nil, fmt.Errorf("read the links of interfaces: %w", err)
	}
	links := make(map[string]Link, len(results[0].Rows))
	for _, row := range results[0].Rows {
		if id, ok := row["_uuid"].(wire.UUID); ok {
			links[id.GoUUID] = Link{MAC: text(row["mac_in_use"]), Admin: text(row["admin_state"]), Link: text(row["link_state"])}
		}
	}
	return links, nil
}

// text returns the value of a column that has one string or no value.
func text(v any) string {
	s, _ := v.(string) // otherwise an empty set
	return s
}
