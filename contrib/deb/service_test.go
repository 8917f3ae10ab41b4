package deb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The unit is correct. It is as restrictive as possible for this daemon, which makes mounts that
// all processes must see.
func TestUnit(t *testing.T) {
	t.Parallel()
	s := installed(t, "1.0")
	if got := s.sh("systemd-analyze verify ofdvr.service 2>&1"); got != "" {
		t.Errorf("systemd-analyze verify reports %s", got)
	}
	s.run("systemd-analyze", "security", "--no-pager", "--threshold=53", "ofdvr.service")
	status := s.run("cat", "/proc/"+s.pid()+"/status")
	for key, want := range map[string]string{"NoNewPrivs": "1", "Seccomp": "2", "CapInh": "0000000000000000", "CapAmb": "0000000000000000"} {
		if got := regexp.MustCompile(`(?m)^` + key + `:\t(.*)$`).FindStringSubmatch(status); got == nil || got[1] != want {
			t.Errorf("property %s of the daemon is %q, want %s", key, got, want)
		}
	}
	if daemon, first := s.run("readlink", "/proc/"+s.pid()+"/ns/mnt"), s.run("readlink", "/proc/1/ns/mnt"); daemon != first {
		t.Errorf("the daemon has its own mount namespace: %s instead of %s", daemon, first)
	}
	s.run("ofdvr", "apply", "-f", example)
	s.run("ip", "-n", "qrouter-r1", "link", "show", "dev", "qr-r1-blue") // the daemon's mounts are visible
	for property, want := range map[string]string{"MemoryMax": "4294967296", "UMask": "0077", "LimitNOFILESoft": "65536"} {
		if got := s.property(property); got != want {
			t.Errorf("%s is %s, want %s", property, got, want)
		}
	}
	for path, want := range map[string]string{"/run/netns": "755", "/run/ofdvr": "755", "/run/ofdvr/api.sock": "660", "/var/lib/ofdvr": "755", "/var/lib/ofdvr/intent.db": "600"} {
		if got := s.run("stat", "-c", "%a", path); got != want {
			t.Errorf("the mode of %s is %s, want %s", path, got, want)
		}
	}
}

// If the switch restarts without the daemon, the daemon makes the necessary repairs. The daemon can
// also restart without the switch.
func TestSwitchAndDaemonRestart(t *testing.T) {
	t.Parallel()
	s := installed(t, "1.0")
	s.run("ofdvr", "apply", "-f", example)
	vm1, vm2 := s.machines()
	pid, vswitchd := s.pid(), s.run("pidof", "ovs-vswitchd")
	s.run("systemctl", "restart", "openvswitch-switch")
	if now := s.run("pidof", "ovs-vswitchd"); now == vswitchd {
		t.Fatal("the switch was not restarted")
	}
	s.settle()
	if now := s.pid(); now != pid {
		t.Errorf("the daemon had PID %s, and now has PID %s", pid, now)
	}
	traffic := startStream(t, vm1, vm2.IP())
	flows := s.flows()
	vswitchd = s.run("pidof", "ovs-vswitchd")
	s.run("systemctl", "restart", "ofdvr")
	s.run("systemctl", "reload", "ofdvr")
	s.settle()
	if now := s.run("pidof", "ovs-vswitchd"); now != vswitchd {
		t.Error("the switch was restarted")
	}
	s.mustBeUntouched(flows)
	traffic.mustBeWhole()
}

// A daemon that hangs or was killed is started again.
func TestHungDaemonIsRestarted(t *testing.T) {
	t.Parallel()
	s := installed(t, "1.0")
	s.dropIn("WatchdogSec=2s")
	for _, signal := range []string{"STOP", "KILL"} {
		pid := s.pid()
		s.run("kill", "-"+signal, pid)
		s.eventually("another daemon", func() error {
			if now := s.pid(); now == pid || now == "0" || s.property("ActiveState") != "active" {
				return fmt.Errorf("the daemon is still process %s", now)
			}
			return nil
		})
	}
	s.says("0 routers, all settled")
}

// dropIn changes the unit, and tries to restart the service.
func (s *site) dropIn(lines string) {
	s.t.Helper()
	s.sh("mkdir -p /etc/systemd/system/ofdvr.service.d; printf '[Service]\nRestartSec=100ms\n" + lines + "\n' >/etc/systemd/system/ofdvr.service.d/test.conf; systemctl daemon-reload; systemctl restart ofdvr || true")
}

// advertising is a router that sends advertisements, in a file that root does not own.
const advertising = `
networks:
  - {id: blue, vlan: 1}
routers:
  - id: r1
    interfaces:
      - {id: r1-blue, network: blue, mac: "02:00:00:00:01:01", addresses: ["fd00:1::1/64"], ra: {lifetime: %d}}
`

// declare replaces the topology file.
func (s *site) declare(lifetime int) {
	s.t.Helper()
	path, err := s.WriteFile("topology.yaml", fmt.Sprintf(advertising, lifetime))
	if err != nil {
		s.t.Fatal(err)
	}
	s.sh("cp " + path + " /etc/ofdvr/topology.yaml; chown daemon: /etc/ofdvr/topology.yaml; echo 'topology: /etc/ofdvr/topology.yaml' >/etc/ofdvr/ofdvr.yaml")
}

// radvd waits until the router's radvd runs as its own user, and returns its PID in the system. If
// the radvd has ended, it returns an error from the daemon's log. printed is the length of the
// services' output before the daemon was started.
func (s *site) radvd(printed int) (pid string, err error) {
	s.t.Helper()
	const ended = "radvd has ended"
	s.eventually("radvd to run", func() error {
		if strings.Contains(s.journal()[printed:], ended) {
			err = errors.New(ended)
			return nil
		}
		out, err := s.Run(s.t.Context(), "sh", "-ec", "cat /run/ofdvr/radvd/*.pid; stat -c %U /proc/$(cat /run/ofdvr/radvd/*.pid)")
		if err != nil {
			return err
		}
		if words := strings.Fields(out); len(words) == 2 && words[1] == "radvd" {
			pid = words[0]
			return nil
		}
		return errors.New(out)
	})
	return pid, err
}

// A radvd keeps running when the service stops, when it starts again, and when the package is
// purged. The purge keeps the files by which ofdvr finds the radvd.
func TestAdvertisementsOutliveThePackage(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "radvd")
	s := installed(t, "1.0")
	s.declare(1800)
	s.run("systemctl", "restart", "ofdvr")
	s.settle()
	pid, err := s.radvd(0)
	if err != nil {
		t.Fatal(err)
	}
	s.run("systemctl", "restart", "ofdvr")
	s.install("1.1")
	s.settle()
	if now, err := s.radvd(0); now != pid {
		t.Errorf("radvd had PID %s, and now has PID %s; error %v", pid, now, err)
	}
	if said := s.run("dpkg", "-P", "ofdvr"); !strings.Contains(said, "radvd, process "+pid) {
		t.Errorf("dpkg -P prints\n%s", said)
	}
	s.run("kill", "-0", pid)
	if got := s.run("ls", "/run/ofdvr"); got != "radvd" {
		t.Errorf("in /run/ofdvr are %s", got)
	}
	s.install("1.1") // installs the program, because cleanup is a command of it
	if got := s.sh("systemctl stop ofdvr; ofdvr cleanup"); !strings.Contains(got, "stopped radvd, process "+pid) {
		t.Errorf("ofdvr cleanup prints\n%s", got)
	}
}

// bounding matches the lines of the unit with the available capabilities.
var bounding = regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`)

// The daemon has exactly the capabilities that it needs. With all capabilities that the unit
// grants, all functions work. Without any one of them, some function fails.
func TestLeastCapabilities(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "radvd")
	unit, err := os.ReadFile("../systemd/ofdvr.service")
	if err != nil {
		t.Fatal(err)
	}
	capabilities := []string{""} // first with all capabilities
	for _, m := range bounding.FindAllStringSubmatch(string(unit), -1) {
		capabilities = append(capabilities, strings.Fields(m[1])...)
	}
	s := installed(t, "1.0")
	for _, without := range capabilities {
		s.sh("systemctl stop ofdvr; ofdvr cleanup; rm -rf /run/ofdvr /var/lib/ofdvr")
		s.declare(1800)
		printed := len(s.journal())
		if without != "" {
			s.dropIn("CapabilityBoundingSet=~" + without)
		} else {
			s.run("systemctl", "start", "ofdvr")
		}
		why := s.works(printed)
		t.Logf("without %q: %v", without, why)
		if (why == nil) != (without == "") {
			t.Errorf("without %q: %v", without, why)
		}
	}
}

// works returns an error that names the first function of the daemon that fails. printed is the
// length of the services' output before the daemon was started.
func (s *site) works(printed int) error {
	s.t.Helper()
	settled := func() error {
		_, err := s.Run(s.t.Context(), "ofdvr", "status", "--wait", "--timeout", "5s")
		return err
	}
	if got := s.property("ActiveState"); got != "active" {
		return fmt.Errorf("the service is %s", got)
	}
	if got := s.run("stat", "-c", "%G", "/run/ofdvr/api.sock"); got != "ofdvr" {
		return fmt.Errorf("the API's socket has group %s", got)
	}
	if err := settled(); err != nil {
		return err
	}
	pid, err := s.radvd(printed)
	if err != nil {
		return err
	}
	s.declare(900)
	s.eventually("the other topology to be loaded", func() error {
		_, err := s.Run(s.t.Context(), "sh", "-c", "grep 'AdvDefaultLifetime 900;' /run/ofdvr/radvd/*.conf")
		return err
	})
	if err := settled(); err != nil {
		return err
	}
	if late := "changes of the topology may be noticed late"; strings.Contains(s.journal()[printed:], late) {
		return errors.New(late)
	}
	s.run("systemctl", "restart", "ofdvr")
	if err := settled(); err != nil {
		return err
	}
	if now, err := s.radvd(printed); now != pid {
		return fmt.Errorf("radvd had PID %s, and now has PID %s; error %v", pid, now, err)
	}
	return nil
}

// journal returns the output of all services.
func (s *site) journal() string {
	s.t.Helper()
	log, err := os.ReadFile(filepath.Join(s.Dir(), "services.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(log)
}
