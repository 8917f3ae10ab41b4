package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// settled returns nil if the switches have confirmed all flows.
func (s *site) settled() error {
	if code, body := s.get("/readyz"); code != http.StatusOK {
		return fmt.Errorf("%s%v", body, s.status())
	}
	return nil
}

// mended waits until a shell script succeeds on the host, all routers are settled, and vm1 and vm2
// reach each other and, through each tap, the kernel. It logs the time that this took. test/chaos
// checks the time.
func (s *site) mended(script string, vm1, vm2 *lab.Machine) {
	s.t.Helper()
	start := time.Now()
	lab.Eventually(s.t, patience, "the fault to be repaired: "+script, func() error {
		if _, err := s.RunIn(s.t.Context(), "", "sh", "-ec", script); err != nil {
			return err
		}
		if err := s.settled(); err != nil {
			return err
		}
		for _, way := range []struct {
			from *lab.Machine
			to   string
		}{{vm1, vm2.IP()}, {vm2, vm1.IP()}, {vm1, "10.0.1.1"}, {vm2, "10.0.2.1"}} {
			if _, err := way.from.Ping(s.t.Context(), way.to, lab.PingOptions{Wait: shortly}); err != nil {
				return err
			}
		}
		return nil
	})
	s.t.Logf("repaired after %v", time.Since(start).Round(time.Millisecond))
}

// works fails the test unless the switch routes between vm1 and vm2 of twoNetworks and answers ARP,
// and the kernel answers pings. (Unlike everything, it does not check ICMP errors, because the
// kernel sends only one a second.)
func (s *site) works(vm1, vm2 *lab.Machine) {
	s.t.Helper()
	for _, m := range []*lab.Machine{vm1, vm2} {
		s.sh(m.Name, "ip neigh flush dev eth0")
	}
	pingTTL(s.t, vm1, vm2.IP(), 63)
	pingTTL(s.t, vm2, vm1.IP(), 63)
	pingTTL(s.t, vm1, "10.0.1.1", 64)
	pingTTL(s.t, vm1, "10.0.2.1", 64)
	pingTTL(s.t, vm2, "10.0.2.1", 64)
}

// flowMods returns the number of flow mods that the switches have confirmed.
func (s *site) flowMods() (n float64) {
	s.t.Helper()
	for name, v := range s.scrape() {
		if strings.HasPrefix(name, "ofdvr_flow_mods_total") {
			n += v
		}
	}
	return n
}

// A fault is a change that another program makes without the daemon.
type fault struct {
	name   string
	do     string // a shell script on the host
	mended string // a script that succeeds after the repair
	harm   harm
}

// A harm is the worst allowed effect of a fault on packets that the switch routes.
type harm int

const (
	none  harm = iota // no packet is lost, and no flow is touched
	flows             // no packet is lost, but flows have to be changed
	loss              // packets are lost until the repair, because their path is gone
)

// suffer injects each fault in turn. After each, it checks the repair and that the router works as
// before.
func (s *site) suffer(faults []fault, vm1, vm2 *lab.Machine) {
	for _, f := range faults {
		if !s.t.Run(f.name, func(t *testing.T) {
			s := &site{Host: s.Host, t: t, file: s.file, daemon: s.daemon}
			var st *stream
			if f.harm < loss {
				st = startStream(t, vm1, vm2.IP())
			}
			mods := s.flowMods()
			s.sh("", f.do)
			s.mended(f.mended, vm1, vm2)
			if f.harm < loss {
				st.mustBeWhole() // must precede everything, which flushes the neighbours and so delays packets
			}
			s.works(vm1, vm2)
			if n := s.flowMods() - mods; f.harm == none && n > 0 {
				t.Errorf("%v flows were changed", n)
			}
		}) {
			return // stops, because the next faults would fail too
		}
	}
}

// is returns a script that succeeds if a column of the database has a value.
func is(table, record, column, want string) string {
	return fmt.Sprintf("test '%s' = \"$(ovs-vsctl --no-wait get %s %s %s | tr -d '\"')\"", want, table, record, column)
}

// Changes and deletions by others in the database are repaired.
func TestDatabaseIsRepaired(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	const ourController = `$(ovs-vsctl --no-wait get bridge rb-r1 controller | tr -d '[]')`
	// gone returns two scripts. The script do records the UUID of the row with
	// a name and runs a command. The script mended succeeds when another row
	// has the name.
	gone := func(table, name, command string) (do, mended string) {
		return fmt.Sprintf("ovs-vsctl get %s %s _uuid >/run/was; ovs-vsctl %s %s", table, name, command, name),
			fmt.Sprintf("ovs-vsctl --no-wait get %s %s _uuid >/run/is; ! cmp -s /run/was /run/is", table, name)
	}
	removed := func(name, table, object, command string) fault {
		do, mended := gone(table, object, command)
		return fault{name, do, mended, loss}
	}
	otherDatapath := map[string]string{lab.Userspace: lab.Kernel, lab.Kernel: lab.Userspace}[lab.Datapath()]
	s.suffer([]fault{
		removed("bridge deleted", "bridge", bridge, "del-br"),
		removed("patch port deleted", "port", bluePatch, "del-port"),
		removed("its peer deleted", "port", bluePeer, "del-port"),
		{"tap's port deleted", "ovs-vsctl get port " + blueTap + " _uuid >/run/was; ovs-vsctl del-port " + blueTap,
			"ovs-vsctl --no-wait get port " + blueTap + " _uuid >/run/is; ! cmp -s /run/was /run/is", flows},
		{"patch port renumbered", "ovs-vsctl set interface " + bluePatch + " ofport_request=777", is("interface", bluePatch, "ofport", "777"), loss},
		{"controller removed", "ovs-vsctl del-controller " + bridge, is("controller", ourController, "target", "tcp:127.0.0.1:6653"), loss},
		{"controller elsewhere", "ovs-vsctl set controller " + ourController + " target='\"tcp:127.0.0.1:1\"'",
			is("controller", ourController, "target", "tcp:127.0.0.1:6653"), none},
		{"controller patient", "ovs-vsctl set controller " + ourController + " max_backoff=60000 inactivity_probe=0",
			is("controller", ourController, "max_backoff", "1000"), none},
		{"fail mode standalone", "ovs-vsctl set-fail-mode " + bridge + " standalone", is("bridge", bridge, "fail_mode", "secure"), none},
		{"no fail mode", "ovs-vsctl del-fail-mode " + bridge, is("bridge", bridge, "fail_mode", "secure"), none},
		{"other protocols", "ovs-vsctl set bridge " + bridge + " protocols=OpenFlow10", is("bridge", bridge, "protocols", "[OpenFlow13]"), none},
		{"in band", "ovs-vsctl remove bridge " + bridge + " other_config disable-in-band", is("bridge", bridge, "other_config:disable-in-band", "true"), none},
		{"other datapath ID", "ovs-vsctl set bridge " + bridge + " other_config:datapath-id=0000000000000042",
			"! " + is("bridge", bridge, "other_config:datapath-id", "0000000000000042"), none},
		{"other datapath type", "ovs-vsctl set bridge " + bridge + " datapath_type=" + otherDatapath, is("bridge", bridge, "datapath_type", lab.Datapath()), loss},
		{"other peer", "ovs-vsctl set interface " + bluePatch + " options:peer=elsewhere", is("interface", bluePatch, "options:peer", bluePeer), loss},
		{"other peer on br-int", "ovs-vsctl set interface " + bluePeer + " options:peer=elsewhere", is("interface", bluePeer, "options:peer", bluePatch), loss},
		{"patch port of another type", "ovs-vsctl set interface " + bluePatch + " type=internal", is("interface", bluePatch, "type", "patch"), loss},
		{"tap of another type", "ovs-vsctl set interface " + blueTap + " type=dummy", is("interface", blueTap, "type", "internal"), flows},
		{"error that is over", "ovs-vsctl --no-wait set interface " + blueTap + " ofport=-1 error=over", is("interface", blueTap, "error", "[]"), none},
		{"other tag", "ovs-vsctl set port " + bluePeer + " tag=7", is("port", bluePeer, "tag", "1"), loss},
		{"not ready any more", "ovs-vsctl remove interface " + bluePeer + " external_ids iface-status", is("interface", bluePeer, "external_ids:iface-status", "active"), none},
	}, vm1, vm2)
}

// Changes of taps and their namespace by other programs are repaired, while the
// switch routes packets.
func TestNamespaceIsRepaired(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	in := "ip -n " + netns + " "
	here := in + "link show " + blueTap
	address := in + "addr show dev " + blueTap + " | grep -q 'inet 10.0.1.1/24 '"
	if !lab.OnKernel(t, "the test deletes no tap's link: in the kernel's datapath only ovs-vswitchd can delete it") {
		s.suffer([]fault{{"tap deleted", in + "link del " + blueTap, here, flows}}, vm1, vm2)
	}
	s.suffer([]fault{
		{"namespace deleted", "ip netns del " + netns + " || true", here, flows}, // the command may fail if the daemon repairs the namespace fast
		{"tap moved out", in + "link set dev " + blueTap + " netns $$", here + "; ! ip link show " + blueTap + " 2>/dev/null", none},
		{"tap moved elsewhere", "ip netns add other; " + in + "link set dev " + blueTap + " netns other", here + "; ! ip -n other link show " + blueTap + " 2>/dev/null", flows},
		{"tap down", in + "link set dev " + blueTap + " down", here + " up | grep -q UP", none},
		{"addresses removed", in + "addr flush dev " + blueTap, address, none},
		{"other address", in + "addr replace 10.0.1.77/24 dev " + blueTap, address + "; ! " + in + "addr show dev " + blueTap + " | grep -q 10.0.1.77", none},
		{"other MAC address", in + "link set dev " + blueTap + " address 02:00:00:00:99:99", here + " | grep -q " + blueMAC, none},
		{"other MTU", in + "link set dev " + blueTap + " mtu 1000", here + " | grep -q 'mtu 1500'", none},
		{"no forwarding", "ip netns exec " + netns + " sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'; " + in + "link set dev " + blueTap + " mtu 1001",
			"ip netns exec " + netns + " grep -q 1 /proc/sys/net/ipv4/ip_forward", none},
	}, vm1, vm2)
}

// reportsProblem waits until the status has a problem with all of the words.
func (s *site) reportsProblem(words ...string) {
	s.t.Helper()
	s.eventually("the status to report the problem", func() error {
		text := fmt.Sprint(s.status())
		for _, w := range words {
			if !strings.Contains(text, w) {
				return fmt.Errorf("%q is missing from %s", w, text)
			}
		}
		return nil
	})
}

// A foreign controller stays, but the status has the command that removes it. The daemon's own
// controller is added beside it, and the switch routes as before.
func TestForeignControllerIsReported(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	st := startStream(t, vm1, vm2.IP())
	s.vsctl("set-controller", bridge, "tcp:127.0.0.1:1") // instead of ours
	var remedy string
	s.eventually("the status to name the controller", func() error {
		st := s.status()
		_, text, _ := strings.Cut(strings.Join(st.Routers[0].Problems, "\n"), "can change its flows; remove it with `")
		if remedy, _, _ = strings.Cut(text, "`"); remedy == "" {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	s.sh("", remedy)
	s.mended("true", vm1, vm2)
	st.mustBeWhole()
	if n := strings.Count(s.vsctl("list", "controller"), "target"); n != 1 {
		t.Errorf("there are %d controllers", n)
	}
}

// If ovs-vswitchd cannot make bridges of br-int's datapath type, the status names the type and the
// log to read. With a supported type, the router works again.
func TestImpossibleDatapathTypeIsReported(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	s.vsctl("set", "bridge", "br-int", "datapath_type=bogus")
	s.reportsProblem("bridge "+bridge+" has not connected", "ovs-vswitchd", "datapath_type bogus, the type of br-int")
	s.vsctl("set", "bridge", "br-int", "datapath_type="+lab.Datapath())
	s.mended(is("bridge", bridge, "datapath_type", lab.Datapath()), vm1, vm2)
	s.works(vm1, vm2)
}

// plugAgain connects machines to a new br-int.
func (s *site) plugAgain(machines ...*lab.Machine) {
	s.t.Helper()
	for _, m := range machines {
		s.vsctl("add-port", "br-int", m.Name, fmt.Sprintf("tag=%d", m.VLAN))
	}
}

// If br-int is deleted, the status has the command that creates it. The routers are
// connected to the new bridge.
func TestDeletedIntegrationBridge(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	s.vsctl("del-br", "br-int")
	s.reportsProblem("integration bridge br-int: it does not exist; create it with `ovs-vsctl add-br br-int -- set bridge br-int datapath_type=" + lab.Datapath() + "`")
	if err := s.AddBridge(t.Context(), "br-int"); err != nil {
		t.Fatal(err)
	}
	s.plugAgain(vm1, vm2)
	s.mended(is("port", bluePeer, "tag", "1"), vm1, vm2)
	s.works(vm1, vm2)
}

// loseTap runs a command and then removes the tap.
func (s *site) loseTap(first string) {
	s.t.Helper()
	remove := "ip -n " + netns + " link del " + blueTap
	if lab.OnKernel(s.t, "the test deletes a tap's port, not its link: in the kernel's datapath only ovs-vswitchd can delete the link") {
		remove = "ovs-vsctl del-port " + blueTap
	}
	s.sh("", first+"\n"+remove)
}

// A foreign link with a tap's name stays unchanged. The status reports it. When the link is gone,
// the tap is made.
func TestForeignLinkInTheTapsPlace(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	st := startStream(t, vm1, vm2.IP())
	s.loseTap("ip link add " + blueTap + " type bridge")
	s.reportsProblem(blueTap, "delete or rename it")
	s.sh("", "ip link del "+blueTap)
	s.mended("ip -n "+netns+" link show "+blueTap, vm1, vm2)
	st.mustBeWhole()
	s.works(vm1, vm2)
}
