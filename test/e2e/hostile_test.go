package e2e

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/hostile"
)

// peer connects to the daemon's OpenFlow port.
func (s *site) peer() net.Conn {
	s.t.Helper()
	nc, err := s.Dial(s.t.Context(), "tcp", "127.0.0.1:6653")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { nc.Close() })
	return nc
}

// disconnected fails the test unless the daemon closes nc within 15 s. It first reads all data that
// the daemon sends.
func (s *site) disconnected(nc net.Conn) {
	s.t.Helper()
	nc.SetReadDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
		s.t.Error("still connected")
	}
}

// Every hostile peer is disconnected in bounded time. This is counted and logged once, and the
// daemon keeps serving the switch. (The limit is low, so that a slow machine can exceed it too.)
func TestHostilePeers(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks, "--max-unsolicited", "100")
	want := make(map[string]float64)
	attacks := hostile.Peers()
	ended := make(chan struct{}, len(attacks))
	for _, a := range attacks {
		want[fmt.Sprintf("ofdvr_openflow_disconnects_total{reason=%q}", a.Reason)]++
		nc := s.peer()
		go func() {
			a.Attack(nc)
			ended <- struct{}{}
		}()
		switch a.Reason {
		case "handshake_timeout", "garbage", "version":
			defer s.disconnected(nc)
		}
	}
	latency := func() float64 { // average latency of a commit so far
		m := s.scrape()
		return 1000 * m["ofdvr_commit_duration_seconds_sum"] / m["ofdvr_commit_duration_seconds_count"]
	}
	quiet := latency()
	for i := range 5 {
		s.reload(strings.Replace(twoNetworks, "10.0.2.10]", fmt.Sprintf("10.0.2.%d]", 20+i), 1))
	}
	t.Logf("a commit takes %.1f ms during the attack, and took %.1f ms before", latency(), quiet)
	for range attacks {
		<-ended
	}
	for name, n := range want {
		s.eventually(name, func() error {
			if got := s.scrape()[name]; got != n {
				return fmt.Errorf("the metric is %v, want %v", got, n)
			}
			return nil
		})
	}
	for _, text := range []string{"closed connection that did not complete the OpenFlow handshake", "disconnected switch that violates OpenFlow",
		"disconnected switch that sends too many messages", "disconnected switch whose answer is too long", "allow it OpenFlow 1.3"} {
		if n := strings.Count(s.daemon.Log(), text); n != 1 {
			t.Errorf("the log has %d lines with %q", n, text)
		}
	}
}

// Many silent connections do not prevent a switch from connecting, and cost at most 512 MiB. (The
// test measures the memory of Go's runtime, as the race detector needs more.)
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	const crowd, memory = 10_000, "go_memstats_sys_bytes"
	before := s.scrape()[memory]
	for range crowd {
		s.peer()
	}
	s.Switch().Kill()
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	now := s.scrape()
	grown := (now[memory] - before) / (1 << 20)
	t.Logf("%d silent connections cost %.0f MiB", crowd, grown)
	if grown > 512 {
		t.Error("more than the limit")
	}
	if now[`ofdvr_openflow_disconnects_total{reason="too_many_connections"}`] == 0 {
		t.Error("no silent connection was closed")
	}
}

// Mutated conversations of a switch never crash the daemon, and its memory
// stays within the limit for all peers. The real switch is programmed when it
// connects, and is served while other peers claim to be this switch.
func TestMutatedConversations(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	s.vsctl("del-controller", "br-x")
	s.serve()
	s.logged("listening for switches")
	converse := func(what string, seed uint64) {
		s.costs(what, func() {
			var all sync.WaitGroup
			for worker := range uint64(4) {
				r := rand.New(rand.NewPCG(seed, worker))
				all.Go(func() {
					for range 20 {
						nc, err := s.Dial(t.Context(), "tcp", "127.0.0.1:6653")
						if err != nil {
							t.Error(err)
							return
						}
						nc.SetDeadline(time.Now().Add(hostile.Turn))
						hostile.Mutated(r, []string{"x-blue", "x-green", "t-blue", "t-green"}, "br-x", "br-x", "br-y")(nc)
						nc.Close()
					}
				})
			}
			all.Wait()
		})
	}
	converse("conversations in place of the switch", 1)
	s.vsctl("set-controller", "br-x", "tcp:127.0.0.1:6653", "--", "set", "controller", "br-x", "max_backoff=1000")
	s.settle()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	pingTTL(t, vm1, vm2.IP(), 63)
	converse("conversations beside the switch", 2)
	s.write(strings.Replace(byName, "10.0.2.10]", "10.0.2.10, 10.0.2.77]", 1))
	s.signal(syscall.SIGHUP)
	s.eventually("the real switch to have the flow", func() error { // although the status names the other connections
		if len(s.flows("br-x").find("nw_dst=10.0.2.77")) == 0 {
			return errors.New("the flow is missing")
		}
		return nil
	})
	pingTTL(t, vm1, vm2.IP(), 63)
}
