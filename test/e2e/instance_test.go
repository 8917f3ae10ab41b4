package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// Two Open vSwitches run on one machine, each with its own daemon. The daemons do not share
// objects: a namespace in both intents belongs to the first daemon, and the second daemon reports
// the conflict.
func TestTwoInstances(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	const db, socket, api = "/run/ovs2/db.sock", "unix:/run/ovs2/db.sock", "unix:/run/ofdvr2/api.sock"
	start := func(args ...string) *lab.Process {
		t.Helper()
		p, err := s.Start("nsenter", append([]string{"--net=/run/netns/host2", "env", "OVS_RUNDIR=/run/ovs2"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	vsctl := "nsenter --net=/run/netns/host2 ovs-vsctl --timeout=20 --db=" + socket
	s.sh("", "mkdir /run/ovs2; ip netns add host2; ip -n host2 link set lo up; ovsdb-tool create /run/ovs2/conf.db "+lab.SchemaFile())
	start("ovsdb-server", "--remote=punix:"+db, "--pidfile", "/run/ovs2/conf.db")
	s.eventually("the second database to answer", func() error {
		_, err := s.RunIn(t.Context(), "", "sh", "-ec", vsctl+" --no-wait init")
		return err
	})
	start("ovs-vswitchd", "--pidfile", socket)
	s.sh("", vsctl+" add-br br-int -- set bridge br-int datapath_type="+lab.Datapath())
	binary, err := lab.Binary()
	if err != nil {
		t.Fatal(err)
	}
	file, err := s.WriteFile("topology2.yaml", twoNetworks)
	if err != nil {
		t.Fatal(err)
	}
	second := func() *lab.Process {
		return start(binary, "serve", "--topology", file, "--state-dir", "", "--ovsdb", socket, "--run-dir", "/run/ofdvr2", "--api", api, "--metrics", "")
	}
	world := func() string {
		return s.sh("", "ls -i /run/netns/qrouter-r1; cat /run/ofdvr/instance; ip -n qrouter-r1 -o link | sed 's/qlen [0-9]*//'; ip -n qrouter-r1 -o addr; ip -n qrouter-r1 route")
	}
	before, log := world(), s.daemon.Log()

	d := second()
	one := strings.TrimSpace(s.sh("", "cat /run/ofdvr/instance"))
	problem := "the name of namespace qrouter-r1 is taken: another instance of ofdvr on this machine, " + one + `, uses it for its router "r1"; this instance is `
	for range 2 { // also after a restart
		s.eventually("the second daemon to report that the name is taken", func() error {
			out, _ := s.Ofdvr(t.Context(), "status", "--api", api)
			return lacks(out, problem)
		})
		out, _ := s.Ofdvr(t.Context(), "doctor", "--api", api)
		if !strings.Contains(out, "PROBLEM  router r1: namespace qrouter-r1 cannot be examined: "+problem) {
			t.Errorf("doctor of the second prints\n%s", out)
		}
		if n := strings.Count(d.Log(), "could not set up namespace"); n != 1 {
			t.Errorf("the second daemon logged the conflict %d times, want once", n)
		}
		if _, err := d.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		d = second()
	}
	if after := world(); after != before {
		t.Errorf("the first daemon's namespace has changed:\n%s", diff(before, after))
	}
	if more := strings.TrimPrefix(s.daemon.Log(), log); strings.Contains(more, "namespace") {
		t.Errorf("the first daemon changed something:\n%s", more)
	}
	s.ofdvr(0, "doctor")

	// With different routers, each daemon has its own namespace.
	if _, err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteFile("topology2.yaml", strings.ReplaceAll(twoNetworks, "r1", "r9")); err != nil {
		t.Fatal(err)
	}
	d = second()
	s.eventually("the second daemon to settle", func() error {
		out, err := s.Ofdvr(t.Context(), "status", "--api", api)
		if err != nil {
			return err
		}
		return lacks(out, "settled")
	})
	if _, err := s.Ofdvr(t.Context(), "status", "--api", api, "--wait", "--timeout", patience.String()); err != nil {
		t.Fatal(err)
	}
	s.stop()
	s.serve()
	s.settle()
	if after := world(); after != before {
		t.Errorf("the first daemon's namespace has changed:\n%s", diff(before, after))
	}
	nine := s.sh("", "ls -i /run/netns/qrouter-r9")
	s.ofdvr(0, "doctor", "--api", api)

	// Cleanup of one instance keeps the namespace of the other.
	if _, err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.stop()
	mustHave(t, s.ofdvr(0, "cleanup"), "deleted namespace qrouter-r1 of router r1", "left: namespace qrouter-r9 of router r9 belongs to another instance of ofdvr, ")
	if got := s.sh("", "ls -i /run/netns/qrouter-r9"); got != nine {
		t.Errorf("%s, was %s", got, nine)
	}
	s.serve()
	s.settle()
	// Without its run directory an instance identifies itself by its Open vSwitch.
	s.sh("", "rm -r /run/ofdvr2")
	mustHave(t, s.ofdvr(0, "cleanup", "--ovsdb", socket, "--run-dir", "/run/ofdvr2"), "deleted namespace qrouter-r9 of router r9",
		fmt.Sprintf("left: namespace qrouter-r1 of router r1 belongs to another instance of ofdvr, %s", one))
	s.ofdvr(0, "doctor")
}

// An instance keeps its ID when its database is created again, and when its system ID changes.
func TestInstanceIDIsStable(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	was := s.sh("", "ls -i /run/netns/qrouter-r1; cat /run/ofdvr/instance")
	s.vsctl("set", "Open_vSwitch", ".", "external_ids:system-id=another")
	s.stop()
	s.Switch().Kill()
	s.Database().Kill()
	<-s.Switch().Done()
	<-s.Database().Done()
	s.serve() // while there is no database
	if err := s.StartEmptyDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.AddBridge(t.Context(), "br-int"); err != nil {
		t.Fatal(err)
	}
	s.settle()
	if got := s.sh("", "ls -i /run/netns/qrouter-r1; cat /run/ofdvr/instance"); got != was {
		t.Errorf("the instance is\n%s, was\n%s", got, was)
	}
}
