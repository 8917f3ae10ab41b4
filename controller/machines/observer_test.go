package machines_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/ovsdb"
)

// A database counts how often it is read. A read takes some time.
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

// Callers share the evidence of the last second, and one caller reads at a
// time. Errors of reading are part of the evidence. A caller whose context is
// done stores no evidence.
func TestLooksAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := new(database)
		o := machines.NewObserver(db, "tcp:192.0.2.1:6640", "br-int", func(context.Context) bool { return true })
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
		if got := state("p2"); got != machines.Unknown { // the MAC table cannot be read at that address
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

// While ovs-vswitchd is stopped, no machine is seen, whatever the database says. If its control
// socket is not known, the connection of a bridge shows that it runs.
func TestStoppedSwitch(t *testing.T) {
	dir := t.TempDir()
	refuses, answers := filepath.Join(dir, "refuses"), filepath.Join(dir, "answers")
	for _, d := range []string{refuses, answers} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(d, "ovs-vswitchd.pid"), []byte("1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	killed, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(refuses, "ovs-vswitchd.1.ctl")})
	if err != nil {
		t.Fatal(err)
	}
	killed.SetUnlinkOnClose(false)
	killed.Close()
	l, err := net.Listen("unix", filepath.Join(answers, "ovs-vswitchd.1.ctl"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte(`{"id":1,"result":null,"error":"no such bridge"}`))
			defer conn.Close()
		}
	}()
	for _, c := range []struct {
		endpoint  string
		connected bool
		want      machines.State
	}{
		{"unix:" + dir + "/db.sock", false, machines.Unknown}, // no PID file
		{"unix:" + dir + "/db.sock", true, machines.Seen},
		{"tcp:192.0.2.1:6640", false, machines.Unknown},
		{"tcp:192.0.2.1:6640", true, machines.Seen},
		{"unix:" + refuses + "/db.sock", true, machines.Unknown},
		{"unix:" + answers + "/db.sock", false, machines.Seen},
	} {
		o := machines.NewObserver(new(database), c.endpoint, "br-int", func(context.Context) bool { return c.connected })
		x := index(1, true)
		p, _ := x.Port("p1")
		e, err := o.Look(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s := machines.NewView(x, e).Look(&p)
		if s.State != c.want || s.State == machines.Unknown && (!strings.Contains(s.Says, "ovs-vswitchd does not answer") || s.Remedy == "") {
			t.Errorf("endpoint %s, connected %t: got state %s, text %q, remedy %q; want state %s", c.endpoint, c.connected, s.State, s.Says, s.Remedy, c.want)
		}
	}
}

// If the bridge is missing, the text names it and the remedy.
func TestMissingBridge(t *testing.T) {
	o := machines.NewObserver(new(database), "tcp:192.0.2.1:6640", "br-none", func(context.Context) bool { return true })
	x := index(1, true)
	p, _ := x.Port("p1")
	e, err := o.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := machines.NewView(x, e).Look(&p); s.State != machines.Unknown || s.Says != "the integration bridge br-none does not exist" || !strings.Contains(s.Remedy, "--integration-bridge") {
		t.Errorf("%+v", s)
	}
}
