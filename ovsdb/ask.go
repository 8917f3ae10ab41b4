package ovsdb

import (
	"context"
	"fmt"
)

// Ask has ovs-vswitchd tell when it has done all that the database says now:
// that is so from the moment on that [State] has a CurCfg of at least ask. If
// ovs-vswitchd does not run, it will when it does.
func (c *Client) Ask(ctx context.Context) (ask int, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	s, err := c.current()
	if err != nil {
		return 0, err
	}
	state, _, err := s.snapshot(ctx)
	if err == nil {
		err = s.transact(ctx, askAt(state.Root))
	}
	if err == nil {
		state, _, err = s.snapshot(ctx) // has the effect, and maybe that of others who asked later
	}
	if err != nil {
		return 0, fmt.Errorf("ask ovs-vswitchd to tell when it has done what OVSDB says: %w", err)
	}
	return state.NextCfg, nil
}

// askAt returns the transaction that makes next_cfg of the root row grow.
func askAt(root string) transaction {
	var t transaction
	t.askToo(root)
	return t
}
