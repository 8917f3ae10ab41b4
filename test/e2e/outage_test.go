package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// threeNetworks is twoNetworks with a third network, red, and a machine on it.
var threeNetworks = strings.NewReplacer(
	"vlan: 2}\n", "vlan: 2}\n  - {id: red, vlan: 3}\n",
	"[10.0.2.1/24]}\n", "[10.0.2.1/24]}\n"+`      - {id: r1-red, network: red, mac: "02:00:00:00:03:01", addresses: [10.0.3.1/24]}`+"\n",
).Replace(twoNetworks) + `  - {id: vm3, network: red, mac: "02:00:00:00:03:10", addresses: [10.0.3.10]}` + "\n"

// startDatabase and startSwitch start the daemons of Open vSwitch after an outage.
func (s *site) startDatabase() {
	s.t.Helper()
	if err := s.StartDatabase(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) startSwitch() {
	s.t.Helper()
	if err := s.StartSwitch(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// emptyDatabase starts ovsdb-server with an empty database, as after an installation. ovsdb-server
// must have ended before.
func (s *site) emptyDatabase() {
	s.t.Helper()
	s.sh("", fmt.Sprintf("rm %[1]s/conf.db; ovsdb-tool create %[1]s/conf.db %[2]s", s.Dir(), lab.SchemaFile()))
	s.startDatabase()
	s.vsctl("--no-wait", "init")
}

// joinAgain makes br-int and connects the machines to it, as another agent would.
func (s *site) joinAgain(machines ...*lab.Machine) {
	s.t.Helper()
	if err := s.AddBridge(s.t.Context(), "br-int"); err != nil {
		s.t.Fatal(err)
	}
	s.plugAgain(machines...)
}

// Open vSwitch's daemons are killed, with or without loss of the database. Soon after they run
// again, all objects are restored, including changes of the file in the meantime.
func TestOutages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		outage func(s *site, meanwhile func(), machines ...*lab.Machine)
	}{
		{"ovs-vswitchd killed", func(s *site, meanwhile func(), _ ...*lab.Machine) {
			s.Switch().Kill()
			meanwhile()
			s.startSwitch()
		}},
		{"ovsdb-server killed", func(s *site, meanwhile func(), _ ...*lab.Machine) {
			s.Database().Kill()
			meanwhile()
			s.startDatabase()
		}},
		{"both killed", func(s *site, meanwhile func(), _ ...*lab.Machine) {
			s.Switch().Kill()
			s.Database().Kill()
			meanwhile()
			s.startDatabase()
			s.startSwitch()
		}},
		{"empty database", func(s *site, meanwhile func(), machines ...*lab.Machine) {
			s.Database().Kill()
			meanwhile()
			s.emptyDatabase()
			s.joinAgain(machines...)
		}},
		{"empty database, both killed", func(s *site, meanwhile func(), machines ...*lab.Machine) {
			s.Switch().Kill()
			s.Database().Kill()
			s.emptyDatabase()
			meanwhile()
			s.startSwitch()
			s.joinAgain(machines...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, vm1, vm2 := pair(t)
			vm3 := s.plug(vm("vm3", "10.0.3.10"))
			c.outage(s, func() {}, vm1, vm2, vm3)
			s.mended("true", vm1, vm2)
			s.works(vm1, vm2)
			c.outage(s, func() {
				s.write(threeNetworks)
				s.signal(syscall.SIGHUP)
				s.eventually("the topology to be loaded", func() error {
					if st := s.status(); st.Intent.Networks != 3 || st.Settled {
						return fmt.Errorf("%+v", st)
					}
					return nil
				})
			}, vm1, vm2, vm3)
			s.mended("true", vm1, vm2)
			s.works(vm1, vm2)
			pingTTL(t, vm1, vm3.IP(), 63)
			pingTTL(t, vm3, vm2.IP(), 63)
			pingTTL(t, vm3, "10.0.3.1", 64)
		})
	}
}

// fill makes a small file system, and returns scripts that fill it and that free its
// space again.
func (s *site) fill() (dir, full, free string) {
	s.t.Helper()
	dir = "/run/small"
	s.sh("", "mkdir "+dir+"; mount -t tmpfs -o size=1m tmpfs "+dir)
	return dir, "dd if=/dev/zero of=" + dir + "/ballast bs=512 2>/dev/null || true", "rm " + dir + "/ballast"
}

// While the disk of ovsdb-server is full, the switch routes, and the status has the reason why the
// database cannot be changed. Repairs that need no database changes are made. When the disk has
// space again, the changes of the file are applied.
func TestFullDiskOfDatabase(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	vm3 := s.plug(vm("vm3", "10.0.3.10"))
	dir, full, free := s.fill()
	s.Database().Kill()
	s.sh("", fmt.Sprintf("mv %[1]s/conf.db %[2]s; ln -s %[2]s/conf.db %[1]s", s.Dir(), dir))
	s.startDatabase()
	s.mended("true", vm1, vm2)
	st := startStream(t, vm1, vm2.IP())
	s.sh("", full)
	s.write(threeNetworks)
	s.signal(syscall.SIGHUP)
	s.reportsProblem("change OVSDB", "I/O error", "is the disk of ovsdb-server full?")
	s.sh(netns, "ip addr flush dev "+blueTap)
	s.eventually("the addresses to be restored", func() error {
		_, err := s.RunIn(t.Context(), netns, "sh", "-c", "ip addr show dev "+blueTap+" | grep '10.0.1.1/24'")
		return err
	})
	if n := strings.Count(s.daemon.Log(), "could not change OVSDB"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
	st.mustBeWhole()
	s.sh("", free)
	s.mended("true", vm1, vm2)
	s.works(vm1, vm2)
	pingTTL(t, vm1, vm3.IP(), 63)
}

// While the disk of the daemon's log is full, the daemon works without a log.
func TestFullDiskOfLog(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	dir, full, free := s.fill()
	log := dir + "/ofdvr.log"
	var err error
	s.daemon, err = s.Start("sh", "-c", fmt.Sprintf("exec %s serve --topology %s 2>>%s", must(lab.Binary()), s.file, log))
	if err != nil {
		t.Fatal(err)
	}
	s.settle()
	vm1, vm2, vm3 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10")), s.plug(vm("vm3", "10.0.3.10"))
	s.works(vm1, vm2)
	s.sh("", full)
	s.reload(threeNetworks)
	s.vsctl("del-port", bluePatch)
	s.mended("ovs-vsctl --no-wait get port "+bluePatch+" _uuid", vm1, vm2)
	pingTTL(t, vm1, vm3.IP(), 63)
	s.sh("", free)
	s.reload(twoNetworks)
	s.works(vm1, vm2)
	s.stop()
	b, err := os.ReadFile(s.Path(log))
	if err != nil || !strings.Contains(string(b), "stopped, the switch goes on forwarding") || strings.Contains(string(b), "DATA RACE") {
		t.Errorf("%v; the log is\n%s", err, b)
	}
}
