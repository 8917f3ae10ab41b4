package ovsdb_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// IncrementNextCfg returns the number that ovs-vswitchd confirms. The test plays ovs-vswitchd.
func TestIncrementNextCfg(t *testing.T) {
	s := startServer(t)
	c := s.client()
	first, err := c.IncrementNextCfg(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.IncrementNextCfg(t.Context())
	if err != nil || second <= first {
		t.Errorf("next_cfg %d, then %d, %v", first, second, err)
	}
	if state, err := c.State(t.Context()); err != nil || state.NextCfg != second || state.CurCfg >= first {
		t.Errorf("unconfirmed: %+v, %v", state, err)
	}
	s.vsctl("set", "Open_vSwitch", ".", fmt.Sprintf("cur_cfg=%d", first))
	until(t, c, "the confirmation of the first", func(s ovsdb.State, err error) bool { return err == nil && s.CurCfg >= first && s.CurCfg < second })
	s.stop()
	until(t, c, "the end of the connection", func(_ ovsdb.State, err error) bool { return err != nil })
	if _, err := c.IncrementNextCfg(t.Context()); !errors.Is(err, ovsdb.ErrNotConnected) {
		t.Errorf("without a server: %v", err)
	}
	s.reset() // an empty database, without the root row
	s.start()
	wait(t, c)
	if cfg, err := c.IncrementNextCfg(t.Context()); err == nil {
		t.Errorf("in an empty database: %d", cfg)
	}
}
