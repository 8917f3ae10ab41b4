package namespace

import (
	"net/netip"
	"strings"
	"testing"
)

// Routes are added and removed as they are wanted, and come back when somebody
// removes them; those of others are not touched.
func TestRoutes(t *testing.T) {
	d := fresh(t)
	addTap(t, "qr-a")
	route := func(to, via string) Route {
		return Route{netip.MustParsePrefix(to), netip.MustParseAddr(via), "qr-a"}
	}
	d.Routes = []Route{route("10.9.0.0/16", "10.0.1.9"), route("0.0.0.0/0", "10.0.1.254"), route("fd00:9::/48", "fd00:1::9"), {netip.MustParsePrefix("10.7.0.0/16"), netip.MustParseAddr("10.0.2.1"), "qr-none"}}
	changed := ensure(t, d)
	settled(t, d)
	if got := strings.Join(changed, "\n"); !strings.Contains(got, "added route 10.9.0.0/16 via 10.0.1.9 dev qr-a to qrouter-r1") {
		t.Error(got)
	}
	show := func() string {
		return run(t, "ip", "-n", d.Name, "route", "show", "proto", "253") + "\n" + run(t, "ip", "-n", d.Name, "-6", "route", "show", "proto", "253")
	}
	has := func(want ...string) {
		t.Helper()
		got := show()
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%q is missing from\n%s", w, got)
			}
		}
		if n := len(strings.Split(strings.TrimSpace(got), "\n")); n != len(want) {
			t.Errorf("%d routes, want %d:\n%s", n, len(want), got)
		}
	}
	has("default via 10.0.1.254 dev qr-a", "10.9.0.0/16 via 10.0.1.9 dev qr-a", "fd00:9::/48 via fd00:1::9 dev qr-a")
	run(t, "ip", "-n", d.Name, "route", "add", "10.5.0.0/16", "via", "10.0.1.5")
	run(t, "ip", "-n", d.Name, "route", "del", "10.9.0.0/16")
	ensure(t, d)
	settled(t, d)
	has("default", "10.9.0.0/16", "fd00:9::/48")
	d.Routes = []Route{route("10.9.0.0/16", "10.0.1.8")}
	ensure(t, d)
	settled(t, d)
	has("10.9.0.0/16 via 10.0.1.8 dev qr-a")
	d.Routes = []Route{route("10.5.0.0/16", "10.0.1.8")}
	if _, err := Ensure(t.Context(), d); err == nil || !strings.Contains(err.Error(), "somebody else has a route there") {
		t.Errorf("error %v", err)
	}
	d.Routes = nil
	ensure(t, d)
	if got := strings.TrimSpace(show()); got != "" {
		t.Errorf("routes are left: %s", got)
	}
	if got := run(t, "ip", "-n", d.Name, "route", "show", "10.5.0.0/16"); !strings.Contains(got, "via 10.0.1.5") {
		t.Errorf("somebody's route is %q", got)
	}
}
