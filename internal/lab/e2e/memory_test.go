package e2e

import (
	"net"
	"sync"
	"testing"

	"github.com/ofdvr/ofdvr/internal/lab/hostile"
	"github.com/ofdvr/ofdvr/ofproto"
)

// peakMemory is how much memory Go's runtime has had at most. (The race detector needs memory of
// its own besides.)
const peakMemory = "go_memstats_sys_bytes"

// affordable is what peers may cost, whatever they send, in all.
const affordable = 150 << 20

// costs fails the test if attack has the daemon need more memory than peers may cost. The true
// switch is connected afterwards, as before.
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

// Peers that are not identified and describe ports without end, as many as there may be at a
// time, cost little, and keep no switch out.
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
		for range 1500 { // that begin a long message
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

// A peer that claims to be a bridge and tells of a gigabyte of flows costs little. The true bridge
// is programmed when it comes.
func TestLiarCostsLittle(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	s.vsctl("del-controller", "br-x")
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
