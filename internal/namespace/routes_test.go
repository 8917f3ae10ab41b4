package namespace

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// via returns a route through qr-a.
func via(to string, hops ...string) Route {
	r := Route{Destination: netip.MustParsePrefix(to)}
	for i, h := range hops {
		tap := "qr-a"
		if a, b, ok := strings.Cut(h, "@"); ok {
			h, tap = a, b
		}
		r.Hops = append(r.Hops, Hop{netip.MustParseAddr(h), tap, i + 1})
	}
	return r
}

func typed(to string, typ RouteType) Route {
	return Route{Destination: netip.MustParsePrefix(to), Type: typ}
}

// shown returns the routes with our mark in the syntax of ip-route(8), one per line with its hops.
func shown(t *testing.T, ns string) []string {
	t.Helper()
	var lines []string
	for _, family := range []string{"-4", "-6"} {
		for line := range strings.Lines(run(t, "ip", "-n", ns, family, "route", "show", "proto", "253")) {
			words := strings.Fields(line)
			for _, noise := range []string{"linkdown", "onlink", "pref", "medium", "dead"} {
				words = slices.DeleteFunc(words, func(w string) bool { return w == noise })
			}
			line = strings.ReplaceAll(strings.Join(words, " "), " dev lo metric 1024", "")
			line = strings.ReplaceAll(line, " metric 1024", "")
			if strings.HasPrefix(line, "nexthop") {
				lines[len(lines)-1] += " " + line
				continue
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// routesAre calls Ensure for d, and checks that the kernel has the routes want.
func routesAre(t *testing.T, d Desired, want ...string) (changed string) {
	t.Helper()
	changed = strings.Join(ensure(t, d), "\n")
	settled(t, d)
	slices.Sort(want)
	if got := shown(t, d.Name); !slices.Equal(got, want) {
		t.Errorf("routes are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return changed
}

// Desired routes are added, and other routes with our mark are removed. If another program
// removes a desired route, it is added again. Other programs' routes are not changed.
func TestRoutes(t *testing.T) {
	d := fresh(t)
	addTap(t, "qr-a")
	d.Routes = []Route{via("10.9.0.0/16", "10.0.1.9"), via("0.0.0.0/0", "10.0.1.254"), via("fd00:9::/48", "fd00:1::9"), via("10.7.0.0/16", "10.0.2.1@qr-none")}
	all := []string{"default via 10.0.1.254 dev qr-a", "10.9.0.0/16 via 10.0.1.9 dev qr-a", "fd00:9::/48 via fd00:1::9 dev qr-a"}
	if got := routesAre(t, d, all...); !strings.Contains(got, "added route 10.9.0.0/16 via 10.0.1.9 dev qr-a to qrouter-r1") {
		t.Error(got)
	}
	run(t, "ip", "-n", d.Name, "route", "add", "10.5.0.0/16", "via", "10.0.1.5")
	run(t, "ip", "-n", d.Name, "route", "del", "10.9.0.0/16")
	routesAre(t, d, all...)
	d.Routes = []Route{via("10.9.0.0/16", "10.0.1.8")}
	routesAre(t, d, "10.9.0.0/16 via 10.0.1.8 dev qr-a")
	d.Routes = []Route{via("10.5.0.0/16", "10.0.1.8")}
	if _, err := Ensure(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), "another program has a route to that destination") {
		t.Errorf("error %v", err)
	}
	d.Routes = nil
	routesAre(t, d)
	if got := run(t, "ip", "-n", d.Name, "route", "show", "10.5.0.0/16"); !strings.Contains(got, "via 10.0.1.5") {
		t.Errorf("the other program's route is %q", got)
	}
}

// TestRouteKinds changes a route from each kind to each other kind, for IPv4 and IPv6. Each change
// happens in place.
func TestRouteKinds(t *testing.T) {
	for _, family := range []struct{ to, net string }{{"10.9.0.0/16", "10.0.1."}, {"fd00:9::/48", "fd00:1::"}, {"0.0.0.0/0", "10.0.1."}, {"::/0", "fd00:1::"}} {
		to, net := family.to, family.net
		kinds := []struct {
			route Route
			want  string
		}{
			{via(to, net+"7"), "TO via NET7 dev qr-a"},
			{via(to, net+"8"), "TO via NET8 dev qr-a"},
			{via(to, net+"7", net+"8"), "TO nexthop via NET7 dev qr-a weight 1 nexthop via NET8 dev qr-a weight 2"},
			{via(to, net+"8", net+"7"), "TO nexthop via NET7 dev qr-a weight 2 nexthop via NET8 dev qr-a weight 1"},
			{via(to, net+"6", net+"7", net+"9"), "TO nexthop via NET6 dev qr-a weight 1 nexthop via NET7 dev qr-a weight 2 nexthop via NET9 dev qr-a weight 3"},
			{typed(to, RouteBlackhole), "blackhole TO"},
			{typed(to, RouteReject), "unreachable TO"},
		}
		shown := to
		if strings.HasSuffix(to, "/0") {
			shown = "default"
		}
		t.Run(to, func(t *testing.T) {
			d := fresh(t)
			addTap(t, "qr-a")
			ensure(t, d)
			for i, from := range kinds {
				for j, to := range kinds {
					want := func(s string) string {
						return strings.NewReplacer("TO", shown, "NET", net).Replace(s)
					}
					d.Routes = []Route{from.route}
					routesAre(t, d, want(from.want))
					d.Routes = []Route{to.route}
					changed := routesAre(t, d, want(to.want))
					if i != j && (!strings.HasPrefix(changed, "changed route ") || strings.Contains(changed, "\n")) {
						t.Errorf("%s to %s: %s", from.want, to.want, changed)
					}
				}
			}
			d.Routes = nil
			routesAre(t, d)
		})
	}
}

// A hop is left out only if its tap is missing or down.
func TestHopWithoutTap(t *testing.T) {
	d := fresh(t)
	addTap(t, "qr-a")
	d.Taps = append(d.Taps, Tap{Interface: "b", Name: "qr-b", MAC: [6]byte{2, 0, 0, 0, 2, 1}, MTU: 1450, Addresses: prefixes("10.0.2.1/24", "fd00:2::1/64")})
	d.Routes = []Route{via("10.9.0.0/16", "10.0.1.9", "10.0.2.9@qr-b"), via("fd00:9::/48", "fd00:1::9", "fd00:2::9@qr-b"),
		via("10.8.0.0/16", "10.0.2.9@qr-b"), via("fd00:8::/48", "fd00:2::9@qr-b")}
	missing(t, d, "qr-b")
	some := []string{"10.9.0.0/16 via 10.0.1.9 dev qr-a", "fd00:9::/48 via fd00:1::9 dev qr-a"}
	all := []string{"10.9.0.0/16 nexthop via 10.0.1.9 dev qr-a weight 1 nexthop via 10.0.2.9 dev qr-b weight 2",
		"fd00:9::/48 nexthop via fd00:1::9 dev qr-a weight 1 nexthop via fd00:2::9 dev qr-b weight 2",
		"10.8.0.0/16 via 10.0.2.9 dev qr-b", "fd00:8::/48 via fd00:2::9 dev qr-b"}
	if got := shown(t, d.Name); !slices.Equal(got, some) {
		t.Errorf("without qr-b: %q", got)
	}
	addTap(t, "qr-b")
	routesAre(t, d, all...)
	d.Taps[1].Down = true
	routesAre(t, d, some...)
	d.Taps[1].Down = false
	routesAre(t, d, all...)
	run(t, "ip", "-n", d.Name, "link", "set", "qr-b", "down")
	routesAre(t, d, all...)
}

// Another program's route with the destination of one of our routes stays, after any change of
// our route.
func TestForeignRouteToSameDestination(t *testing.T) {
	d := fresh(t)
	addTap(t, "qr-a")
	d.Routes = []Route{via("10.9.0.0/16", "10.0.1.9")}
	ensure(t, d)
	run(t, "ip", "-n", d.Name, "route", "prepend", "10.9.0.0/16", "via", "10.0.1.5", "proto", "static")
	run(t, "ip", "-n", d.Name, "route", "add", "10.9.0.0/16", "via", "10.0.1.6", "metric", "7")
	settled(t, d)
	d.Routes = []Route{via("10.9.0.0/16", "10.0.1.8")}
	if _, err := Ensure(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), "another program has a route to that destination") {
		t.Errorf("error %v", err)
	}
	got := run(t, "ip", "-n", d.Name, "route", "show", "10.9.0.0/16")
	for _, foreign := range []string{"10.0.1.5", "10.0.1.6"} {
		if !strings.Contains(got, foreign) {
			t.Errorf("%s is gone: %s", foreign, got)
		}
	}
}

// An equal route of another program replaces our route. In the test, an agent that owns the
// namespace adds the route, and later removes it.
func TestEqualForeignRoute(t *testing.T) {
	d := fresh(t)
	addTap(t, "qr-a")
	ensure(t, d)
	for _, r := range []struct{ family, to, via string }{{"-4", "10.9.0.0/16", "10.0.1.9"}, {"-6", "fd00:9::/48", "fd00:1::9"}} {
		run(t, "ip", "-n", d.Name, "route", "replace", r.to, "via", r.via, "dev", "qr-a")
		d.Routes = []Route{via(r.to, r.via)}
		settled(t, d)
		run(t, "ip", "-n", d.Name, "route", "del", r.to)
		ensure(t, d)
		if got := run(t, "ip", "-n", d.Name, r.family, "route", "show", r.to); !strings.Contains(got, "proto 253") {
			t.Errorf("the route is %q", got)
		}
		run(t, "ip", "-n", d.Name, "route", "replace", r.to, "via", r.via, "dev", "qr-a") // as Neutron does
		settled(t, d)
		d.Routes = nil
		ensure(t, d)
	}
}

// Routes with our mark that differ from the routes that we make are replaced.
func TestLeftoverRoutes(t *testing.T) {
	d := fresh(t)
	addTap(t, "qr-a")
	d.Routes = []Route{via("10.9.0.0/16", "10.0.1.9"), via("fd00:9::/48", "fd00:1::9")}
	ensure(t, d)
	for _, odd := range []string{"-4 route append 10.9.0.0/16 via 10.0.1.5", "-4 route add 10.9.0.0/16 via 10.0.1.5 metric 7", "-4 route add prohibit 10.4.0.0/16",
		"-6 route append fd00:9::/48 via fd00:1::5", "-6 route add fd00:9::/48 via fd00:1::5 metric 7", "-6 route add prohibit fd00:4::/48"} {
		run(t, "ip", append([]string{"-n", d.Name}, strings.Fields(odd+" proto 253")...)...)
	}
	routesAre(t, d, "10.9.0.0/16 via 10.0.1.9 dev qr-a", "fd00:9::/48 via fd00:1::9 dev qr-a")
}
