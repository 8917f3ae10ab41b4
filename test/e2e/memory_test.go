package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/test/hostile"
	"github.com/ofdvr/ofdvr/test/lab"
)

// peakMemory is the peak of the memory of Go's runtime. (The race detector needs more.)
const peakMemory = "go_memstats_sys_bytes"

// affordable is the maximum memory that all peers together may cost.
const affordable = 150 << 20

// costs runs attack, and fails the test if the daemon then needs more than
// affordable. After the attack, the real switch must be connected as before.
func (s *site) costs(what string, attack func()) {
	s.t.Helper()
	before := s.scrape()[peakMemory]
	attack()
	cost := s.scrape()[peakMemory] - before
	s.t.Logf("%s: %.0f MB", what, cost/1e6)
	if cost > affordable {
		s.t.Errorf("%s cost %.0f MB", what, cost/1e6)
	}
}

// The maximum number of unidentified peers send endless port descriptions. They
// cost little memory, and do not prevent a switch from connecting.
func TestUnidentifiedPeersCostLittle(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	s.costs("unidentified peers", func() {
		var all sync.WaitGroup
		var peers []net.Conn
		for range 300 {
			nc := s.peer()
			peers = append(peers, nc)
			all.Go(func() { hostile.Answer(hostile.EndlessPorts)(nc) })
		}
		for range 1500 { // each peer begins a long message
			nc := s.peer()
			peers = append(peers, nc)
			nc.Write(ofproto.Hello13().Append(nil, 0))
			nc.Write([]byte{4, 19, 0xff, 0xf8, 0, 0, 0, 1, 0, 13, 0, 1, 0, 0, 0, 0})
			nc.Write(make([]byte, 60_000))
		}
		s.Switch().Kill()
		if err := s.StartSwitch(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.settle()
		all.Wait()
		for _, nc := range peers {
			nc.Close()
		}
	})
	s.settle()
}

// If a peer claims to be a bridge and sends a gigabyte of flows, it costs
// little memory. The real bridge is programmed when it connects.
func TestOversizedRepliesCostLittle(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	s.vsctl("del-controller", "br-x")
	s.plain = true // the race detector is too slow for three times a gigabyte within the deadline
	s.serve()
	s.logged("listening for switches")
	for _, c := range []struct {
		name   string
		cookie ofproto.Cookie
	}{{"a gigabyte of flows of ours", 0xfd03000000000001}, {"a gigabyte of flows of others", 1}} {
		s.costs(c.name, func() {
			nc := s.peer()
			hostile.Switch("br-x", []string{"x-blue", "x-green", "t-blue", "t-green"}, hostile.EndlessFlows(c.cookie))(nc)
		})
	}
	s.vsctl("set-controller", "br-x", "tcp:127.0.0.1:6653", "--", "set", "controller", "br-x", "max_backoff=1000")
	s.settle()
}

// A peer claims 50 bridges that are not connected, each with the maximum number
// of ports, flows, groups and meters. It costs little memory. The real bridges
// are programmed when they connect.
func TestManyClaimsCostLittle(t *testing.T) {
	t.Parallel()
	const claims, ports, others = 50, 65_000, 25_000
	routers := "routers:\n"
	for i := range claims {
		routers += fmt.Sprintf("  - {id: l%d, bridge: {managed: false, name: br-l%d}, fallback: none, interfaces: [{id: l%d, network: blue, mac: \"02:00:00:09:%02x:01\", addresses: [10.9.%d.1/24], patch_port: l%d}]}\n", i, i, i, i, i, i)
	}
	s := bare(t, strings.Replace(byName, "routers:\n", routers, 1))
	s.handMade()
	s.vsctl("del-controller", "br-x")
	s.plain = true
	s.serve()
	s.logged("listening for switches")
	names, holds := hostile.Names(ports), hostile.Holds(others)
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	s.costs("50 claimed bridges", func() {
		for i := range claims {
			attack := hostile.Switch(fmt.Sprint("br-l", i), append([]string{fmt.Sprint("l", i)}, names...), holds)
			all.Go(func() {
				for t.Context().Err() == nil { // on a slow machine the first attempts may miss the handshake deadline
					if nc, err := s.Dial(t.Context(), "tcp", "127.0.0.1:6653"); err == nil {
						end := context.AfterFunc(t.Context(), func() { nc.Close() })
						attack(nc)
						end()
						nc.Close()
					}
				}
			})
			s.eventually("the daemon to read the claimed bridge's data", func() error { // one claim at a time; parallel claims would all miss their deadlines
				if metric := fmt.Sprintf("ofdvr_router_connected{router=\"l%d\"}", i); s.scrape()[metric] != 1 {
					return fmt.Errorf("%s is not 1", metric)
				}
				return nil
			})
		}
		lab.Eventually(t, 2*time.Minute, "all claims to be read", func() error {
			for _, r := range s.status().Routers {
				if r.ID != "r1" && (!r.Connected || r.FlowsForeign == 0) {
					return fmt.Errorf("%+v", r)
				}
			}
			return nil
		})
		s.vsctl("set-controller", "br-x", "tcp:127.0.0.1:6653", "--", "set", "controller", "br-x", "max_backoff=1000")
		s.eventually("the real bridge to be programmed", func() error {
			for _, r := range s.status().Routers {
				if r.ID == "r1" && !r.Settled {
					return fmt.Errorf("%+v", r)
				}
			}
			return nil
		})
	})
}
