package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A courier sends packets between machines. Each machine sends one every few milliseconds, but not while
// many are on their way: the queues on the path hold some hundred packets, and a machine that runs many
// tests may leave an Open vSwitch without a processor for half a second.
type courier struct {
	t     *testing.T
	flows []*flowing
	stop  chan struct{}
	ended sync.WaitGroup

	mu   sync.Mutex
	sent int // of each flow
}

// A flowing has the packets in one direction between two machines.
type flowing struct {
	name string
	conn net.PacketConn
	to   net.Addr
	got  []bool // by sequence number

	newest int       // the highest number that has arrived
	heard  time.Time // when one arrived last
}

const (
	underWay = 8               // packets of a flow
	deadFor  = 2 * time.Second // a flow that no packet has passed for so long counts as dead: nothing waits for it
)

// behind reports whether many packets are on their way. The caller holds s.mu.
func (s *courier) behind() bool {
	return slices.ContainsFunc(s.flows, func(fl *flowing) bool {
		return s.sent-1-fl.newest > underWay && time.Since(fl.heard) < deadFor
	})
}

// courier starts a courier for pairs of the form "from>to", with both IP versions. It ends with the
// test at the latest.
func (f *fleet) courier(t *testing.T, pairs ...string) *courier {
	t.Helper()
	s := &courier{t: t, stop: make(chan struct{})}
	for _, pair := range pairs {
		from, to, _ := strings.Cut(pair, ">")
		for i, udp := range []string{"udp4", "udp6"} {
			var ends [2]net.PacketConn
			for k, m := range []*lab.Machine{f.machines[from], f.machines[to]} {
				conn, err := m.ListenPacket(t.Context(), udp, net.JoinHostPort(address(m.MachineConfig, i), "0"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				ends[k] = conn
			}
			fl := &flowing{name: fmt.Sprintf("%s (%s)", pair, udp), conn: ends[0], to: ends[1].LocalAddr(), newest: -1, heard: time.Now()}
			s.flows = append(s.flows, fl)
			go s.receive(fl, ends[1])
		}
	}
	s.ended.Go(s.send)
	t.Cleanup(s.halt)
	return s
}

func (s *courier) send() {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		if s.behind() {
			s.mu.Unlock()
			continue
		}
		for _, fl := range s.flows {
			fl.got = append(fl.got, false)
		}
		number := s.sent
		s.sent++
		s.mu.Unlock()
		for _, fl := range s.flows {
			fl.conn.WriteTo(binary.BigEndian.AppendUint32(nil, uint32(number)), fl.to) // ignore the error: a packet that cannot be sent counts as lost
		}
	}
}

// receive ends when the socket is closed.
func (s *courier) receive(fl *flowing, conn net.PacketConn) {
	b := make([]byte, 16)
	for {
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		if n == 4 {
			number := int(binary.BigEndian.Uint32(b))
			s.mu.Lock()
			fl.got[number] = true
			fl.newest, fl.heard = max(fl.newest, number), time.Now()
			s.mu.Unlock()
		}
	}
}

// begins logs the number of the next packet of each flow.
func (s *courier) begins(what string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Logf("packet %d: %s", s.sent, what)
}

// passes returns when the given number of packets has been sent in each direction, and the last of
// these has arrived.
func (s *courier) passes(packets int) {
	s.t.Helper()
	s.mu.Lock()
	until := s.sent + packets
	s.mu.Unlock()
	lab.Eventually(s.t, patience, "the packets to pass", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.sent < until {
			return fmt.Errorf("%d of %d are sent", s.sent, until)
		}
		for _, fl := range s.flows {
			if !fl.got[until-1] && !fl.got[len(fl.got)-1] {
				return errors.New(fl.name + " does not pass")
			}
		}
		return nil
	})
}

func (s *courier) halt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
}

// end stops the courier. It fails the test if a packet was lost.
func (s *courier) end() {
	s.t.Helper()
	s.halt()
	s.ended.Wait()
	lab.Eventually(s.t, 10*time.Second, "all packets to arrive", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		var errs []error
		for _, fl := range s.flows {
			var lost []int
			for number, got := range fl.got {
				if !got {
					lost = append(lost, number)
				}
			}
			if len(lost) > 0 {
				errs = append(errs, fmt.Errorf("%s: %d of %d are lost, from number %d to %d", fl.name, len(lost), len(fl.got), lost[0], lost[len(lost)-1]))
			}
		}
		return errors.Join(errs...)
	})
}

// When a host dies and returns, machines on other hosts lose no packet.
func TestDeathOfAnotherHost(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 3, blueAndGreen, strings.Fields("b11 g11 b21 g21 b31 g31"))
	h3 := f.hosts[2]
	for _, from := range []string{"b31", "g31"} { // machines on other hosts have sent to the host
		ping(t, f.machines["b11"], address(f.machines[from].MachineConfig, 0), lab.PingOptions{})
	}
	s := f.courier(t, "b11>g11", "b11>b21", "b11>g21", "g21>b11", "g21>g11")
	s.passes(50)
	for _, fault := range []struct {
		name string
		do   func() error
	}{
		{"the link is down", func() error { return f.links[2].Down(t.Context()) }},
		{"the link is up", func() error { return f.links[2].Up(t.Context()) }},
		{"the daemon is killed", func() error { h3.daemon.Kill(); return nil }},
		{"the switch is killed", func() error { h3.Switch().Kill(); return nil }},
		{"the database is killed", func() error { h3.Database().Kill(); return nil }},
		{"the database is started", func() error { return h3.StartDatabase(t.Context()) }},
		{"the switch is started", func() error { return h3.StartSwitch(t.Context()) }},
		{"the daemon is started", func() error { h3.serve(h3.flags...); h3.settle(); return nil }},
	} {
		if err := fault.do(); err != nil {
			t.Fatalf("%s: %v", fault.name, err)
		}
		s.passes(50)
	}
	s.end()
	for _, to := range []string{"b31", "g31"} {
		ping(t, f.machines["b11"], address(f.machines[to].MachineConfig, 0), lab.PingOptions{})
	}
}

// Packets reach a machine on the host where it is plugged in, even if the file names another host.
func TestMachineMoves(t *testing.T) {
	t.Parallel()
	others := strings.Fields("b11 b21 g21 b31 g31")
	if lab.Datapath() == lab.Kernel { // on an emulated processor, which is slow
		others = strings.Fields("b11 g21 b31")
	}
	f := readyFleet(t, 3, blueAndGreen, append([]string{"b12"}, others...))
	f.moves = true
	names := func(host string) string {
		return fleetTopology(3, blueAndGreen, append([]string{"b12@" + host}, others...))
	}
	// works checks that packets pass between the machine and others, and only between the right
	// hosts.
	works := func(host int) {
		t.Helper()
		var pairs [][2]string
		for _, other := range others {
			pairs = append(pairs, [2]string{other, "b12"}, [2]string{"b12", other})
		}
		for _, pair := range pairs {
			for i := range 2 {
				lab.Eventually(t, patience, fmt.Sprintf("packets from %s to %s on h%d", pair[0], pair[1], host), func() error {
					_, err := f.machines[pair[0]].Ping(t.Context(), address(f.machines[pair[1]].MachineConfig, i), lab.PingOptions{Wait: shortly})
					return err
				})
			}
		}
		fromNamespace := func(s *site) error {
			_, err := s.RunIn(t.Context(), netns, "ping", "-n", "-c", "1", "-W", "0.3", address(f.machines["b12"].MachineConfig, 0))
			return err
		}
		lab.Eventually(t, patience, "a reply to the namespace of the machine's host", func() error { return fromNamespace(f.hosts[host-1]) })
		for i, s := range f.hosts { // those of other hosts only learn where it is: it replies to the gateway of its own
			if i != host-1 {
				fromNamespace(s)
			}
		}
		seen := f.watch(t, isProbe)
		defer seen.close()
		arrives := make(map[int]string)
		for n, pair := range slices.Concat(pairs, pairs) { // when the second packet has arrived, copies of the first have arrived too
			f.send(t, pair[0], pair[1], 0, n)
			arrives[n] = pair[1]
			seen.arrive(arrives)
		}
		all := seen.sightings()
		for n, pair := range pairs {
			want := []string{pair[0] + " sent", pair[1] + " got"}
			if a, b := f.number(f.machines[pair[0]].Host), f.number(f.machines[pair[1]].Host); a != b {
				want = append(want, fmt.Sprintf("h%d sent", a), fmt.Sprintf("h%d got", b))
			}
			slices.Sort(want)
			if got := places(all[n]); !slices.Equal(got, want) {
				t.Errorf("a packet from %s to %s, when b12 was on h%d, was seen at %v, want %v", pair[0], pair[1], host, got, want)
			}
		}
	}
	move := func(host int) {
		t.Helper()
		f.unplug("b12")
		f.plugAt(host, "b12")
		f.settle()
	}
	works(1)
	move(2) // the file still names h1
	works(2)
	f.reload(names("h3")) // the machine stays on its host
	works(2)
	move(3)
	works(3)
	f.reload(names("")) // it names none
	works(3)
	move(1)
	works(1)
}

// If a machine is plugged in on two hosts, packets go to the host where it was plugged in last, also
// after restarts of the daemons.
// Both hosts report the conflict.
func TestMachineOnTwoHosts(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 3, blueAndGreen, strings.Fields("g11 b12 b21 g31"))
	f.moves = true
	first := f.machines["b12"]
	f.plugAt(2, "b12")
	const problem = "the machine of port b12 is plugged in on hosts h2 and h1"
	say := func(want bool) {
		t.Helper()
		for _, s := range f.hosts[:2] {
			s.eventually("the status to change", func() error {
				st, err := s.readStatus()
				if err == nil && strings.Contains(strings.Join(st.Problems, "\n"), problem) != want {
					err = fmt.Errorf("the problems are %q", st.Problems)
				}
				return err
			})
		}
	}
	say(true)
	const wins = problem + ": h2, where it was plugged in last, has it"
	h2 := f.hosts[1]
	h2.eventually("the database to keep the turn", func() error {
		return lacks(h2.vsctl("get", "port", "b12", "external_ids"), `ofdvr-turn="`)
	})
	for _, s := range []*site{h2, f.hosts[0], h2} { // after restarts too
		s.daemon.Kill()
		s.serve(s.flags...)
		s.settle()
		for _, s := range f.hosts[:2] {
			s.reportsProblem(wins)
		}
	}
	f.speak()
	at := record(t, first, isProbe)
	seen := f.watch(t, isProbe)
	for n, from := range []string{"g31", "b21", "g11"} {
		lab.Eventually(t, patience, "packets from "+from+" to arrive on h2", func() error {
			_, err := f.machines[from].Ping(t.Context(), f.machines["b12"].IP(), lab.PingOptions{Wait: shortly})
			return err
		})
		f.send(t, from, "b12", 0, n)
		seen.arrive(map[int]string{n: "b12"})
	}
	if err := first.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	say(false)
	if n := at.Count(isProbe); n > 0 {
		t.Errorf("the other machine got %d packets", n)
	}
}
