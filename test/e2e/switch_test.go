package e2e

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A flow has the switch's data about a flow of a bridge.
type flow struct {
	cookie   string
	packets  int
	duration time.Duration // since the flow was added
}

// A flowTable holds the flows of a bridge, by table, priority, match and actions in the syntax
// of ovs-ofctl.
type flowTable struct {
	asked, answered time.Time
	flows           map[string]flow
}

var flowLine = regexp.MustCompile(`cookie=(0x[0-9a-f]+), duration=([0-9.]+)s, (table=[0-9]+), n_packets=([0-9]+), n_bytes=[0-9]+, (?:[a-z_]+_age=[0-9]+, )*(.*actions=.*)$`)

func (s *site) flows(bridge string) flowTable {
	s.t.Helper()
	t := flowTable{asked: time.Now(), flows: make(map[string]flow)}
	out, err := s.Ofctl(s.t.Context(), "--names", "dump-flows", bridge)
	if err != nil {
		s.t.Fatal(err)
	}
	t.answered = time.Now()
	for line := range strings.Lines(out) {
		m := flowLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			s.t.Fatalf("cannot parse flow %q", line)
		}
		duration, err := time.ParseDuration(m[2] + "s")
		if err != nil {
			s.t.Fatal(err)
		}
		packets, err := strconv.Atoi(m[4])
		if err != nil {
			s.t.Fatal(err)
		}
		t.flows[m[3]+","+m[5]] = flow{m[1], packets, duration}
	}
	return t
}

// find returns the flows that contain all of the words.
func (t flowTable) find(words ...string) []string {
	var found []string
	for key := range t.flows {
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(key, w) }) {
			found = append(found, key)
		}
	}
	slices.Sort(found)
	return found
}

// untouched compares two dumps of flows. It checks the flows of the first dump for which keep is
// true, or all if keep is nil. It returns an error if such a flow is gone, has a shorter duration
// (it was added again), or has fewer packets (it was replaced).
func untouched(before, after flowTable, keep func(key string) bool) error {
	elapsed := after.asked.Sub(before.answered)
	for key, b := range before.flows {
		if keep != nil && !keep(key) {
			continue
		}
		a, ok := after.flows[key]
		switch {
		case !ok && ofNeighbour(key):
		case !ok:
			return fmt.Errorf("flow is gone: %s", key)
		case a.cookie != b.cookie:
			return fmt.Errorf("the cookie changed from %s to %s: %s", b.cookie, a.cookie, key)
		case a.packets < b.packets && !ofNeighbour(key):
			return fmt.Errorf("the packet counter fell from %d to %d: %s", b.packets, a.packets, key)
		case a.duration < b.duration+elapsed-50*time.Millisecond && !ofNeighbour(key): // tolerance, because the switch updates its clock only now and then
			return fmt.Errorf("the duration changed from %v to %v within %v: %s", b.duration, a.duration, elapsed, key)
		}
	}
	return nil
}

// ofNeighbour reports whether a flow is for a neighbour that the namespace has resolved. The
// kernel's timers add and remove such flows.
func ofNeighbour(key string) bool { return strings.HasPrefix(key, "table=7,priority=20,") }

// mustBeUntouched fails the test if untouched returns an error, or if a flow is new.
func mustBeUntouched(t *testing.T, before, after flowTable) {
	t.Helper()
	if err := untouched(before, after, nil); err != nil {
		t.Error(err)
	}
	for key := range after.flows {
		if _, ok := before.flows[key]; !ok && !ofNeighbour(key) {
			t.Errorf("new flow: %s", key)
		}
	}
}

// counted waits until a flow with all of the words has counted n packets or more. The switch
// updates its counters about twice a second.
func (s *site) counted(bridge string, n int, words ...string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d packets at %v", n, words), func() error {
		t := s.flows(bridge)
		for _, key := range t.find(words...) {
			if t.flows[key].packets >= n {
				return nil
			}
		}
		return fmt.Errorf("flows %v have fewer", t.find(words...))
	})
}

// aged waits until all flows of a bridge are older than the tolerance of untouched.
func (s *site) aged(bridge string) {
	s.t.Helper()
	s.eventually("the flows to grow older", func() error {
		for key, f := range s.flows(bridge).flows {
			if f.duration < 200*time.Millisecond {
				return fmt.Errorf("%v old: %s", f.duration, key)
			}
		}
		return nil
	})
}

// configuration lists the columns of Open vSwitch's database that hold configuration, not
// state.
var configuration = []struct{ table, columns string }{
	{"Open_vSwitch", "_uuid bridges manager_options ssl external_ids other_config"},
	{"Bridge", "_uuid name ports controller datapath_type fail_mode protocols other_config external_ids flow_tables mirrors netflow sflow stp_enable rstp_enable mcast_snooping_enable flood_vlans"},
	{"Port", "_uuid name interfaces tag trunks vlan_mode qos mac bond_mode fake_bridge other_config external_ids"},
	{"Interface", "_uuid name type options mac mtu_request ofport_request ingress_policing_rate external_ids other_config lldp"},
	{"Controller", "_uuid target max_backoff inactivity_probe connection_mode external_ids other_config"},
}

// database returns the configuration in Open vSwitch's database.
func (s *site) database() string {
	s.t.Helper()
	var b strings.Builder
	for _, c := range configuration {
		b.WriteString(s.sh("", "ovsdb-client --no-headings dump unix:/run/openvswitch/db.sock Open_vSwitch "+c.table+" "+c.columns))
	}
	return b.String()
}

// transactions returns the transactions that have changed the database, each with its changes. It
// leaves out changes of statistics and state by ovs-vswitchd.
func (s *site) transactions() []string {
	s.t.Helper()
	log := s.sh("", "ovsdb-tool -mm show-log "+filepath.Join(s.Dir(), "conf.db"))
	var records []string
	for _, r := range regexp.MustCompile(`(?m)^record [0-9]+:`).Split(log, -1)[1:] {
		records = append(records, strings.TrimSpace(r))
	}
	return records
}

// diff returns the lines that are in only one of two texts.
func diff(before, after string) string {
	lines := func(s string) map[string]bool {
		m := make(map[string]bool)
		for line := range strings.Lines(s) {
			m[line] = true
		}
		return m
	}
	b, a := lines(before), lines(after)
	var out strings.Builder
	for line := range strings.Lines(before) {
		if !a[line] {
			out.WriteString("-" + line)
		}
	}
	for line := range strings.Lines(after) {
		if !b[line] {
			out.WriteString("+" + line)
		}
	}
	return out.String()
}
