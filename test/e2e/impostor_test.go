package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/test/hostile"
)

// overflowUser is the unprivileged user nobody.
const overflowUser = 65534

// impostor connects as a user, claims to be the router's bridge, and returns when the
// connection was closed.
func (s *site) impostor(uid int) {
	s.t.Helper()
	nc, err := s.DialAs(s.t.Context(), uid, "127.0.0.1:6653")
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	hostile.Switch(bridge, []string{bluePatch, "pr-r1-green", blueTap, greenTap}, nil)(nc)
}

// ended waits until n connections have ended for a reason. A connection is closed before it
// is counted.
func (s *site) ended(n float64, reason string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%v connections to end: %s", n, reason), func() error {
		if got := s.scrape()[disconnects(reason)]; got != n {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
}

// disconnects is the metric of connections that have ended for a reason.
func disconnects(reason string) string {
	return fmt.Sprintf("ofdvr_openflow_disconnects_total{reason=%q}", reason)
}

// If an unprivileged user connects to the loopback address, the connection is refused before a
// message is read.
func TestUnprivilegedUserIsRefused(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	for range 3 {
		s.impostor(overflowUser)
	}
	s.ended(3, "forbidden_user")

	s.logged("it runs as nobody (uid 65534), but only root may be a switch")
	if n := strings.Count(s.daemon.Log(), "refused connection from this machine"); n != 1 {
		t.Errorf("the log has %d such lines, want 1", n)
	}
	if n := strings.Count(s.daemon.Log(), "switch connected"); n != 1 {
		t.Errorf("%d switches have connected, want only the real one", n)
	}
	s.settle() // the refusal is no problem in the status
	pingTTL(t, vm1, vm2.IP(), 63)
}

// An Open vSwitch that does not run as root connects as the owner of its database's socket. A
// refused connection of another user is reported in the problem of a router without a connected
// bridge.
func TestOwnerOfDatabaseIsASwitch(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	proxy := s.relay(overflowUser)
	s.vsctl("set-controller", "br-x", "tcp:"+proxy.addr, "--", "set", "controller", "br-x", "max_backoff=1000")
	s.serve()
	s.eventually("the status to name the refused user", func() error {
		p := strings.Join(s.status().Routers[0].Problems, "; ")
		if !strings.Contains(p, "a connection from this machine was refused in the last minute, perhaps that of bridge br-x: ") || !strings.Contains(p, "nobody (uid 65534)") {
			return errors.New(p)
		}
		return nil
	})
	s.sh("", "chown nobody /run/openvswitch/db.sock")
	// The overflow user may stand for any user.
	s.logged("only root may be a switch")
	s.sh("", "chown 7:7 /run/openvswitch/db.sock")
	proxy.uid.Store(7)
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)
	// While the socket is missing, the owner of the directory is allowed.
	proxy.cut()
	s.sh("", "chown 7 /run/openvswitch; mv /run/openvswitch/db.sock /run/openvswitch/away")
	before := s.scrape()["ofdvr_openflow_connects_total"]
	s.eventually("the bridge to be connected again", func() error {
		if now := s.scrape()["ofdvr_openflow_connects_total"]; now == before {
			return errors.New("it is not connected")
		}
		return nil
	})
}

// If a connected bridge answers, another connection that claims to be the same
// bridge does not replace it. That connection is refused, counted and reported,
// and writes reach the real switch.
func TestConnectedBridgeIsNotDisplaced(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	s.impostor(0)
	s.ended(1, "duplicate")
	s.metric(1, "ofdvr_openflow_connects_total")
	s.eventually("the status to name the refused connection", func() error {
		p := strings.Join(s.status().Routers[0].Problems, "; ")
		if !strings.Contains(p, "another connection (peer 127.0.0.1) claims to be bridge rb-r1 and is refused") {
			return errors.New("problems: " + p)
		}
		return nil
	})
	if out := s.ofdvr(1, "doctor"); !strings.Contains(out, "claims to be bridge rb-r1") {
		t.Errorf("doctor does not name the refused connection:\n%s", out)
	}
	// At the same time, other connections claim the bridge, and are refused too.
	var others sync.WaitGroup
	for range 5 {
		others.Go(func() { s.impostor(0) })
	}
	s.write(strings.Replace(twoNetworks, "10.0.2.10]", "10.0.2.77]", 1))
	s.sh("", "kill -HUP "+fmt.Sprint(s.daemon.Pid))
	s.eventually("the real switch to have the flow", func() error {
		if len(s.flows(bridge).find("nw_dst=10.0.2.77")) == 0 {
			return errors.New("the flow is missing")
		}
		return nil
	})
	others.Wait()
	s.ended(6, "duplicate")
	s.metric(1, "ofdvr_openflow_connects_total")
	s.write(twoNetworks)
	s.sh("", "kill -HUP "+fmt.Sprint(s.daemon.Pid))
	s.eventually("the first address again", func() error {
		if len(s.flows(bridge).find("nw_dst=10.0.2.10")) == 0 {
			return errors.New("another address is named")
		}
		return nil
	})
	pingTTL(t, vm1, vm2.IP(), 63)
}

// If a switch reconnects while its old connection is broken, it is accepted as soon as the old
// connection fails to answer a probe. It need not wait until the keepalive ends the old connection.
func TestDeadConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	proxy := s.relay(0)
	s.vsctl("set-controller", "br-x", "tcp:"+proxy.addr, "--", "set", "controller", "br-x", "max_backoff=1000")
	s.serve()
	s.settle()
	proxy.frozen.Store(true)
	s.vsctl("set-controller", "br-x", "tcp:127.0.0.1:6653", "--", "set", "controller", "br-x", "max_backoff=1000")
	s.logged("has reconnected as peer 127.0.0.1")
	s.eventually("the second connection", func() error {
		if n := s.scrape()["ofdvr_openflow_connects_total"]; n != 2 {
			return fmt.Errorf("%v connections", n)
		}
		return nil
	})
	s.ended(1, "echo_timeout")
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)
}

// A relay is a proxy between a bridge and the daemon. It connects to the daemon as the given user.
type relay struct {
	addr   string
	uid    atomic.Int32
	frozen atomic.Bool // the relay passes no data, and the daemon's connections stay open

	mu   sync.Mutex
	open []net.Conn
}

// relay starts a relay. It ends with the test.
func (s *site) relay(uid int32) *relay {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ln, err := s.ListenIn(ctx, "", "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	r := &relay{addr: ln.Addr().String()}
	r.uid.Store(uid)
	var all sync.WaitGroup
	s.t.Cleanup(func() {
		stop()
		ln.Close()
		r.cut()
		all.Wait()
	})
	all.Go(func() {
		for {
			bridge, err := ln.Accept()
			if err != nil {
				return
			}
			daemon, err := s.DialAs(ctx, int(r.uid.Load()), "127.0.0.1:6653")
			if err != nil {
				bridge.Close() // it reconnects
				continue
			}
			r.mu.Lock()
			r.open = append(r.open, bridge, daemon)
			r.mu.Unlock()
			all.Go(func() { r.pass(bridge, daemon) })
			all.Go(func() { r.pass(daemon, bridge) })
		}
	})
	return r
}

// cut closes all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, nc := range r.open {
		nc.Close()
	}
	r.open = nil
}

func (r *relay) pass(to, from net.Conn) {
	b := make([]byte, 1<<16)
	for {
		n, err := from.Read(b)
		switch {
		case r.frozen.Load() && err == nil:
			continue
		case r.frozen.Load():
			return
		case err == nil:
			_, err = to.Write(b[:n])
		}
		if err != nil {
			to.Close()
			from.Close()
			return
		}
	}
}

// Counters that exceed the capacity of a link are not added. Neither Prometheus nor the next daemon
// sees them. Status and metrics report them.
func TestImpossibleCounters(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	s.vsctl("del-controller", "br-x")
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.serve()
	s.logged("listening for switches")
	nc := s.peer()
	var flows ofproto.FlowStatsReply // sent by the fake switch
	bridge := hostile.Switch("br-x", []string{"x-blue", "x-green", "t-blue", "t-green"}, func(nc net.Conn, xid uint32, request ofproto.Message) bool {
		switch m := request.(type) {
		case ofproto.BundleControl:
			nc.Write(ofproto.BundleControl{ID: m.ID, Op: m.Op + 1, Flags: m.Flags}.Append(nil, xid))
		case ofproto.BundleAdd:
			if f, ok := m.Message.(ofproto.FlowMod); ok && f.Command == ofproto.FlowAdd {
				flows = append(flows, ofproto.FlowStats{Flow: f.Flow, Packets: 1 << 62, Bytes: 1 << 62})
			}
		case ofproto.Multipart:
			if _, ok := m.Body.(ofproto.FlowStatsRequest); !ok {
				return false
			}
			nc.Write(ofproto.Multipart{Reply: true, Body: flows}.Append(nil, xid))
		default:
			return false
		}
		return true
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		bridge(nc)
	}()
	s.eventually("its counters to be refused", func() error {
		if s.scrape()["ofdvr_refused_counters_total"] == 0 {
			return errors.New("none was refused")
		}
		return nil
	})
	believed := func() {
		t.Helper()
		for name, v := range s.scrape() {
			if strings.HasPrefix(name, "ofdvr_interface_") && v > 1e6 {
				t.Errorf("%s is %v", name, v)
			}
		}
		var kept map[string]struct {
			Reported map[string]map[string]struct{ Packets, Bytes uint64 }
		}
		if err := json.Unmarshal([]byte(s.sh("", "cat /run/ofdvr/counters.json")), &kept); err != nil || len(kept["r1"].Reported) == 0 {
			t.Errorf("counters.json has %v, %v", kept, err)
		}
		for about, byRole := range kept["r1"].Reported {
			for role, n := range byRole {
				if n.Packets > 1e6 || n.Bytes > 1e6 {
					t.Errorf("counters.json has the counter %v of %q in role %s", n, about, role)
				}
			}
		}
	}
	believed()
	s.mentions("bridge br-x reports more packets or bytes than a link can carry")
	nc.Close()
	<-ended
	// The real switch connects, and another daemon starts.
	s.vsctl("set-controller", "br-x", "tcp:127.0.0.1:6653", "--", "set", "controller", "br-x", "max_backoff=1000")
	routed := func(want float64) {
		t.Helper()
		pingTTL(t, vm1, vm2.IP(), 63)
		s.eventually("the ping to be counted", func() error {
			if n := s.scrape()[`ofdvr_interface_routed_packets_total{interface="r1-green",router="r1"}`]; n != want {
				return fmt.Errorf("%v packets", n)
			}
			return nil
		})
	}
	s.settle()
	routed(1)
	s.stop()
	s.serve()
	s.settle()
	routed(2)
	believed()
}
