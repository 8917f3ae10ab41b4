package lifecycle

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/routing"
)

// For an interface with router advertisements, the model accepts exactly those tap names that radvd
// can parse.
func TestTapNamesAreValidInRadvd(t *testing.T) {
	binary, err := exec.LookPath("/usr/sbin/radvd")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	accepts := func(name string) bool {
		f := routing.Interface{ID: "i", Network: "n", MAC: [6]byte{2, 0, 0, 0, 0, 1}, Addresses: []netip.Prefix{netip.MustParsePrefix("fd00::1/64")},
			TapPort: name, RA: &routing.RA{Lifetime: 1800, Interval: 600}}
		m := routing.Model{Networks: []routing.Network{{ID: "n", MTU: 1500}}, Routers: []routing.Router{{ID: "r", Bridge: routing.Bridge{Managed: true},
			Fallback: routing.FallbackNamespace, Interfaces: []routing.Interface{f}}}}
		err := m.Validate()
		if err != nil && !strings.Contains(err.Error(), "routers[0].interfaces[0].tap_port: ") {
			t.Fatalf("%q: %v", name, err)
		}
		return err == nil
	}
	var names []string
	for c := ' '; c < 0x80; c++ {
		for _, form := range []string{"%c", "%ca", "a%c", "%c1", "1%c", "a%cb", "1%c1", "%c%[1]c"} {
			names = append(names, fmt.Sprintf(form, c))
		}
	}
	names = append(names, "10", "off", "q{};", "-1", "1.1", "00", "all", "default", "Interface", "10.0.0.1", "fe80", "0x10", "1e5")
	// The names also include all words in the manual of the installed radvd.
	if manual, err := exec.Command("sh", "-c", "zcat -f /usr/share/man/man5/radvd.conf.5*").Output(); err == nil {
		names = append(names, strings.FieldsFunc(string(manual), func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
		})...)
	}
	var config strings.Builder
	accepted := make(map[string]bool)
	for _, name := range names {
		if !accepted[name] && accepts(name) {
			accepted[name] = true
			fmt.Fprintf(&config, "interface %s { AdvSendAdvert on; IgnoreIfMissing on; };\n", name)
		}
	}
	for _, name := range []string{"qr-a", "1a", "a", "q~a", "veth0.5", "blue", "-a", "q#a", "f00"} {
		if !accepts(name) {
			t.Errorf("%q is refused", name)
		}
	}
	for _, name := range []string{"10", "off", "q{};", "-1", "1.1", "prefix", "#a", "all", "default"} {
		if accepted[name] {
			t.Errorf("%q is accepted", name)
		}
	}
	if len(accepted) < 300 {
		t.Errorf("only %d names are accepted", len(accepted))
	}
	file := filepath.Join(t.TempDir(), "radvd.conf")
	if err := os.WriteFile(file, []byte(config.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(binary, "-c", "-C", file, "-p", file+".pid", "-m", "stderr_clean").CombinedOutput()
	if !strings.Contains(string(out), "syntax ok") {
		line := ""
		for i, l := range strings.Split(config.String(), "\n") {
			if strings.Contains(string(out), fmt.Sprintf("radvd.conf:%d error", i+1)) {
				line = l
			}
		}
		t.Errorf("radvd reports %s for line %s", out, line)
	}
}
