package radvd

import (
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the expected output in testdata")

var example = Router{ID: "r1", Interfaces: []Interface{
	{ID: "a", Tap: "qr-a", Lifetime: 1800, Interval: 600, MTU: 1450, Prefixes: []Prefix{
		{netip.MustParsePrefix("2001:db8:1::/64"), true, true, 86400, 14400},
		{netip.MustParsePrefix("2001:db8:2::/56"), false, false, math.MaxUint32, 0},
	}},
	{ID: "b", Tap: "qr-b", Managed: true, Other: true, Lifetime: 0, Interval: 4},
	{ID: "c", Tap: "qr-c", Lifetime: 1800, Interval: 1800, Down: true},
	{ID: "d", Tap: "qr-d", Other: true, Lifetime: 9000, Interval: 1800, MTU: 1280},
}}

func TestConfig(t *testing.T) {
	const golden = "testdata/example.conf"
	got := config(&example)
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got := config(&Router{ID: "r1", Interfaces: example.Interfaces[2:3]}); got != nil {
		t.Errorf("config returned a file for a router without an interface that is up:\n%s", got)
	}
}

// radvd accepts the configurations, including configurations with the smallest and largest
// allowed values.
func TestRadvdAcceptsConfig(t *testing.T) {
	binary, err := lookPath()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	r := example
	for interval := 4; interval <= 1800; interval += 7 {
		r.Interfaces = append(r.Interfaces, Interface{Tap: fmt.Sprint("qr~", interval), Lifetime: interval, Interval: interval})
	}
	name := filepath.Join(t.TempDir(), "x.conf")
	if err := writeConfig(name, config(&r)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary, "-c", "-C", name, "-p", name+".pid", "-m", "stderr_clean").CombinedOutput()
	if err != nil && !strings.Contains(string(out), "socket") { // ignore this error: the test may lack the permission to open a socket
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "No such device") && !strings.Contains(line, ", syntax ok") {
			t.Error(line)
		}
	}
}

func TestConfigLeaves(t *testing.T) {
	conf := config(&example)
	if example.leaves(conf) || example.leaves(nil) {
		t.Error("leaves returns true for an unchanged configuration")
	}
	all := example.Interfaces
	less := Router{Interfaces: all[1:]}
	more := Router{Interfaces: append(all[:len(all):len(all)], Interface{Tap: "qr-e"})}
	down := Router{Interfaces: append([]Interface{{Tap: "qr-a", Down: true}}, all[1:]...)}
	if !less.leaves(conf) || more.leaves(conf) || down.leaves(conf) {
		t.Errorf("leaves returned %v for fewer, %v for more and %v for disabled interfaces", less.leaves(conf), more.leaves(conf), down.leaves(conf))
	}
}
