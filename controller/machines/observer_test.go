package machines_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/ovsdb"
)

// A database counts how often it is read, which takes some time.
type database struct {
	reads atomic.Int32
	err   error
}

func (d *database) Database(context.Context) (ovsdb.State, error) {
	b, _ := bridge(row{name: "t", tag: 1, ids: id("p1")})
	return ovsdb.State{Bridges: []ovsdb.BridgeRow{*b}}, d.err
}

func (d *database) Links(ctx context.Context) (map[string]ovsdb.Link, error) {
	d.reads.Add(1)
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
	return nil, d.err
}

// Callers share the evidence of the last second, and one caller reads at a time. Errors of
// reading are part of the evidence. A caller that gives up stores no evidence.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := new(database)
		o := machines.NewObserver(db, "tcp:192.0.2.1:6640", "br-int")
		state := func(port string) machines.State {
			x := index(1, true)
			p, _ := x.Port(port)
			e, err := o.Look(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return machines.NewView(x, e).Look(&p).State
		}
		expired, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := o.Look(expired); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		db.reads.Store(0)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if got := state("p1"); got != machines.Seen {
					t.Error(got)
				}
			})
		}
		all.Wait()
		if n := db.reads.Load(); n != 1 {
			t.Errorf("read %d times", n)
		}
		if got := state("p2"); got != machines.Unknown { // there is no MAC table at that address
			t.Error(got)
		}
		time.Sleep(time.Second)
		db.err = errors.New("gone")
		if got := state("p1"); got != machines.Unknown || db.reads.Load() != 2 {
			t.Error(got, db.reads.Load())
		}
		if _, err := o.LookAnew(t.Context()); err != nil || db.reads.Load() != 3 {
			t.Error(err, db.reads.Load())
		}
	})
}
