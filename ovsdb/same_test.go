package ovsdb_test

import (
	"testing"

	"github.com/ofdvr/ofdvr/ovsdb"
)

// Two calls return the same State until something changes.
func TestSame(t *testing.T) {
	s := startServer(t)
	s.vsctl("add-br", "br-int")
	c := s.client()
	read := func() ovsdb.State {
		t.Helper()
		state, err := c.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	first := read()
	for len(first.Bridges) == 0 {
		<-c.Changed()
		first = read()
	}
	if apply(t, c, ovsdb.Desired{}); !read().Same(first) {
		t.Error("Same returns false after an Apply without changes")
	}
	if first.Same(ovsdb.State{}) || new(ovsdb.State).Same(ovsdb.State{}) {
		t.Error("Same returns true for the zero State and another state")
	}
	s.vsctl("set", "bridge", "br-int", "fail_mode=secure")
	for read().Same(first) {
		<-c.Changed()
	}
}
