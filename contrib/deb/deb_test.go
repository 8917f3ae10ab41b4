package deb

import (
	"bytes"
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The package is installed, and the daemon runs with its default configuration. Then the package is
// upgraded, removed and purged. Traffic of machines is not affected. At the end, only the router
// remains.
func TestInstallUpgradeRemovePurge(t *testing.T) {
	t.Parallel()
	s := booted(t)
	before := s.made()
	s.install("1.0")
	s.bridge()
	if got := s.property("ActiveState") + " " + s.property("UnitFileState"); got != "active enabled" {
		t.Errorf("the service is %s", got)
	}
	s.says("0 routers, all settled")
	s.run("dpkg", "--verify", "ofdvr")
	if got := s.run("stat", "-c", "%U:%G %a", "/run/ofdvr/api.sock"); got != "root:ofdvr 660" {
		t.Errorf("the API's socket is %s", got)
	}
	s.run("adduser", "--quiet", "daemon", "ofdvr")
	s.run("runuser", "-u", "daemon", "--", "ofdvr", "apply", "-f", example)
	vm1, vm2 := s.machines()
	traffic := startStream(t, vm1, vm2.IP())
	flows, pid := s.flows(), s.pid()

	s.install("1.1~rc1")
	s.install("1.1")
	if now := s.pid(); now == pid || now == "0" {
		t.Errorf("the daemon had PID %s, and now has PID %s", pid, now)
	}
	if got := s.run("ofdvr", "version"); !strings.HasPrefix(got, "ofdvr 1.1 ") {
		t.Errorf("after an upgrade the version is %s", got)
	}
	s.settle()
	s.says("1 router, all settled")
	s.mustBeUntouched(flows)
	traffic.goesOn()

	said := s.run("dpkg", "-r", "ofdvr")
	if !strings.Contains(said, "go on forwarding") || !strings.Contains(said, "ofdvr cleanup") {
		t.Errorf("dpkg -r prints\n%s", said)
	}
	if got := s.sh("pidof ofdvr || true"); got != "" {
		t.Errorf("a daemon runs: %s", got)
	}
	s.run("test", "-e", "/etc/ofdvr/ofdvr.yaml", "-a", "-e", "/var/lib/ofdvr/intent.db")
	s.mustBeUntouched(flows)
	traffic.goesOn()

	s.run("dpkg", "-P", "ofdvr")
	if got := s.sh("getent group ofdvr || true; ls -d /run/ofdvr 2>/dev/null || true"); got != "" {
		t.Errorf("not removed: %s", got)
	}
	for _, path := range s.made() {
		if !slices.Contains(before, path) && !slices.ContainsFunc(ofOthers, func(dir string) bool { return strings.HasPrefix(path, dir) }) {
			t.Errorf("%s is left", path)
		}
	}
	s.mustBeUntouched(flows)
	traffic.mustBeWhole()
}

// ofOthers has the paths where other programs change files when a package is installed. These
// programs are dpkg, man-db, adduser, and Open vSwitch.
var ofOthers = []string{"/var/lib/dpkg/", "/var/log/", "/var/cache/", "/etc/group", "/etc/gshadow", "/etc/.pwd.lock",
	"/etc/openvswitch/", "/var/lib/openvswitch/"}

// made returns the files and directories of the system that are not on this machine. It also
// returns files of ofdvr that are on this machine, which it recognizes by their names. It
// leaves out /run.
func (s *site) made() (paths []string) {
	s.t.Helper()
	upper := filepath.Join(s.Dir(), "upper")
	err := filepath.WalkDir(upper, func(path string, d fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, upper)
		if err != nil || name == "" || d.Type()&fs.ModeCharDevice != 0 { // a character device marks a deleted file
			return err
		}
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) || strings.Contains(name, "ofdvr") {
			paths = append(paths, name)
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return paths
}

// If a removed package is installed again, the changed configuration, the objects written
// through the API, and the router are as before.
func TestRemovedPackageComesBack(t *testing.T) {
	t.Parallel()
	s := installed(t, "1.0")
	s.sh("echo 'log-format: json' >>/etc/ofdvr/ofdvr.yaml; systemctl restart ofdvr")
	s.run("ofdvr", "apply", "-f", example)
	flows := s.flows()
	s.run("dpkg", "-r", "ofdvr")
	s.install("1.1")
	s.settle()
	s.mustBeUntouched(flows)
	if got := s.run("tail", "-n", "1", "/etc/ofdvr/ofdvr.yaml"); got != "log-format: json" {
		t.Errorf("the configuration ends with %s", got)
	}
	// The script prerm prints this command, which removes the routers.
	s.sh("systemctl stop ofdvr; ofdvr cleanup")
	if got := s.run("ovs-vsctl", "list-br"); got != lab.IntegrationBridge {
		t.Errorf("there are bridges %s", got)
	}
	if got := s.run("ip", "netns", "list"); got != "" {
		t.Errorf("there are namespaces %s", got)
	}
}

// The package can also be installed, upgraded, removed and purged without systemd, as in a
// container that is being built.
func TestWithoutSystemd(t *testing.T) {
	t.Parallel()
	s := booted(t)
	for _, step := range []string{"-i " + packaged(t, "1.0"), "-i " + packaged(t, "1.1"), "-r ofdvr", "-i " + packaged(t, "1.0"), "-P ofdvr"} {
		s.sh("unshare --mount sh -ec 'mount -t tmpfs tmpfs /run/systemd; dpkg " + step + " 2>&1'")
	}
	if got := s.run("dpkg", "-l"); strings.Contains(got, "ofdvr") {
		t.Error("ofdvr is still installed")
	}
}

// The same commit gives the same package, byte by byte, in any directory, time zone, language and
// file mode. Only make test-full compiles the second package with an empty cache. Otherwise the
// cache is enough, because its key includes all inputs that affect the result. The program in the
// package is static.
func TestReproducible(t *testing.T) {
	t.Parallel()
	one := packaged(t, "1.0")
	dir := filepath.Join(t.TempDir(), "somewhere", "else")
	copyCheckout(t, dir)
	env := []string{"TZ=Asia/Kathmandu", "LANG=de_DE.UTF-8", "LC_ALL=C.UTF-8", "HOSTNAME=other"}
	if lab.Full() {
		env = append(env, "GOCACHE="+t.TempDir())
	}
	makeDeb(t, dir, "1.0", env...)
	for _, file := range []string{filepath.Base(one), "deb/ofdvr"} {
		a, err := os.ReadFile(filepath.Join(filepath.Dir(one), file))
		if file == "deb/ofdvr" { // replaced by the latest version
			a, err = os.ReadFile(extracted(t, one))
		}
		b, err2 := os.ReadFile(filepath.Join(dir, "bin", file))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two builds differ", file)
		}
	}
	program, err := elf.Open(extracted(t, one))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	libraries, err := program.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("the program needs shared libraries %v, error %v", libraries, err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program needs a dynamic linker")
		}
	}
}

// extracted returns the path of the program in a package.
func extracted(t *testing.T, deb string) string {
	t.Helper()
	dir := t.TempDir()
	execute(t, "dpkg-deb", "-x", deb, dir)
	return filepath.Join(dir, "usr/bin/ofdvr")
}

// The package has its files where a user expects them.
func TestContents(t *testing.T) {
	t.Parallel()
	lab.Require(t) // the tools that make packages are installed
	dir := t.TempDir()
	deb := packaged(t, "1.0")
	execute(t, "dpkg-deb", "-x", deb, dir)
	for _, file := range []string{
		"etc/ofdvr/ofdvr.yaml",
		"usr/bin/ofdvr",
		"usr/lib/systemd/system/ofdvr.service",
		"usr/share/bash-completion/completions/ofdvr",
		"usr/share/doc/ofdvr/README.md",
		"usr/share/doc/ofdvr/changelog.gz",
		"usr/share/doc/ofdvr/copyright",
		"usr/share/doc/ofdvr/docs/api.md",
		"usr/share/doc/ofdvr/docs/operations.md",
		"usr/share/doc/ofdvr/examples/two-networks/topology.yaml",
		"usr/share/doc/ofdvr/third-party-licences.gz",
		"usr/share/fish/vendor_completions.d/ofdvr.fish",
		"usr/share/man/man1/ofdvr-serve.1.gz",
		"usr/share/man/man1/ofdvr.1.gz",
		"usr/share/zsh/vendor-completions/_ofdvr",
	} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	licences := execute(t, "zcat", filepath.Join(dir, "usr/share/doc/ofdvr/third-party-licences.gz"))
	for _, module := range []string{"=== go.uber.org/zap v", "=== github.com/ovn-kubernetes/libovsdb v", "=== go: LICENSE"} {
		if !strings.Contains(licences, module) {
			t.Errorf("third-party-licences.gz has no %q", module)
		}
	}
	if got := execute(t, "dpkg-deb", "--field", deb, "Package", "Version", "Architecture", "Depends"); got !=
		"Package: ofdvr\nVersion: 1.0\nArchitecture: "+runtime.GOARCH+"\nDepends: openvswitch-switch (>= 2.17), adduser\n" {
		t.Errorf("the package's metadata is\n%s", got)
	}
	execute(t, "bash", "-n", filepath.Join(dir, "usr/share/bash-completion/completions/ofdvr"))
	for _, version := range [][3]string{{"0.0~20250101000000.gabc", "lt", "0.0~20250101000001.g012"}, {"0.0~20250101000000.gabc", "lt", "1.0"}, {"1.0", "lt", "1.0+4.gabc"}, {"1.1~rc1", "lt", "1.1"}} {
		execute(t, "dpkg", append([]string{"--compare-versions"}, version[:]...)...)
	}
}

// Lintian, Debian's package checker, reports nothing.
func TestLintian(t *testing.T) {
	t.Parallel()
	lab.Require(t)
	lab.Needs(t, "lintian")
	execute(t, "lintian", "--allow-root", "--fail-on", "error,warning", packaged(t, "1.0"))
}
