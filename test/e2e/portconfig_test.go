package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// mentions waits until the status has a problem with all of the words.
func (s *site) mentions(words ...string) {
	s.t.Helper()
	s.eventually("the status to mention "+strings.Join(words, ", "), func() error {
		st := s.status()
		all := append(st.Problems, "")
		for _, r := range st.Routers {
			all = append(all, r.Problems...)
		}
		for _, p := range all {
			found := true
			for _, w := range words {
				found = found && strings.Contains(p, w)
			}
			if found {
				return nil
			}
		}
		return errors.New(strings.Join(all, "\n"))
	})
}

// Port configuration and fragment handling can block packets without a change of flows. On
// a managed bridge the daemon corrects them.
func TestPortConfigurationIsCorrected(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks, "--audit-interval", "1s")
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	pingTTL(t, vm1, vm2.IP(), 63)
	ofctl := func(format string, args ...any) string {
		t.Helper()
		return s.sh("", "ovs-ofctl -O OpenFlow13 "+fmt.Sprintf(format, args...))
	}
	for _, c := range []struct{ change, undone string }{
		{"mod-port rb-r1 pr-r1-blue no-forward", "pr-r1-blue"},
		{"mod-port rb-r1 pr-r1-blue no-receive", "pr-r1-blue"},
		{"mod-port rb-r1 pr-r1-green no-forward", "pr-r1-green"},
		{"mod-port rb-r1 pr-r1-green no-receive", "pr-r1-green"},
		{"mod-port rb-r1 qr-r1-blue no-receive", "qr-r1-blue"},
		{"mod-port rb-r1 qr-r1-blue no-forward", "qr-r1-blue"},
	} {
		ofctl("%s", c.change)
		s.eventually(c.change+" to be undone", func() error {
			if out := ofctl("show rb-r1"); strings.Contains(out, "NO_FWD") || strings.Contains(out, "NO_RECV") {
				return errors.New(out)
			}
			return nil
		})
	}
	s.logged("corrected a configuration that another program had changed")
	ofctl("set-frags rb-r1 drop")
	s.eventually("fragment handling to be restored", func() error {
		if out := ofctl("get-frags rb-r1"); !strings.Contains(out, "normal") {
			return errors.New(out)
		}
		return nil
	})
	ping(t, vm1, vm2.IP(), lab.PingOptions{Size: 4000})
	// A port that was renumbered is corrected under its new number.
	for i, bits := range []string{"no-forward", "no-receive"} {
		number := fmt.Sprint(77 + i)
		ofctl("mod-port rb-r1 pr-r1-blue %s", bits)
		s.vsctl("set", "Interface", "pr-r1-blue", "ofport_request="+number)
		s.eventually("the port to have its number, and no blocking bit", func() error {
			if out := ofctl("show rb-r1"); !strings.Contains(out, number+"(pr-r1-blue)") || strings.Contains(out, "NO_FWD") || strings.Contains(out, "NO_RECV") {
				return errors.New(out)
			}
			return nil
		})
		s.settle()
		pingTTL(t, vm1, vm2.IP(), 63)
	}
	// The same holds for changes while no daemon runs.
	s.stop()
	ofctl("mod-port rb-r1 pr-r1-blue no-forward")
	s.serve("--audit-interval", "1s")
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)
	if got := s.status(); len(got.Problems)+len(got.Routers[0].Problems) > 0 {
		t.Errorf("problems: %v, %v", got.Problems, got.Routers[0].Problems)
	}
}

// The daemon does not configure the integration bridge. If a port of it passes no packets, status
// and doctor name the port.
func TestPortConfigurationOfTheIntegrationBridge(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks, "--audit-interval", "1s")
	for _, c := range []string{"no-forward", "no-receive"} {
		s.sh("", "ovs-ofctl mod-port br-int pi-r1-blue "+c)
		s.mentions("no packet passes", "pi-r1-blue", "br-int")
		if out := s.fails("doctor"); !strings.Contains(out, "no packet passes") {
			t.Errorf("%s: doctor says\n%s", c, out)
		}
		s.sh("", "ovs-ofctl mod-port br-int pi-r1-blue "+strings.TrimPrefix(c, "no-"))
		s.settle()
	}
	if out, err := s.Ofdvr(t.Context(), "doctor"); err != nil || !strings.Contains(out, "packets pass through 4 ports") {
		t.Errorf("doctor: %v\n%s", err, out)
	}
}

// The daemon does not configure an external bridge. The status names the setting that blocks
// packets, and the command that corrects it.
func TestPortConfigurationOfAnExternalBridge(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	s.serve("--ovsdb", "", "--audit-interval", "1s")
	s.settle()
	s.sh("", "ovs-ofctl -O OpenFlow13 mod-port br-x x-blue no-forward")
	s.mentions("port x-blue", "no-forward", "mod-port br-x x-blue forward")
	s.sh("", "ovs-ofctl -O OpenFlow13 mod-port br-x x-blue forward")
	s.settle()
	s.sh("", "ovs-ofctl -O OpenFlow13 set-frags br-x drop")
	s.mentions("fragments", "set-frags br-x normal")
	if out := s.fails("doctor"); !strings.Contains(out, "set-frags br-x normal") {
		t.Errorf("doctor says\n%s", out)
	}
	s.sh("", "ovs-ofctl -O OpenFlow13 set-frags br-x normal")
	s.settle()
}

// Open vSwitch may forward nothing because it waits for flows to be restored. Status and
// doctor report this.
func TestFlowRestoreWait(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	s.vsctl("set", "open_vswitch", ".", "other_config:flow-restore-wait=true")
	s.mentions("flow-restore-wait is true")
	if out := s.fails("doctor"); !strings.Contains(out, "flow-restore-wait is true") {
		t.Errorf("doctor says\n%s", out)
	}
	s.vsctl("remove", "open_vswitch", ".", "other_config", "flow-restore-wait")
	s.settle()
	pingTTL(t, s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10")).IP(), 63)
}

// A patch port without a peer is recreated, whatever the reason. Here the port moved to another
// bridge and back while no daemon ran.
func TestPatchPortWithoutPeer(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.vsctl("add-br", "br-x", "--", "set", "bridge", "br-x", "datapath_type="+lab.Datapath())
	s.stop()
	ids := func(table string) string { return s.vsctl("get", table, "pi-r1-blue", "external_ids") }
	port, iface := ids("port"), ids("interface")
	move := func(from, to string) {
		t.Helper()
		s.vsctl("del-port", from, "pi-r1-blue", "--", "add-port", to, "pi-r1-blue", "tag=1", "--", "set", "port", "pi-r1-blue", "external_ids="+port,
			"--", "set", "interface", "pi-r1-blue", "type=patch", "options:peer=pr-r1-blue", "external_ids="+iface)
	}
	move("br-int", "br-x")
	move("br-x", "br-int")
	_, err := vm1.Ping(t.Context(), vm2.IP(), lab.PingOptions{Wait: shortly})
	s.serve()
	if err != nil { // if the port works, this Open vSwitch has kept the peer, and the test has nothing to check
		s.logged("patch port has no peer, recreating it")
	}
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)
}
