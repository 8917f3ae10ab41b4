package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A stream is a continuous ping, which reports lost replies at its end.
type stream struct {
	t       *testing.T
	ping    *lab.Process
	capture *lab.Capture // on the sender's interface
}

// startStream starts a ping, and returns after the first reply.
func startStream(t *testing.T, from *lab.Machine, to string) *stream {
	t.Helper()
	c := record(t, from, func(f lab.Frame) bool { return echo(from.IP(), to)(f) || echoReply(to, from.IP())(f) })
	p, err := from.Start("ping", "-n", "-i", "0.01", to)
	if err != nil {
		t.Fatal(err)
	}
	await(t, c, "the first reply", echoReply("", ""))
	return &stream{t, p, c}
}

// mustBeWhole fails the test unless every request up to now was answered.
func (s *stream) mustBeWhole() {
	s.t.Helper()
	var asked uint16
	for _, f := range s.capture.Frames() {
		asked = max(asked, decode(f).icmp.Seq)
	}
	last := await(s.t, s.capture, "a later reply", all(echoReply("", ""), func(f lab.Frame) bool { return decode(f).icmp.Seq > asked })).icmp.Seq
	if err := s.ping.Signal(syscall.SIGINT); err != nil {
		s.t.Error(err)
	}
	if err := s.capture.Sync(within(s.t)); err != nil {
		s.t.Fatal(err)
	}
	answered := make(map[uint16]bool)
	for _, f := range s.capture.Frames() {
		if echoReply("", "")(f) {
			answered[decode(f).icmp.Seq] = true
		}
	}
	var lost []uint16
	for seq := uint16(1); seq <= last; seq++ {
		if !answered[seq] {
			lost = append(lost, seq)
		}
	}
	if len(lost) > 0 {
		s.t.Errorf("%d requests were sent, and these were not answered: %v", last, lost)
	}
}

// wired waits until both taps are in the namespace and connected to a switch.
func (s *site) wired() {
	s.t.Helper()
	s.eventually("both taps to be connected to a switch", func() error {
		if links := s.sh("", "ip -n "+netns+" -brief link || true"); strings.Count(links, "LOWER_UP") != 3 { // with lo
			return errors.New(links)
		}
		return nil
	})
	s.settle()
}

// everything fails the test unless all functions of a router work for vm1 and vm2 of
// twoNetworks.
func (s *site) everything(vm1, vm2 *lab.Machine) {
	s.t.Helper()
	for _, m := range []*lab.Machine{vm1, vm2} {
		s.sh(m.Name, "ip neigh flush dev eth0") // makes the machine send ARP requests again
	}
	tap := s.recordIn(netns, blueTap, isIPv4)
	pingTTL(s.t, vm1, vm2.IP(), 63)
	pingTTL(s.t, vm2, vm1.IP(), 63)
	seen(s.t, tap, "the tap", 0, "routed packets", isIPv4)
	pingTTL(s.t, vm1, "10.0.1.1", 64)
	pingTTL(s.t, vm1, "10.0.2.1", 64)
	pingTTL(s.t, vm2, "10.0.1.1", 64)
	if r, err := vm1.Ping(s.t.Context(), vm2.IP(), lab.PingOptions{TTL: 1, Wait: patience}); !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != "10.0.1.1" {
		s.t.Errorf("TTL 1: %+v, %v", r, err)
	}
}

// SIGTERM ends the daemon at once, even with connected clients, with status 0, and changes
// nothing: the switch keeps forwarding.
func TestSIGTERMLeavesTheSwitchForwarding(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	st := startStream(t, vm1, vm2.IP())
	for _, c := range []struct{ network, addr string }{
		{"tcp", "127.0.0.1:9476"}, {"tcp", "127.0.0.1:6653"}, {"unix", "/run/ofdvr/api.sock"},
	} {
		conn, err := s.Dial(t.Context(), c.network, c.addr) // this client sends nothing
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	s.aged(bridge)
	flows, database := s.flows(bridge), s.database()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if code, err := s.daemon.Stop(ctx); err != nil || code != 0 {
		t.Fatalf("the daemon exited with status %d, %v", code, err)
	}
	if !strings.Contains(s.daemon.Log(), "stopped, the switch goes on forwarding") {
		t.Errorf("the daemon's log: %s", s.daemon.Log())
	}
	s.everything(vm1, vm2)
	mustBeUntouched(t, flows, s.flows(bridge))
	if got := s.database(); got != database {
		t.Errorf("the database has changed:\n%s", diff(database, got))
	}
	st.mustBeWhole()
}

// A daemon that is killed and started again continues where it was, without an
// interruption of traffic.
func TestKilledDaemonInterruptsNothing(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	st := startStream(t, vm1, vm2.IP())
	gateway := startStream(t, vm2, "10.0.1.1") // through the namespace
	s.aged(bridge)
	flows := s.flows(bridge)
	for range 2 {
		s.daemon.Kill()
		s.serve()
		s.settle()
	}
	mustBeUntouched(t, flows, s.flows(bridge))
	st.mustBeWhole()
	gateway.mustBeWhole()
	s.everything(vm1, vm2)
}

// When ovs-vswitchd dies and is started again, everything is restored.
func TestSwitchRestarts(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	s.everything(vm1, vm2)
	s.Switch().Kill()
	s.eventually("the daemon to lose the switch", func() error {
		st := s.status()
		if r := st.Routers[0]; st.Settled || r.Settled || r.Connected || len(r.Problems) == 0 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wired()
	s.everything(vm1, vm2)
}

// While ovsdb-server is down, the status reports it, and nothing else changes. (The test does not
// check forwarding: the userspace datapath needs its database for that.)
func TestDatabaseRestarts(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	s.everything(vm1, vm2)
	s.aged(bridge)
	flows, database, transactions := s.flows(bridge), s.database(), s.transactions()
	s.Database().Kill()
	s.eventually("the daemon to lose the database", func() error {
		if st := s.status(); st.Settled || st.OVSDB.Connected || len(st.Problems) == 0 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	s.metric(0, "ofdvr_ovsdb_connected")
	if err := s.StartDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.metric(1, "ofdvr_ovsdb_connected")
	mustBeUntouched(t, flows, s.flows(bridge))
	if got := s.database(); got != database {
		t.Errorf("the database has changed:\n%s", diff(database, got))
	}
	if n := len(s.transactions()) - len(transactions); n != 0 {
		t.Errorf("%d transactions", n)
	}
	s.everything(vm1, vm2)
}

// The daemon may start before Open vSwitch, and before br-int exists.
func TestDaemonStartsFirst(t *testing.T) {
	t.Parallel()
	s := &site{Host: lab.Bare(t), t: t}
	s.write(twoNetworks)
	s.serve()
	problem := func(want string) {
		t.Helper()
		s.eventually("the status to report that Open vSwitch or br-int is missing", func() error {
			if st := s.status(); st.Settled || !strings.Contains(fmt.Sprint(st), want) {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
	}
	problem("ovsdb")
	if err := s.StartOVS(t.Context()); err != nil {
		t.Fatal(err)
	}
	problem("br-int")
	if err := s.AddBridge(t.Context(), lab.IntegrationBridge); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.everything(s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10")))
}

// Objects deleted from the database are made again.
func TestDeletedPortsAndBridgesComeBack(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	for _, c := range []struct{ table, name, command string }{
		{"bridge", bridge, "del-br"},
		{"port", bluePeer, "del-port"},
		{"port", bluePatch, "del-port"},
		{"port", blueTap, "del-port"},
	} {
		before := s.vsctl("get", c.table, c.name, "_uuid")
		s.vsctl(c.command, c.name)
		s.eventually(c.name+" to be made again", func() error {
			after, err := s.Vsctl(t.Context(), "get", c.table, c.name, "_uuid")
			if err == nil && strings.TrimSpace(after) == before {
				err = errors.New("the old one still exists")
			}
			return err
		})
		s.wired()
		s.everything(vm1, vm2)
	}
}
