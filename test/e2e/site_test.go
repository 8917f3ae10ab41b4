// Package e2e tests ofdvr from the outside: the real program on a real Open vSwitch, with machines
// that send real packets. Each test checks one property that users rely on. It has its own host.
//
// The tests do not sleep or retry blindly: they wait for conditions. To check that a packet was not
// sent, a test waits for a later packet on the same path.
package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// TestMain makes one more test run at a time than there are processors, because most of the time tests
// wait. The flag -parallel sets another number.
func TestMain(m *testing.M) {
	if os.Getenv("OFDVR_GUEST") != "emulated" {
		flag.Set("test.parallel", strconv.Itoa(1+runtime.GOMAXPROCS(0)))
	}
	lab.Main(m)
}

// patience is the time limit of each wait of a test. No test passes because of it: it only ends waits
// for what never comes. With emulated processors, everything takes several times as long.
var patience = func() time.Duration {
	if os.Getenv("OFDVR_GUEST") == "emulated" {
		return 5 * time.Minute
	}
	return time.Minute
}()

// twoNetworks is the topology of the README: vm1 on blue, vm2 on green, and a
// router between them.
const twoNetworks = `
networks:
  - {id: blue, vlan: 1}
  - {id: green, vlan: 2}
routers:
  - id: r1
    interfaces:
      - {id: r1-blue, network: blue, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24]}
      - {id: r1-green, network: green, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24]}
ports:
  - {id: vm1, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10]}
  - {id: vm2, network: green, mac: "02:00:00:00:02:10", addresses: [10.0.2.10]}
`

// Names that ofdvr derives from twoNetworks.
const (
	bridge    = "rb-r1"
	netns     = "qrouter-r1"
	bluePatch = "pr-r1-blue" // ports on the routing bridge
	bluePeer  = "pi-r1-blue" // on br-int
	blueTap   = "qr-r1-blue"
	greenTap  = "qr-r1-green"
	blueMAC   = "02:00:00:00:01:01"
	greenMAC  = "02:00:00:00:02:01"
)

// A site is a host with an integration bridge, a topology file and a daemon.
type site struct {
	*lab.Host
	t      *testing.T
	file   string   // the topology file; "" if there is none
	flags  []string // flags of ofdvr serve, without --topology
	plain  bool     // the daemon has no race detector, so that its memory can be measured
	daemon *lab.Process
}

// bare returns a site without a daemon.
func bare(t *testing.T, topology string) *site {
	t.Helper()
	s := &site{Host: lab.Boot(t), t: t}
	s.write(topology)
	return s
}

// ready returns a site with a daemon that has applied the topology.
func ready(t *testing.T, topology string, flags ...string) *site {
	t.Helper()
	s := bare(t, topology)
	s.serve(flags...)
	s.settle()
	return s
}

// measured is like ready, and the daemon's memory can be measured.
func measured(t *testing.T, topology string, flags ...string) *site {
	t.Helper()
	s := bare(t, topology)
	s.plain = true
	s.serve(flags...)
	s.settle()
	return s
}

// pair returns a site with twoNetworks and its two machines.
func pair(t *testing.T) (s *site, vm1, vm2 *lab.Machine) {
	t.Helper()
	s = ready(t, twoNetworks)
	return s, s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
}

// write replaces the topology file.
func (s *site) write(topology string) {
	s.t.Helper()
	path, err := s.WriteFile("topology.yaml", topology)
	if err != nil {
		s.t.Fatal(err)
	}
	s.file = path
}

// serve starts the daemon and returns when it answers. When the test ends, the daemon's
// log must not have a panic or a data race.
func (s *site) serve(flags ...string) {
	s.t.Helper()
	s.flags = flags
	if s.file != "" {
		flags = append([]string{"--topology", s.file}, flags...)
	}
	start := s.StartDaemon
	if s.plain {
		start = s.StartPlainDaemon
	}
	d, err := start(append([]string{"serve"}, flags...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.daemon = d
	s.t.Cleanup(func() {
		for _, bad := range []string{"DATA RACE", "panic: ", "fatal error: "} {
			if strings.Contains(d.Log(), bad) {
				s.t.Errorf("the daemon's log has %q:\n%s", bad, d.Log())
			}
		}
	})
	s.eventually("the daemon to answer", func() error {
		conn, err := s.Dial(s.t.Context(), "unix", "/run/ofdvr/api.sock")
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// stop ends the daemon by SIGTERM.
func (s *site) stop() {
	s.t.Helper()
	if code, err := s.daemon.Stop(s.t.Context()); err != nil || code != 0 {
		s.t.Fatalf("the daemon exited with status %d, %v", code, err)
	}
}

// settle waits until the switches have confirmed all flows.
func (s *site) settle() {
	s.t.Helper()
	s.eventually("the switches to confirm everything", func() error {
		st, err := s.readStatus()
		if err == nil && !st.Settled {
			err = fmt.Errorf("the status is %+v", st)
		}
		return err
	})
}

// reload replaces the topology, signals the daemon, and waits until the new topology is
// applied.
func (s *site) reload(topology string) {
	s.t.Helper()
	s.write(topology)
	before := s.status().Intent.File.Loaded
	s.signal(syscall.SIGHUP)
	s.eventually("the topology to be loaded", func() error {
		if !s.status().Intent.File.Loaded.After(before) {
			return errors.New("the status still has the old revision")
		}
		return nil
	})
	s.settle()
}

func (s *site) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.daemon.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// status is the daemon's status, as in the API and in ofdvr status -o json.
type status struct {
	Settled  bool
	Standby  bool
	Problems []string
	Intent   struct {
		Revision                 uint64
		Complete                 bool
		Networks, Routers, Ports int
		File, Store              *struct {
			Name                     string
			Loaded                   time.Time
			Networks, Routers, Ports int
			Warnings                 []string
		}
	}
	OVSDB *struct {
		Endpoint  string
		Connected bool
	}
	Fabric *struct{ Settled bool } // the fabric bridge
	Hosts  []struct {
		ID       string
		Alive    bool
		Machines int
	}
	Routers []struct {
		ID, Bridge         string
		Managed, Connected bool
		DatapathID         string `json:"datapath_id"`
		FlowsWanted        int    `json:"flows_wanted"`
		FlowsInstalled     int    `json:"flows_installed"`
		FlowsRefused       int    `json:"flows_refused"`
		FlowsForeign       int    `json:"flows_foreign"`
		State              string
		Settled            bool
		Problems           []string
	}
}

func (s *site) status() status {
	s.t.Helper()
	st, err := s.readStatus()
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// readStatus reads the status from the API. It does not run ofdvr status, which needs ten times the
// CPU time, because some tests read the status hundreds of times.
func (s *site) readStatus() (st status, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ofdvr/v1/status", nil)
	if err != nil {
		return st, err
	}
	resp, err := s.HTTPUnix(apiSocket).Do(req)
	if err != nil {
		return st, fmt.Errorf("read the status: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err == nil {
		err = json.Unmarshal(text, &st)
	}
	if err != nil {
		return st, fmt.Errorf("read the status: %w: %s", err, text)
	}
	return st, nil
}

func (s *site) eventually(what string, f func() error) {
	s.t.Helper()
	lab.Eventually(s.t, patience, what, f)
}

// logged waits until the daemon has logged text.
func (s *site) logged(text string) {
	s.t.Helper()
	s.eventually("the daemon to log it", func() error {
		if !strings.Contains(s.daemon.Log(), text) {
			return fmt.Errorf("no line with %q", text)
		}
		return nil
	})
}

// vsctl runs ovs-vsctl and returns its output, without the last newline.
func (s *site) vsctl(args ...string) string {
	s.t.Helper()
	out, err := s.Vsctl(s.t.Context(), args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSuffix(out, "\n")
}

// sh runs a shell script in a network namespace of the host. "" is the host's own namespace.
func (s *site) sh(netns, script string) string {
	s.t.Helper()
	out, err := s.RunIn(s.t.Context(), netns, "sh", "-ec", script)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// vm describes the machine with address 10.0.N.H: it is in VLAN N, its MAC address ends
// in N:H, and its gateway is 10.0.N.1.
func vm(name, addr string) lab.MachineConfig {
	a := netip.MustParseAddr(addr).As4()
	return lab.MachineConfig{
		Name:      name,
		VLAN:      uint16(a[2]),
		MAC:       fmt.Sprintf("02:00:00:00:%02d:%02d", a[2], a[3]),
		Addresses: []string{addr + "/24"},
		Gateways:  []string{fmt.Sprintf("10.0.%d.1", a[2])},
	}
}

// plug adds a machine. Without an IPv6 address, IPv6 is off on the machine, so that a test knows
// all packets that it sends. The machine ignores redirects.
func (s *site) plug(c lab.MachineConfig) *lab.Machine {
	s.t.Helper()
	m := lab.Plug(s.t, s.Host, c)
	script := "echo 0 >/proc/sys/net/ipv4/conf/all/accept_redirects; echo 0 >/proc/sys/net/ipv4/conf/eth0/accept_redirects"
	if !strings.Contains(strings.Join(c.Addresses, " "), ":") {
		script += "; echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"
	}
	s.sh(m.Name, script)
	return m
}

// ping pings as described by o, by default once. It fails the test unless all replies come.
func ping(t *testing.T, from *lab.Machine, to string, o lab.PingOptions) lab.PingResult {
	t.Helper()
	if o.Wait == 0 {
		o.Wait = patience
	}
	r, err := from.Ping(t.Context(), to, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Received != r.Sent {
		t.Fatalf("%s pinged %s: got %d of %d replies\n%s", from.Name, to, r.Received, r.Sent, r.Output)
	}
	return r
}

// pingTTL fails the test unless ping gets a reply with the given TTL.
func pingTTL(t *testing.T, from *lab.Machine, to string, want int) {
	t.Helper()
	for _, r := range ping(t, from, to, lab.PingOptions{}).Replies {
		if r.TTL != want || r.From != to {
			t.Errorf("%s pinged %s: reply from %s with TTL %d, want %d", from.Name, to, r.From, r.TTL, want)
		}
	}
}

// shortly is the time to wait for an event that must not happen. Such an event would happen within
// a millisecond.
const shortly = 300 * time.Millisecond

// unreachable fails the test if ping gets a reply.
func unreachable(t *testing.T, from *lab.Machine, to string) lab.PingResult {
	t.Helper()
	r, err := from.Ping(t.Context(), to, lab.PingOptions{Wait: shortly})
	if !errors.Is(err, lab.ErrNoReply) {
		t.Fatalf("%s pinged %s: %v, want no reply\n%s", from.Name, to, err, r.Output)
	}
	return r
}

// within returns a context for one step of a test.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
