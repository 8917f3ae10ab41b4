package ovsdb

import (
	"context"
	"fmt"
)

// IncrementNextCfg asks ovs-vswitchd to report when it has applied the current contents of the
// database. They are applied when the CurCfg of [State] is at least cfg. If ovs-vswitchd is
// not running, it reports after its start.
func (c *Client) IncrementNextCfg(ctx context.Context) (cfg int, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	s, err := c.current()
	if err != nil {
		return 0, err
	}
	state, _, err := s.snapshot(ctx)
	if err == nil {
		err = s.transact(ctx, incrementNextCfg(state.Root))
	}
	if err == nil {
		state, _, err = s.snapshot(ctx) // includes the increment, and perhaps later increments by other clients
	}
	if err != nil {
		return 0, fmt.Errorf("increment next_cfg of OVSDB, to learn when ovs-vswitchd has applied it: %w", err)
	}
	return state.NextCfg, nil
}

// incrementNextCfg returns a transaction that only increments next_cfg.
func incrementNextCfg(root string) transaction {
	var t transaction
	t.incrementNextCfg(root)
	return t
}
