package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// sysctl returns a sysctl of the router's namespace.
func (s *site) sysctl(key string) string {
	s.t.Helper()
	return strings.TrimSpace(s.sh(netns, "cat /proc/sys/"+key))
}

// If another program changes a setting that the router needs, the daemon restores it at once and
// logs the change.
func TestForwardingIsRestored(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	s.settle()
	for _, key := range []string{
		"net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding", "net/ipv4/conf/default/forwarding", "net/ipv4/conf/" + blueTap + "/forwarding",
		"net/ipv6/conf/all/forwarding", "net/ipv6/conf/default/forwarding", "net/ipv6/conf/" + greenTap + "/forwarding",
		"net/ipv4/conf/all/rp_filter", "net/ipv4/conf/" + blueTap + "/rp_filter",
	} {
		right := s.sysctl(key)
		wrong := "0"
		if right == wrong {
			wrong = "1"
		}
		s.sh(netns, "echo "+wrong+" >/proc/sys/"+key)
		s.eventually(key+" to be restored", func() error {
			for _, k := range []string{key, "net/ipv4/conf/" + blueTap + "/forwarding", "net/ipv6/conf/" + greenTap + "/forwarding"} {
				if got := s.sysctl(k); got == wrong && k == key || got == "0" && k != key {
					return fmt.Errorf("%s is %s", k, got)
				}
			}
			return nil
		})
		name := strings.ReplaceAll(key, "/", ".")
		if key == "net/ipv4/conf/all/forwarding" {
			name = "net.ipv4.ip_forward" // the same
		}
		s.logged(name + " was " + wrong + ", is " + right + " again")
	}
	mustHave(t, s.daemon.Log(), "WARN  another program changed settings of a namespace, set them back")
}

// Changes that the kernel does not report are found at the next audit.
func TestSettingsAreAudited(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks, "--audit-interval", "200ms")
	s.sh(netns, "echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore")
	s.eventually("the setting to be restored", func() error {
		if got := s.sysctl("net/ipv4/conf/all/arp_ignore"); got != "1" {
			return fmt.Errorf("the setting is %s", got)
		}
		return nil
	})
}

// Doctor reports the current problems and changes nothing. It does not change next_cfg, which would
// wake the daemon, and it repairs nothing.
func TestDoctorChangesNothing(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	world := func() string {
		return s.database() + s.sh("", `
			ovsdb-client --no-headings dump unix:/run/openvswitch/db.sock Open_vSwitch Open_vSwitch next_cfg cur_cfg
			ls -i /run/netns
			ovs-ofctl -OOpenFlow13 --no-stats dump-flows `+bridge+`
			settings() { (cd /proc/sys/net && grep -rs . ipv4/conf ipv6/conf ipv4/ip_forward ipv4/fib_multipath_hash_policy | grep -v stable_secret | sort); }
			settings
			ip -d link | sed 's/qlen [0-9]*//'; ip addr; ip route show table all; ip -6 route show table all`) +
			s.sh(netns, `
			(cd /proc/sys/net && grep -rs . ipv4/conf ipv6/conf ipv4/ip_forward ipv4/fib_multipath_hash_policy | grep -v stable_secret | sort)
			ip -d link | sed 's/qlen [0-9]*//'; ip addr; ip route show table all; ip -6 route show table all; ip rule; ip neigh`)
	}
	transactions := func() int { return len(s.transactions()) }

	// The kernel does not report these changes. But the daemon may read the settings for another
	// reason, for example after its start.
	s.eventually("doctor to find problems before the daemon repairs them, and to change nothing", func() error {
		s.sh(netns, "echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 >/proc/sys/net/ipv6/conf/"+blueTap+"/accept_ra")
		before, n := world(), transactions()
		out, _ := s.Ofdvr(t.Context(), "doctor")
		for _, want := range []string{"ok       Open vSwitch: of an unknown version at unix:/var/run/openvswitch/db.sock answers\n",
			"PROBLEM  router r1: namespace qrouter-r1 is not as desired; the repair would be: set net.ipv4.conf.all.arp_ignore=1 in qrouter-r1\n",
			"PROBLEM  router r1: namespace qrouter-r1 is not as desired; the repair would be: set net.ipv6.conf." + blueTap + ".accept_ra=0 in qrouter-r1\n"} {
			if err := lacks(out, want); err != nil {
				return err
			}
		}
		if after := world(); after != before || transactions() != n {
			return fmt.Errorf("doctor made %d transactions, or changed a setting:\n%s", transactions()-n, diff(before, after))
		}
		return nil
	})

	// Without the database the daemon cannot restore settings. Doctor then names them.
	s.Database().Kill()
	s.eventually("the daemon to lose the database", func() error {
		return lacks(s.ofdvr(1, "doctor"), "PROBLEM  Open vSwitch: not connected to ovsdb-server")
	})
	s.sh(netns, "echo 0 >/proc/sys/net/ipv4/ip_forward")
	mustHave(t, s.ofdvr(1, "doctor"), "the repair would be: set net.ipv4.ip_forward=1 in qrouter-r1\n")
	if got := s.sysctl("net/ipv4/ip_forward"); got != "0" {
		t.Errorf("doctor has changed net.ipv4.ip_forward to %s", got)
	}
	if err := s.StartDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.ofdvr(0, "doctor")
}

// If ovs-vswitchd does not answer, doctor has a problem. If it cannot be queried, doctor has a
// note.
func TestDoctorAsksTheSwitch(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	s.sh("", "ovs-vsctl --no-wait set Open_vSwitch . next_cfg=1000")
	s.eventually("ovs-vswitchd to apply it", func() error { return lacks(s.ofdvr(0, "doctor"), "db.sock answers\n") })
	sig := func(name string) { s.sh("", fmt.Sprintf("kill -%s %d", name, s.Switch().Pid)) }
	sig("STOP")
	out := s.ofdvr(1, "doctor")
	sig("CONT")
	mustHave(t, out, "PROBLEM  Open vSwitch: ovs-vswitchd does not answer: no answer in 3s\n")
	s.settle()
	s.sh("", "mv /run/openvswitch/ovs-vswitchd.pid /run/openvswitch/elsewhere.pid")
	mustHave(t, s.ofdvr(0, "doctor"), "note     Open vSwitch: only ovsdb-server was examined, because the control socket of ovs-vswitchd cannot be reached: find ovs-vswitchd: open /var/run/openvswitch/ovs-vswitchd.pid: no such file or directory\n",
		"db.sock is in use\n")
}
