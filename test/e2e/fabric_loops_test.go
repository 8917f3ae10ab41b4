package e2e

import (
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A flood sends probes from machines in turn, 200 a second. It goes on while the test changes the
// hosts.
type flood struct {
	t     *testing.T
	kinds []flooding
	stop  chan struct{}
	ended sync.WaitGroup

	mu    sync.Mutex
	state string    // of the hosts
	sent  []flooded // by number
	err   error     // why it ended early
}

// A flooding is one kind of packet of a flood.
type flooding struct {
	from *lab.Machine
	raw  io.Writer
	datagram
	most int // number of times that it may leave the sender's host
}

// A flooded is a packet that was sent.
type flooded struct {
	kind  *flooding
	state string
}

// flood starts a flood. It ends with the test at the latest.
func (f *fleet) flood(t *testing.T, kinds []flooding) *flood {
	t.Helper()
	s := &flood{t: t, kinds: kinds, stop: make(chan struct{})}
	s.ended.Go(s.send)
	t.Cleanup(s.halt)
	return s
}

func (s *flood) send() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for number := 0; ; number++ {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		kind := &s.kinds[number%len(s.kinds)]
		frame, err := kind.frame(kind.from, number)
		s.mu.Lock()
		s.sent = append(s.sent, flooded{kind, s.state})
		s.mu.Unlock()
		if err == nil {
			_, err = kind.raw.Write(frame)
		}
		if err != nil {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			return
		}
	}
}

// during sets the text about the state of the hosts while the next packets are sent.
func (s *flood) during(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// goesOn returns when each kind of packet has been sent the given number of times.
func (s *flood) goesOn(times int) {
	s.t.Helper()
	until := -1
	lab.Eventually(s.t, patience, "the flood to go on", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if until < 0 {
			until = len(s.sent) + times*len(s.kinds)
		}
		if s.err == nil && len(s.sent) < until {
			return fmt.Errorf("%d of %d packets are sent", len(s.sent), until)
		}
		return s.err
	})
}

func (s *flood) halt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
}

// end ends the flood and returns the packets by number.
func (s *flood) end() []flooded {
	s.t.Helper()
	s.halt()
	s.ended.Wait()
	if s.err != nil {
		s.t.Fatal(s.err)
	}
	return s.sent
}

// The files of the hosts disagree about the place of a machine, in all combinations, during a flood.
// Even then, and while the hosts read these files, a host never passes on a packet of another host.
// Each packet comes to the underlay from its sender's host only, once for each receiving host. The
// test is with and without the machine plugged in.
func TestDisagreeingHosts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, blueAndGreen)
	f.disagree(t, fleetTopology, f.plug, 2)
}

// The same if uplinks connect the hosts. There a broadcast leaves its host once, and the switch
// copies it.
func TestDisagreeingHostsWithUplinks(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, blueAndGreen)
	f.tagged = true
	f.uplinks()
	f.disagree(t, uplinkTopology, f.plugTagged, 1)
}

// disagree floods a fleet of three hosts whose files disagree. A broadcast leaves its host as often
// as copies says.
func (f *fleet) disagree(t *testing.T, topology func(hosts int, networks []fleetNetwork, machines []string) string, plug func(string) *lab.Machine, copies int) {
	others := strings.Fields("b11 g11 b21 g21 b31 g31")
	believes := func(host int) string {
		return topology(3, blueAndGreen, append([]string{fmt.Sprintf("b19@h%d", host)}, others...))
	}
	f.serve(believes(1))
	for _, name := range others {
		plug(name)
	}
	f.settle()
	for _, plugged := range []bool{false, true} {
		if plugged {
			plug("b19")
			f.settle()
		}
		seen := f.watch(t, isProbe)
		s := f.flood(t, f.astray(copies))
		for combination := range 27 {
			h1, h2, h3 := combination%3+1, combination/3%3+1, combination/9+1
			s.during(fmt.Sprintf("the hosts believed that the machine was on h%d, h%d and h%d, or began to; plugged in on h1: %v", h1, h2, h3, plugged))
			f.reload(believes(h1), believes(h2), believes(h3))
			s.goesOn(3)
		}
		sent := s.end()
		arrives := make(map[int]string)
		for _, from := range others { // later packets on the same paths
			for _, to := range others {
				if from[1] != to[1] {
					number := len(sent) + len(arrives)
					arrives[number] = to
					f.send(t, from, to, 0, number)
				}
			}
		}
		seen.arrive(arrives)
		crossed := 0
		for n, all := range seen.sightings() {
			if n >= len(sent) {
				continue
			}
			p := sent[n]
			crossed += checkPassedOnce(t, all, p.kind.from.Name, p.kind.most)
			if t.Failed() {
				t.Fatalf("%s; the packet had the destination %s", p.state, p.kind.eth)
			}
		}
		t.Logf("%d packets, %d crossed the underlay; plugged in: %v", len(sent), crossed, plugged)
		if crossed < len(sent)/4 {
			t.Errorf("only %d of %d packets have crossed the underlay", crossed, len(sent))
		}
		seen.close()
	}
}

// astray returns packets from each machine to the machine whose place is in doubt, and broadcasts.
func (f *fleet) astray(copies int) (kinds []flooding) {
	target := fleetMachine(0, "b19")
	for _, from := range f.names() {
		m, raw := f.machines[from], f.ends[from].raw
		d := datagram{eth: target.MAC, dst: address(target, 0), from: 7, to: 7}
		if from[0] == 'g' {
			d.eth = gatewayMAC(1)
		}
		if from == "b19" {
			d.eth, d.dst = f.machines["b21"].MAC, address(f.machines["b21"].MachineConfig, 0)
		}
		kinds = append(kinds, flooding{m, raw, d, 1}, flooding{m, raw, datagram{eth: broadcast, dst: "255.255.255.255", from: 7, to: 7}, copies})
	}
	return kinds
}

// checkPassedOnce fails the test if the sender's host sent the packet to the underlay more than most
// times, if another host sent it too, or if a host received it twice. It returns how often the
// sender's host sent it.
func checkPassedOnce(t *testing.T, seen []sighting, from string, most int) (crossed int) {
	t.Helper()
	count := make(map[string]int)
	for _, s := range seen {
		if s.where[0] == 'h' {
			count[s.where]++
		}
	}
	host := "h" + from[1:2] + " sent"
	if count[host] > most {
		t.Errorf("a packet from %s was sent %d times: %v", from, count[host], places(seen))
	}
	crossed = count[host]
	delete(count, host)
	for where, n := range maps.All(count) {
		if strings.HasSuffix(where, " sent") {
			t.Errorf("a packet from %s was passed on: %v", from, places(seen))
		} else if n > 1 {
			t.Errorf("a packet from %s arrived twice: %v", from, places(seen))
		}
	}
	return crossed
}
