package reconcile

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// few replaces maxUnwanted in these tests.
const few = 50

// crowded returns a switch with n unwanted flows of ours and n foreign flows, from key 100 on.
func crowded(n int, more ...ofproto.Flow) *fakeSwitch {
	for i := range n {
		more = append(more, flow(100+2*i, 1), alien(101+2*i, 1))
	}
	return &fakeSwitch{fakeState: fakeState{flows: ofproto.SetOf(more)}}
}

// A switch with many times more flows than fit into one reading still converges.
func TestFarTooManyFlows(t *testing.T) {
	want := flows(flow(1, 1), flow(2, 2), flow(3, 3))
	sw := crowded(2*few+5, flow(1, 1), flow(2, 9))
	reconcile(t, sw, Config{maxUnwanted: few}, func(s *subject) {
		s.want(1, want)
		if rep := s.last(); rep.State != Settled || rep.Confirmed != 1 || !sw.now().flows.Equal(want) {
			t.Errorf("%+v, with %d flows", rep, sw.now().flows.Len())
		}
		if n := sw.now().reads; n != 3 {
			t.Errorf("the switch was read %d times, want 3", n)
		}
	})
}

// All foreign flows that are left alone are counted, and all unwanted flows of ours are
// deleted.
func TestFarTooManyForeignFlows(t *testing.T) {
	want := flows(flow(1, 1))
	sw := crowded(few + 20)
	reconcile(t, sw, Config{maxUnwanted: few}, func(s *subject) {
		s.foreign = IgnoreForeign
		s.want(1, want)
		if rep := s.last(); rep.State != Settled || rep.Foreign != few+20 || sw.now().flows.Len() != few+21 {
			t.Errorf("%+v, with %d flows", rep, sw.now().flows.Len())
		}
		reads := sw.now().reads
		s.want(2, flows(flow(1, 2)))
		if rep := s.last(); rep.State != Settled || rep.Confirmed != 2 || sw.now().reads != reads {
			t.Errorf("%+v after %d more readings", rep, sw.now().reads-reads)
		}
		s.foreign = RemoveForeign
		s.want(3, want)
		if rep := s.last(); rep.State != Settled || !sw.now().flows.Equal(want) {
			t.Errorf("%+v, with %d flows", rep, sw.now().flows.Len())
		}
	})
}

// With a partial intent nothing is deleted. With the complete intent all unwanted flows are
// deleted.
func TestFarTooManyFlowsOfPartialIntent(t *testing.T) {
	want := flows(flow(1, 1))
	sw := crowded(few + 20)
	reconcile(t, sw, Config{maxUnwanted: few}, func(s *subject) {
		s.Want(Program{Generation: 1, Flows: want, Partial: true})
		if rep := s.last(); rep.State != Settled || sw.now().flows.Len() != 2*few+41 {
			t.Errorf("%+v, with %d flows", rep, sw.now().flows.Len())
		}
		s.want(2, want)
		if rep := s.last(); rep.State != Settled || !sw.now().flows.Equal(want) {
			t.Errorf("%+v, with %d flows", rep, sw.now().flows.Len())
		}
	})
}

// A switch that keeps reporting unwanted flows is read less and less often.
func TestEndlessFlows(t *testing.T) {
	sw := &fakeSwitch{more: 5}
	reconcile(t, sw, Config{maxUnwanted: few}, func(s *subject) {
		s.want(1, flows(flow(1, 1)))
		s.last()
		time.Sleep(time.Hour)
		s.last()
		if n := sw.now().reads; n < 10 || n > 60 {
			t.Errorf("the switch was read %d times in an hour", n)
		}
	})
}

// A reader keeps the desired flows and a limited number of other flows. A switch that returns
// the same flow repeatedly is disconnected.
func TestFlowReaderIsBounded(t *testing.T) {
	want := Holdings{Flows: flows(flow(1, 1), flow(2, 1))}
	read := func(fs func(i int) ofproto.Flow) (*reader, error) {
		r := newReader(Known{Want: want, Ours: ourCookie})
		for i := range 30 * maxUnwanted {
			if err := r.take([]ofproto.FlowStats{{Flow: fs(i)}}); err != nil {
				return r, err
			}
		}
		return r, nil
	}
	var many []ofproto.Action
	for i := range 100 {
		many = append(many, ofproto.Output{Port: ofproto.PortNo(i)})
	}
	long := ofproto.ApplyActions(many...)
	for _, c := range []struct {
		name string
		flow func(i int) ofproto.Flow
		err  error
	}{
		{"ours", func(i int) ofproto.Flow { return flow(10+i%60_000, 1) }, nil},
		{"of others", func(i int) ofproto.Flow { return alien(10+i%60_000, 1) }, nil},
		{"long", func(i int) ofproto.Flow { f := flow(10+i%60_000, 1); f.Do = long; return f }, nil},
		{"equal", func(i int) ofproto.Flow { return flow(1, 1) }, ofconn.ErrTooLong},
		{"altered", func(i int) ofproto.Flow { return flow(1, 2) }, ofconn.ErrTooLong},
	} {
		r, err := read(c.flow)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.name, err)
		}
		bytes := 0
		for i := range r.flows {
			bytes += r.flows[i].Size()
		}
		if len(r.flows) > 4*maxUnwanted || bytes > 4*maxUnwantedBytes {
			t.Errorf("%s: the reader keeps %d flows with %d bytes", c.name, len(r.flows), bytes)
		}
		if c.err == nil && len(r.flows)+r.beyond.Ours+r.beyond.Foreign != 30*maxUnwanted {
			t.Errorf("%s: %d flows, and %+v", c.name, len(r.flows), r.beyond)
		}
	}
}

// Without memory for unwanted flows, the switch still converges, in small steps.
func TestFarTooManyFlowsWithoutMemory(t *testing.T) {
	want := flows(flow(1, 1), flow(2, 2))
	sw := crowded(1000, flow(2, 9))
	reconcile(t, sw, Config{Budget: ofconn.NewBudget(0, nil)}, func(s *subject) {
		s.want(1, want)
		if rep := s.last(); rep.State != Settled || !sw.now().flows.Equal(want) {
			t.Errorf("%+v, with %d flows", rep, sw.now().flows.Len())
		}
		if n := sw.now().reads; n < 3 {
			t.Errorf("the switch was read only %d times, so memory was available", n)
		}
	})
}

// All switches share the memory for unwanted entries, and return it.
func TestSwitchesShareMemory(t *testing.T) {
	const all = 1 << 20
	budget := ofconn.NewBudget(all, nil)
	fill := func(share *ofconn.Share) (r *reader, n int) {
		r = newReader(Known{Want: Holdings{Flows: flows(flow(1, 1)), Groups: []ofproto.GroupEntry{{ID: 7}}}, Ours: ourCookie, Share: share})
		for i := range 10_000 {
			if err := r.take([]ofproto.FlowStats{{Flow: flow(10+i, 1)}, {Flow: alien(10+i, 2)}}); err != nil {
				t.Fatal(err)
			}
		}
		ours := func(g ofproto.GroupEntry) bool { return g.ID%2 == 0 }
		var err error
		for i := range 10_000 {
			if r.groups, err = keepEntries(r, groupTable, r.groups, []ofproto.GroupEntry{{ID: ofproto.GroupID(i)}}, r.Want.Groups, ours); err != nil {
				t.Fatal(err)
			}
		}
		return r, len(r.flows) + len(r.groups)
	}
	total := 0
	var shares []*ofconn.Share
	for range 50 {
		s := budget.Share("")
		r, n := fill(s)
		if groupTable.sort(r.groups); r.beyond.Ours+r.beyond.Foreign+n != 30_000 {
			t.Errorf("%d groups are kept, and %+v are counted only; want 30,000 together", n, r.beyond)
		}
		if _, ok := groupTable.get(r.groups, 7); !ok {
			t.Error("the desired group is missing")
		}
		total += n
		shares = append(shares, s)
	}
	if most := (all + 50*2*ownBytes) / entryBytes; total > most {
		t.Errorf("all readers keep %d groups, want at most %d", total, most)
	}
	for _, s := range shares {
		s.Free()
	}
	if s := budget.Share(""); !s.Take(all) || s.Take(1) {
		t.Error("the memory was not released")
	}
}

// A switch that returns the same group repeatedly is disconnected.
func TestRepeatedGroups(t *testing.T) {
	want := []ofproto.GroupEntry{{ID: 7}}
	for _, e := range []ofproto.GroupEntry{{ID: 7}, {ID: 7, Type: ofproto.GroupTypeSelect}} {
		r := newReader(Known{Want: Holdings{Groups: want}})
		_, err := keepEntries(r, groupTable, nil, slices.Repeat([]ofproto.GroupEntry{e}, 10*maxAgain), want, nil)
		if !errors.Is(err, ofconn.ErrTooLong) {
			t.Errorf("%v: %v", e, err)
		}
	}
}

// Flow updates are kept up to a total size. If they exceed it, the switch is read again.
func TestFlowUpdatesAreBounded(t *testing.T) {
	var many []ofproto.Action
	for i := range 1000 {
		many = append(many, ofproto.Output{Port: ofproto.PortNo(i)})
	}
	long := flow(1, 1)
	long.Do = ofproto.ApplyActions(many...)
	updates := make([]ofproto.FlowUpdate, 100)
	for i := range updates {
		updates[i] = ofproto.FlowUpdate{Event: ofproto.FlowAdded, Flow: long}
	}
	c, r := newCore(Config{}), New(Config{})
	n := updateBytes/sizeOf(updates) + 1
	for i := range n {
		if c.reread || r.inbox.lost {
			t.Fatalf("%d of %d: %v, %v", i, n, c.reread, r.inbox.lost)
		}
		c.noticed(updates, false)
		r.Noticed(updates)
	}
	if !c.reread || !r.inbox.lost || len(r.inbox.updates) > 0 {
		t.Errorf("after updates of %d bytes: %v, %v, %d updates", n*sizeOf(updates), c.reread, r.inbox.lost, len(r.inbox.updates))
	}

	poor, told := New(Config{Budget: ofconn.NewBudget(0, nil)}), 0
	for ; !poor.inbox.lost && told < updateBytes; told += sizeOf(updates) {
		poor.Noticed(updates)
		if !poor.inbox.lost {
			poor.handleInbox() // the memory of handled updates is not returned yet
		}
	}
	if most := ownBytes + 2*sizeOf(updates); told > most {
		t.Errorf("a reconciler without memory keeps %d bytes of updates, want at most %d", told, most)
	}
}
