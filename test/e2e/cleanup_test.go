package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// Cleanup removes all objects that ofdvr has made and leaves all others unchanged.
func TestCleanupKeepsForeignObjects(t *testing.T) {
	t.Parallel()
	s := bare(t, twoRouters)
	vm1 := s.plug(vm("vm1", "10.0.1.10"))
	// Foreign objects have names and types like those of ofdvr.
	s.sh("", `
		ovs-vsctl add-br br-foreign -- set bridge br-foreign datapath_type=`+lab.Datapath()+` external_ids:owner=them other_config:x=y \
			-- set-fail-mode br-foreign secure
		ovs-vsctl add-br rb-foreign -- set bridge rb-foreign datapath_type=`+lab.Datapath()+` external_ids:ofdvr=no
		ovs-vsctl add-port br-int pi-foreign tag=1 -- set interface pi-foreign type=patch options:peer=pr-foreign external_ids:iface-id=foreign \
			-- add-port br-foreign pr-foreign -- set interface pr-foreign type=patch options:peer=pi-foreign
		ovs-vsctl add-port br-foreign qr-foreign -- set interface qr-foreign type=internal
		ovs-ofctl -OOpenFlow13 add-flow br-foreign cookie=0xfd09000000000001,priority=7,ip,actions=drop
		ip netns add qrouter-foreign
		ip netns exec qrouter-foreign sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
		ip -n qrouter-foreign link set lo up
		ip link set qr-foreign netns qrouter-foreign
		ip -n qrouter-foreign addr add 192.0.2.1/24 dev qr-foreign
		ip -n qrouter-foreign link set qr-foreign up`)
	world := func() string {
		return s.database() + s.sh("", `
			ls /run/netns
			ip -o link show | grep -v 'rb-r\|lo:' | sed 's/^[0-9]*: //; s/qlen [0-9]*//'
			for ns in qrouter-foreign vm1; do ip -n $ns -o addr; ip -n $ns -o link; ip -n $ns route; done
			ovs-ofctl -OOpenFlow13 --no-stats dump-flows br-foreign
			ovs-ofctl -OOpenFlow13 --no-stats dump-flows rb-foreign
			ovs-ofctl -OOpenFlow10 --no-stats dump-flows br-int`)
	}
	before := world()

	s.serve()
	s.settle()
	pingTTL(t, vm1, "10.0.2.1", 64)
	for _, ours := range []string{bridge, "rb-r2", bluePeer, "pi-r2-pink"} {
		if !strings.Contains(s.database(), ours) {
			t.Errorf("%s is missing", ours)
		}
	}
	foreign := s.flows("br-foreign")
	s.stop()

	out, err := s.Ofdvr(t.Context(), "cleanup")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"removed Bridge rb-r1", "removed Bridge rb-r2", "removed Port pi-r1-blue",
		"deleted namespace qrouter-r1 of router r1", "deleted namespace qrouter-r2 of router r2"} {
		if !strings.Contains(out, want) {
			t.Errorf("cleanup does not print %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "foreign") {
		t.Errorf("cleanup mentions foreign objects:\n%s", out)
	}
	s.eventually("ovs-vswitchd to remove its links", func() error {
		_, err := s.RunIn(t.Context(), "", "sh", "-c", "! ip link show rb-r1 2>/dev/null && ! ip link show rb-r2 2>/dev/null")
		return err
	})
	if after := world(); after != before {
		t.Errorf("cleanup changed foreign objects:\n%s", diff(before, after))
	}
	mustBeUntouched(t, foreign, s.flows("br-foreign"))

	// A second cleanup has nothing to do, and succeeds.
	transactions := len(s.transactions())
	if out, err = s.Ofdvr(t.Context(), "cleanup"); err != nil || strings.Contains(out, "remove") || strings.Contains(out, "deleted") {
		t.Errorf("second cleanup: %v\n%s", err, out)
	}
	if n := len(s.transactions()) - transactions; n != 0 {
		t.Errorf("%d transactions", n)
	}
	// The daemon makes all objects again.
	s.serve()
	s.settle()
	pingTTL(t, vm1, "10.0.2.1", 64)
}

// A namespace that ofdvr has made stays if another program has a link in it.
func TestCleanupKeepsANamespaceWithForeignLinks(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	s.sh("", "ip link add up0 netns "+netns+" type veth peer name up1")
	s.stop()
	out, err := s.Ofdvr(t.Context(), "cleanup")
	if err != nil || !strings.Contains(out, "left: namespace qrouter-r1 was kept") || !strings.Contains(out, "up0") {
		t.Errorf("%v\n%s", err, out)
	}
	if got := s.sh(netns, "ip -brief link show up0"); !strings.Contains(got, "up0") {
		t.Errorf("the link is gone: %q", got)
	}
	if got := s.vsctl("list-br"); got != "br-int" {
		t.Errorf("bridges are left: %q", got)
	}
}

// While a daemon runs, cleanup refuses to run, because the daemon would make all objects again. The
// error names the daemon. The same holds for a standby daemon. --dry-run only lists the objects to
// remove.
func TestCleanupRefusesBesideADaemon(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	before, n := s.database(), len(s.transactions())
	mustHave(t, s.ofdvr(0, "cleanup", "--dry-run"), "would remove Bridge rb-r1\n", "would remove Port pi-r1-blue\n", "would delete namespace qrouter-r1 of router r1\n")
	out := s.ofdvr(1, "cleanup")
	mustHave(t, out, fmt.Sprintf("clean up: ofdvr runs as process %d (ofdvr) and has the lock /run/ofdvr/lock: stop it first", s.daemon.Pid))
	if after := s.database(); after != before || len(s.transactions()) != n {
		t.Errorf("cleanup changed something:\n%s", diff(before, after))
	}
	s.ofdvr(0, "doctor")
	s.daemon.Kill()
	<-s.daemon.Done()
	mustHave(t, s.ofdvr(0, "cleanup"), "deleted namespace qrouter-r1 of router r1")
}
