package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A second daemon reports the first, and exits.
func TestSecondDaemon(t *testing.T) {
	t.Parallel()
	s, vm1, _ := pair(t)
	want := s.held(bridge)
	// It has its own addresses, so only the lock stops it.
	out, err := s.Ofdvr(t.Context(), "serve", "--topology", s.file, "--api", "unix:/run/ofdvr/second.sock",
		"--metrics", "", "--openflow", "tcp:127.0.0.1:16653")
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d", s.daemon.Pid)) || !strings.Contains(err.Error(), "--standby") {
		t.Errorf("the second daemon returned %v\n%s", err, out)
	}
	s.holds(bridge, want)
	s.settle()
	pingTTL(t, vm1, "10.0.2.10", 63)
}

// standby starts a daemon beside the leader, with the same configuration, and returns when it
// has read the bridge's flows.
func (s *site) standby() *lab.Process {
	s.t.Helper()
	args := append([]string{"serve", "--standby"}, s.flags...)
	if s.file != "" {
		args = append(args, "--topology", s.file)
	}
	d := lab.Serve(s.t, s.Host, args...)
	s.eventually("the second daemon to stand by", func() error {
		out, err := s.Ofdvr(s.t.Context(), "status", "--api", "unix:/run/ofdvr/standby.sock", "-o", "json")
		if err != nil {
			return err
		}
		var st status
		if err := json.Unmarshal([]byte(out), &st); err != nil {
			return err
		}
		r := st.Routers[0]
		read := r.FlowsInstalled == r.FlowsWanted
		if strings.Contains(strings.Join(s.flags, " "), "--host") && lab.OnKernel(s.t, "a daemon that stands by has not probed what the switch lacks: it wants more flows than the leader, for neighbour discovery") {
			read = true
		}
		if !st.Standby || st.Settled || r.State != "standby" || !read || r.FlowsInstalled == 0 {
			return errors.New(out)
		}
		return nil
	})
	return d
}

// A standby daemon takes over when the leader is killed: no packet is lost, and no flow is
// touched. It becomes the bridge's master, and routes by the latest topology.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	s, vm1, _ := pair(t)
	s.aged(bridge)
	before := s.flows(bridge)
	second := s.standby()
	traffic := startStream(t, vm1, "10.0.2.10")
	for range 2 { // in the second round, the first daemon takes over again
		s.daemon.Kill()
		s.daemon = second
		s.settle()
		s.eventually("the bridge to connect to the standby", func() error {
			if out := s.vsctl("get", "controller", bridge, "is_connected"); out != "true" {
				return errors.New(out)
			}
			return nil
		})
		s.settle()
		if err := untouched(before, s.flows(bridge), nil); err != nil {
			t.Error(err)
		}
		for _, op := range []string{"add", "modify", "delete"} {
			s.metric(0, fmt.Sprintf(`ofdvr_flow_mods_total{operation=%q}`, op))
		}
		s.metric(0, "ofdvr_standby")
		if role := s.vsctl("get", "controller", bridge, "role"); role != "master" {
			t.Errorf("the role is %s", role)
		}
		second = s.standby()
	}
	traffic.mustBeWhole()
	s.reload(twoNetworks + "  - {id: vm3, network: green, mac: \"02:00:00:00:02:11\", addresses: [10.0.2.11]}\n")
}

// Counters keep their values when flows are added again and when the daemon is
// killed.
func TestCountersOutliveTheDaemon(t *testing.T) {
	t.Parallel()
	s, vm1, _ := pair(t)
	routed := counter("routed_packets", "r1-green")
	counted := func(want float64) {
		t.Helper()
		s.eventually("the counter", func() error {
			got := s.scrape()[routed]
			if got > want {
				t.Fatalf("counted %v packets, want %v", got, want)
			}
			if got < want {
				return fmt.Errorf("%v instead of %v", got, want)
			}
			return nil
		})
	}
	restart := func(least float64) {
		t.Helper()
		s.daemon.Kill()
		s.serve()
		s.settle()
		if got := s.scrape()[routed]; got < least {
			t.Errorf("the counter is %v after a restart, and was %v before", got, least)
		}
	}
	anew := func() {
		t.Helper()
		s.sh("", "ovs-ofctl -O OpenFlow13 del-flows rb-r1 table=3")
		s.eventually("the flows to be repaired", func() error {
			if n := len(s.flows(bridge).find("table=3,")); n != 5 {
				return fmt.Errorf("%d flows", n)
			}
			return nil
		})
	}
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Count: 5})
	counted(5)
	anew()
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Count: 3})
	counted(8)
	restart(8)
	counted(8)
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Count: 4})
	counted(12)
	s.daemon.Kill()
	s.sh("", "ovs-ofctl -O OpenFlow13 del-flows rb-r1 table=3") // while no daemon reads the counters
	restart(12)
}
