package controller

import (
	"testing"

	"github.com/ofdvr/ofdvr/controller/lifecycle"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// A program that was compiled before the namespace was read keeps the flows that depend on it, also if the
// namespace is read before the switch gets the program.
func TestKeepIsOfItsProgram(t *testing.T) {
	c := &Controller{lifecycle: new(lifecycle.Lifecycle)}
	st := &routerState{router: &routing.Router{ID: "r1", Bridge: routing.Bridge{Managed: true}}}
	cookie := func(r compile.Role) ofproto.Cookie { return 0xfd<<56 | ofproto.Cookie(r)<<48 }
	before := c.unread(st)
	st.kernel = new(compile.Kernel)
	between := c.unread(st)
	st.known = new(compile.Neighbours)
	for role, want := range map[compile.Role][2]bool{
		compile.RoleForeign:   {true, false},
		compile.RoleOwn:       {true, false},
		compile.RoleNeighbour: {true, true},
		compile.RoleDeliver:   {false, false},
	} {
		if got := [2]bool{before(cookie(role)), between(cookie(role))}; got != want {
			t.Errorf("role %d is kept: %v, want %v", role, got, want)
		}
	}
	if c.unread(st) != nil {
		t.Error("flows are kept after all was read")
	}
}
