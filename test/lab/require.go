package lab

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// SchemaFile returns the path of Open vSwitch's OVSDB schema. It is in the directory that
// OVS_PKGDATADIR names, as for Open vSwitch's programs, or in the directory where Debian and
// Ubuntu install it.
func SchemaFile() string {
	return filepath.Join(cmp.Or(os.Getenv("OVS_PKGDATADIR"), "/usr/share/openvswitch"), "vswitch.ovsschema")
}

// reasonEnv is the environment variable in which [Main] passes to [Require] the reason why a bubble
// is impossible.
const reasonEnv = "OFDVR_LAB_MISSING"

// Missing returns nil if this machine can run the lab, and otherwise an error that lists all
// missing requirements.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root, to make network namespaces")
	}
	var errs []error
	for _, name := range []string{
		"ovsdb-server", "ovsdb-tool", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl",
		"ip", "nsenter", "mount", "ethtool", "ping",
	} {
		if _, err := exec.LookPath(name); err != nil {
			errs = append(errs, fmt.Errorf("%s is not installed or not in PATH", name))
		}
	}
	for _, path := range []string{SchemaFile(), "/dev/net/tun"} {
		if _, err := os.Stat(path); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("the lab lacks something; scripts/setup.sh installs it:\n%w", err)
	}
	return nil
}

// Main is TestMain for a package with tests that use the lab. It runs the tests in a bubble. If a
// bubble is impossible, it runs them outside, so that tests without the lab still run. [Require]
// skips or fails the other tests.
func Main(m *testing.M) {
	if err := Isolate(); err != nil {
		os.Setenv(reasonEnv, err.Error())
	}
	os.Exit(m.Run())
}

// Require skips the test if the program is not in a bubble. With CI=true in the
// environment it fails the test instead, so that CI never skips a test.
func Require(t testing.TB) {
	t.Helper()
	if Isolated() {
		return
	}
	reason := os.Getenv(reasonEnv)
	if reason == "" {
		reason = "TestMain does not call lab.Main"
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs the lab, and CI=true: %s", reason)
	}
	t.Skipf("needs the lab: %s", reason)
}

// Needs skips the test if a command is not installed. With CI=true it fails the test instead.
func Needs(t testing.TB, command string) {
	t.Helper()
	_, err := exec.LookPath(command)
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// Full reports whether tests run all of their rounds, as in make test-full. Normally they run
// a part of them.
func Full() bool { return os.Getenv("OFDVR_LAB_FULL") == "true" }
