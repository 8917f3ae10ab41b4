// Package deb tests the Debian package by installing it on a system with systemd.
package deb

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// patience is the time that a test waits for any condition before it fails.
const patience = 30 * time.Second

// epoch is the time of all files in a package.
const epoch = "SOURCE_DATE_EPOCH=1700000000"

// packaged returns the path of the package of a version, made in a copy of this checkout.
// Version 1.0 is the package that users get. Later versions, which are for upgrades, are not
// compressed, because compression takes longer than the rest of making a package.
func packaged(t *testing.T, version string) string {
	t.Helper()
	packages.Lock()
	defer packages.Unlock()
	if packages.dir == "" {
		dir, err := os.MkdirTemp("", "checkout-")
		if err != nil {
			t.Fatal(err)
		}
		copyCheckout(t, dir)
		packages.dir = dir
	}
	deb := filepath.Join(packages.dir, "bin", fmt.Sprintf("ofdvr_%s_%s.deb", version, runtime.GOARCH))
	if _, err := os.Stat(deb); err != nil {
		how := "xz"
		if version != "1.0" {
			how = "none"
		}
		compress(t, filepath.Join(packages.dir, "contrib/deb/nfpm.yaml"), how)
		makeDeb(t, packages.dir, version)
	}
	return deb
}

var packages struct {
	sync.Mutex
	dir string // directory where packages are made
}

var compression = regexp.MustCompile(`(?m)^  compression: .*$`)

// compress changes the compression of packages.
func compress(t *testing.T, config, how string) {
	t.Helper()
	data, err := os.ReadFile(config)
	if err == nil && !compression.Match(data) {
		err = fmt.Errorf("%s has no compression setting", config)
	}
	if err == nil {
		err = os.WriteFile(config, compression.ReplaceAll(data, []byte("  compression: "+how)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// copyCheckout copies this checkout, without build results and git's files.
func copyCheckout(t *testing.T, to string) {
	t.Helper()
	const from = "../.."
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case name == "bin" || name == ".git":
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// makeDeb runs make deb in a copy of the checkout.
func makeDeb(t *testing.T, dir, version string, env ...string) {
	t.Helper()
	nfpm, err := filepath.Glob("../../bin/nfpm-*")
	if err == nil && len(nfpm) != 1 {
		err = errors.New("nfpm is missing; make deb builds it, but a test cannot, because it has no network")
	}
	if err == nil {
		nfpm[0], err = filepath.Abs(nfpm[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", "-C", dir, "deb", "VERSION="+version, "ARCH="+runtime.GOARCH, "NFPM="+nfpm[0], epoch)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make deb: %v\n%s", err, out)
	}
}

// A site is a system on which the package is or was installed.
type site struct {
	*lab.System
	t *testing.T
}

// run runs a command that must succeed, and returns its output.
func (s *site) run(name string, args ...string) string {
	s.t.Helper()
	return strings.TrimSuffix(lab.Run(s.t, s.System, name, args...), "\n")
}

// sh runs a shell script that must succeed.
func (s *site) sh(script string) string {
	s.t.Helper()
	return s.run("sh", "-ec", script)
}

// install installs a version of the package.
func (s *site) install(version string) {
	s.t.Helper()
	s.sh("dpkg -i " + packaged(s.t, version) + " 2>&1")
}

// booted returns a system on which the package was never installed.
func booted(t *testing.T) *site {
	t.Helper()
	return &site{lab.BootSystem(t), t}
}

// installed returns a system with a version of the package and br-int.
func installed(t *testing.T, version string) *site {
	t.Helper()
	s := booted(t)
	s.install(version)
	s.bridge()
	return s
}

// bridge adds br-int.
func (s *site) bridge() {
	s.t.Helper()
	if err := s.AddBridge(s.t.Context(), lab.IntegrationBridge); err != nil {
		s.t.Fatal(err)
	}
}

// execute runs a command on this machine that must succeed, and returns its
// output.
func execute(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *site) eventually(what string, f func() error) {
	s.t.Helper()
	lab.Eventually(s.t, patience, what, f)
}

// settle waits until everything is confirmed.
func (s *site) settle() {
	s.t.Helper()
	s.run("ofdvr", "status", "--wait", "--timeout", patience.String())
}

// property returns a property of the service.
func (s *site) property(name string) string {
	s.t.Helper()
	return s.run("systemctl", "show", "--value", "--property", name, "ofdvr.service")
}

// says waits until the daemon has reported the status want to systemd.
func (s *site) says(want string) {
	s.t.Helper()
	s.eventually("the service's status", func() error {
		if got := s.property("StatusText"); got != want {
			return errors.New(got)
		}
		return nil
	})
}

// pid returns the daemon's PID in the system.
func (s *site) pid() string { s.t.Helper(); return s.property("MainPID") }

// machines plugs in the machines of the example.
func (s *site) machines() (vm1, vm2 *lab.Machine) {
	s.t.Helper()
	vm1 = lab.Plug(s.t, s.Host, lab.MachineConfig{Name: "vm1", VLAN: 1, MAC: "02:00:00:00:01:10", Addresses: []string{"10.0.1.10/24"}, Gateways: []string{"10.0.1.1"}})
	vm2 = lab.Plug(s.t, s.Host, lab.MachineConfig{Name: "vm2", VLAN: 2, MAC: "02:00:00:00:02:10", Addresses: []string{"10.0.2.10/24"}, Gateways: []string{"10.0.2.1"}})
	return vm1, vm2
}

// example is the topology in the package.
const example = "/usr/share/doc/ofdvr/examples/two-networks/topology.yaml"

// A stream is a continuous ping.
type stream struct {
	t    *testing.T
	ping *lab.Process
	seen int // the last known reply
}

func startStream(t *testing.T, from *lab.Machine, to string) *stream {
	t.Helper()
	p, err := from.Start("ping", "-n", "-i", "0.01", to)
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, ping: p}
	s.goesOn()
	return s
}

var reply = regexp.MustCompile(`icmp_seq=(\d+) ttl=63 `)

// goesOn waits for a reply to a packet that is sent after the call. It fails the test if an earlier
// reply is missing.
func (s *stream) goesOn() {
	s.t.Helper()
	var replies [][]string
	for _, what := range []string{"a packet in flight", "a packet sent from now on"} {
		before := s.seen
		lab.Eventually(s.t, patience, "a reply to "+what, func() error {
			replies = reply.FindAllStringSubmatch(s.ping.Log(), -1)
			if len(replies) == 0 {
				return errors.New("no reply at all")
			}
			s.seen, _ = strconv.Atoi(replies[len(replies)-1][1])
			if s.seen <= before {
				return fmt.Errorf("the last reply is number %d", s.seen)
			}
			return nil
		})
	}
	for i, m := range replies {
		if m[1] != strconv.Itoa(i+1) {
			s.t.Fatalf("the reply after reply %d has number %s", i, m[1])
		}
	}
}

// mustBeWhole ends the stream, and fails the test if a packet was lost.
func (s *stream) mustBeWhole() {
	s.t.Helper()
	s.goesOn()
	if err := s.ping.Signal(syscall.SIGINT); err != nil {
		s.t.Error(err)
	}
}

// A flow has the switch's counters of a flow.
type flow struct {
	cookie  string
	packets int
	age     time.Duration
}

var flowLine = regexp.MustCompile(`^ cookie=(\S+), duration=([0-9.]+)s, (table=\d+), n_packets=(\d+), n_bytes=\d+, (?:idle_age=\d+, )?(.*)$`)

// flows returns the flows of the example's router by match and actions.
func (s *site) flows() map[string]flow {
	s.t.Helper()
	out, err := s.Ofctl(s.t.Context(), "dump-flows", "rb-r1")
	if err != nil {
		s.t.Fatal(err)
	}
	flows := make(map[string]flow)
	for line := range strings.Lines(out) {
		m := flowLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil && strings.HasPrefix(line, "OFPST_FLOW reply") {
			continue
		}
		if m == nil {
			s.t.Fatalf("cannot parse flow %q", line)
		}
		packets, _ := strconv.Atoi(m[4])
		age, err := time.ParseDuration(m[2] + "s")
		if err != nil {
			s.t.Fatal(err)
		}
		flows[m[3]+" "+m[5]] = flow{m[1], packets, age}
	}
	if len(flows) == 0 {
		s.t.Fatal("no flows")
	}
	return flows
}

// mustBeUntouched fails the test unless the flows are the same as before. No flow was added or
// removed, each has kept its cookie, and its counters continue.
func (s *site) mustBeUntouched(before map[string]flow) {
	s.t.Helper()
	after := s.flows()
	for key, b := range before {
		if a, ok := after[key]; !ok || a.cookie != b.cookie || a.packets < b.packets || a.age < b.age {
			s.t.Errorf("flow %s was %+v, and now is %+v (exists: %v)", key, b, a, ok)
		}
	}
	for key := range after {
		if _, ok := before[key]; !ok {
			s.t.Errorf("new flow: %s", key)
		}
	}
}
