package namespace

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// theirs are routes of another program, of every kind that needs a tap.
var theirs = []string{
	"default via 10.0.1.254 dev qr-a proto static",
	"10.9.0.0/24 via 10.0.1.254 dev qr-a metric 7 mtu lock 1400 initcwnd 20",
	"10.8.0.0/24 via 10.0.1.254 dev qr-a table 100",
	"10.7.0.0/24 dev qr-a scope link",
	"10.6.0.0/24 via 192.0.2.9 dev qr-a onlink",
	"10.5.0.0/24 nexthop via 10.0.1.254 dev qr-a weight 2 nexthop via 10.0.1.253 dev qr-a",
	"10.4.0.0/24 via 10.0.1.254 dev qr-a src 10.0.1.1",
	"10.3.0.0/24 nexthop via 10.0.1.254 dev qr-a nexthop dev up0",
	"10.2.0.0/24 dev up0 src 10.0.1.1",
	"10.1.0.0/24 tos 0x10 via inet6 fe80::99 dev qr-a",
	"default via fe80::99 dev qr-a metric 50",
	"fd09::/64 via fd00:1::ff dev qr-a table 100",
	"fd08::/64 via fd00:1::ff dev qr-a src fd00:1::1",
	"fd07::/64 nexthop via fd00:1::fe dev qr-a weight 3 nexthop via fd00:1::ff dev qr-a",
	"fd06::/64 dev qr-a proto static pref high",
	"fd05::/64 nexthop via fd00:1::fe dev qr-a nexthop via fd00:2::9 dev up0",
}

func isV6(route string) bool {
	return strings.HasPrefix(route, "fd") || strings.Contains(route, "default via fe80")
}

// addUplink adds a link of another program.
func addUplink(t *testing.T, ns string) {
	t.Helper()
	run(t, "ip", "-n", ns, "tuntap", "add", "up0", "mode", "tap")
	run(t, "ip", "-n", ns, "link", "set", "up0", "addrgenmode", "none", "up")
	run(t, "ip", "-n", ns, "addr", "add", "fd00:2::1/64", "dev", "up0", "nodad")
}

// addTheirs adds another program's link and routes to qr-a's namespace.
func addTheirs(t *testing.T, ns string) {
	t.Helper()
	addUplink(t, ns)
	for _, r := range theirs {
		family := "-4"
		if isV6(r) {
			family = "-6"
		}
		run(t, "ip", strings.Fields(fmt.Sprintf("-n %s %s route add %s", ns, family, r))...)
	}
}

// routesIn returns the routes of a namespace that the kernel has not created, sorted.
func routesIn(t *testing.T, ns string) []string {
	t.Helper()
	var routes []string
	for _, family := range []string{"-4", "-6"} {
		out := run(t, "ip", "-n", ns, family, "-d", "-N", "-o", "route", "show", "table", "all")
		for line := range strings.Lines(out) {
			if !strings.Contains(line, " proto 2 ") {
				line = strings.NewReplacer("linkdown", "", "dead", "").Replace(line)
				routes = append(routes, strings.Join(strings.Fields(strings.ReplaceAll(line, `\`, " ")), " "))
			}
		}
	}
	slices.Sort(routes)
	return routes
}

// withTheirs returns a namespace with another program's routes.
func withTheirs(t *testing.T) (d Desired, m *Memory, before []string) {
	d = fresh(t)
	putRight(t, d)
	addTheirs(t, d.Name)
	before = routesIn(t, d.Name)
	if len(before) != len(theirs) {
		t.Fatalf("%d routes exist, want %d:\n%s", len(before), len(theirs), strings.Join(before, "\n"))
	}
	m = new(Memory)
	remembering(t, d, m)
	return d, m, before
}

// remembering calls Ensure, which must succeed and lose no route, and returns its changes.
func remembering(t *testing.T, d Desired, m *Memory) []string {
	t.Helper()
	r, err := Ensure(t.Context(), d, m)
	if err != nil || len(r.Missing)+len(r.Lost) > 0 {
		t.Errorf("missing %q, lost %q, %v", r.Missing, r.Lost, err)
	}
	return r.Changed
}

func compare(t *testing.T, before, after []string) {
	t.Helper()
	for _, r := range before {
		if !slices.Contains(after, r) {
			t.Errorf("missing: %s", r)
		}
	}
	for _, r := range after {
		if !slices.Contains(before, r) {
			t.Errorf("new:     %s", r)
		}
	}
}

// After any change of an interface, and after any change of a tap by another program, the routes of
// other programs are the same. The tests compare all tables and attributes of both families.
func TestForeignRoutesAreRestored(t *testing.T) {
	address := func(old string, now ...string) func(*testing.T, *Desired, *Memory) {
		return func(t *testing.T, d *Desired, _ *Memory) {
			d.Taps[0].Addresses = slices.DeleteFunc(d.Taps[0].Addresses, func(p netip.Prefix) bool { return p.String() == old })
			d.Taps[0].Addresses = append(d.Taps[0].Addresses, prefixes(now...)...)
		}
	}
	sh := func(script string) func(*testing.T, *Desired, *Memory) {
		return func(t *testing.T, d *Desired, _ *Memory) {
			run(t, "sh", "-ec", strings.ReplaceAll(script, "NS", d.Name))
		}
	}
	noSource := strings.NewReplacer(" src 10.0.1.1", "", " src fd00:1::1", "")
	for _, tt := range []struct {
		name  string
		spoil func(*testing.T, *Desired, *Memory)
		drops bool // routes lose their source
	}{
		{"longer IPv4 prefix", address("10.0.1.1/24", "10.0.1.1/25"), false},
		{"shorter IPv4 prefix", address("10.0.1.1/24", "10.0.1.1/16"), false},
		{"IPv4 address", address("10.0.1.1/24", "10.0.1.3/24"), true},
		{"IPv4 address of another subnet", address("10.0.1.1/24", "10.0.77.1/24"), true},
		{"second IPv4 address", address("10.0.1.2/24", "10.0.1.3/24"), false},
		{"IPv6 prefix", address("fd00:1::1/64", "fd00:1::1/56"), false},
		{"IPv6 address", address("fd00:1::1/64", "fd00:1::3/64"), true},
		{"all addresses", func(t *testing.T, d *Desired, _ *Memory) {
			d.Taps[0].Addresses = prefixes("10.0.1.9/24", "fd00:1::9/64")
		}, true},
		{"MAC", func(t *testing.T, d *Desired, _ *Memory) { d.Taps[0].MAC[5] = 9 }, false},
		{"down and up", func(t *testing.T, d *Desired, m *Memory) {
			d.Taps[0].Down = true
			remembering(t, *d, m)
			remembering(t, *d, m)
			d.Taps[0].Down = false
		}, false},
		{"down and up, with another prefix", func(t *testing.T, d *Desired, m *Memory) {
			d.Taps[0].Down = true
			d.Taps[0].Addresses = prefixes("10.0.1.1/16", "10.0.1.2/16", "fd00:1::1/56")
			remembering(t, *d, m)
			d.Taps[0].Down = false
		}, false},
		{"MTU too small for IPv6, and back", func(t *testing.T, d *Desired, m *Memory) {
			d.Taps[0].MTU = 1200
			r, err := Ensure(t.Context(), *d, m)
			v6 := 0
			for _, r := range theirs {
				if isV6(r) || strings.Contains(r, "inet6") {
					v6++
				}
			}
			if err == nil || len(r.Lost) < v6-1 { // a route that also uses another link keeps its other next hop
				t.Errorf("Ensure lost %d of %d routes: %q, %v", len(r.Lost), v6, r.Lost, err)
			}
			d.Taps[0].MTU = 1450
		}, false},
		{"down by hand", sh("ip -n NS link set qr-a down"), false},
		{"address removed by hand", sh("ip -n NS addr del 10.0.1.1/24 dev qr-a"), false},
		{"flushed by hand", sh("ip -n NS addr flush dev qr-a"), false},
		{"IPv6 disabled by hand", sh("ip netns exec NS sh -c 'echo 1 >/proc/sys/net/ipv6/conf/qr-a/disable_ipv6'"), false},
		{"recreated", func(t *testing.T, d *Desired, m *Memory) {
			run(t, "ip", "-n", d.Name, "link", "del", "qr-a")
			for range 2 {
				if r, err := Ensure(t.Context(), *d, m); err != nil || len(r.Missing) != 1 {
					t.Errorf("missing %q, %v", r.Missing, err)
				}
			}
			none := *d
			none.Taps = nil // ovs-vswitchd has not created the tap yet
			remembering(t, none, m)
			addTap(t, "qr-a")
			run(t, "ip", "link", "set", "qr-a", "addrgenmode", "none")
		}, false},
		{"recreated beside the previous one", func(t *testing.T, d *Desired, _ *Memory) {
			addTap(t, "qr-a")
			run(t, "ip", "link", "set", "qr-a", "addrgenmode", "none")
		}, false},
		{"recreated with another MAC and prefix", func(t *testing.T, d *Desired, _ *Memory) {
			run(t, "ip", "-n", d.Name, "link", "del", "qr-a")
			addTap(t, "qr-a")
			run(t, "ip", "link", "set", "qr-a", "addrgenmode", "none")
			d.Taps[0].MAC[5] = 9
			d.Taps[0].Addresses = prefixes("10.0.1.1/16", "10.0.1.2/16", "fd00:1::1/56")
		}, false},
		{"namespace recreated", func(t *testing.T, d *Desired, m *Memory) {
			if err := deleteNS(d.Name); err != nil {
				t.Fatal(err)
			}
			taps := d.Taps
			d.Taps = nil
			remembering(t, *d, m)
			d.Taps = taps
			withoutLinkLocal(t, d.Name)
			addUplink(t, d.Name)
			eventually(t, "the name of the previous tap to be free", func() bool { return tryTap(t, "qr-a") == nil })
			run(t, "ip", "link", "set", "qr-a", "addrgenmode", "none")
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, m, before := withTheirs(t)
			tt.spoil(t, &d, m)
			changed := strings.Join(remembering(t, d, m), ", ")
			if (tt.name == "MAC" || strings.Contains(tt.name, "IPv4")) && strings.Contains(changed, "restored route") != tt.drops {
				t.Errorf("routes were missing for a moment: %s", changed)
			}
			after := routesIn(t, d.Name)
			if tt.drops {
				for i := range before {
					before[i], after[i] = noSource.Replace(before[i]), noSource.Replace(after[i])
				}
			}
			compare(t, before, after)
			remembering(t, d, m)
			settled(t, d)
		})
	}
}

// Routes that another program removes or replaces are not restored, even if the tap changes
// later.
func TestRemovedForeignRoutesStayRemoved(t *testing.T) {
	d, m, before := withTheirs(t)
	run(t, "ip", "-n", d.Name, "route", "del", "10.9.0.0/24", "metric", "7")
	run(t, "ip", "-n", d.Name, "-6", "route", "del", "fd07::/64")
	run(t, "ip", "-n", d.Name, "route", "replace", "default", "via", "10.0.1.77", "dev", "qr-a", "proto", "static")
	want := routesIn(t, d.Name)
	if len(want) != len(before)-2 {
		t.Fatalf("%q", want)
	}
	remembering(t, d, m)
	run(t, "ip", "-n", d.Name, "link", "del", "qr-a")
	addTap(t, "qr-a")
	run(t, "ip", "link", "set", "qr-a", "addrgenmode", "none")
	remembering(t, d, m)
	compare(t, want, routesIn(t, d.Name))

	// The same holds for a route that is replaced while the tap does not exist.
	run(t, "ip", "-n", d.Name, "link", "del", "qr-a")
	run(t, "ip", "-n", d.Name, "route", "add", "default", "dev", "up0", "proto", "static")
	addTap(t, "qr-a")
	run(t, "ip", "link", "set", "qr-a", "addrgenmode", "none")
	remembering(t, d, m)
	for _, r := range routesIn(t, d.Name) {
		if strings.Contains(r, "default via 10.") {
			t.Errorf("unexpected route %s", r)
		}
	}
}

// If the next hop of a route is no longer in a subnet of the tap, the route is reported. This ends
// when the next hop fits again, or another route replaces the route.
func TestLostRoutesAreReported(t *testing.T) {
	d, m, before := withTheirs(t)
	run(t, "ip", "-n", d.Name, "link", "del", "qr-a")
	addTap(t, "qr-a")
	run(t, "ip", "link", "set", "qr-a", "addrgenmode", "none")
	was := d.Taps[0].Addresses
	d.Taps[0].Addresses = prefixes("10.0.77.1/24", "fd00:77::1/64")
	for range 2 {
		r, err := Ensure(t.Context(), d, m)
		lost := strings.Join(r.Lost, "\n")
		for _, want := range []string{"route default via 10.0.1.254 dev qr-a of another program in namespace qrouter-r1 was lost when tap qr-a changed, and cannot be restored: network is unreachable",
			"route 10.8.0.0/24 via 10.0.1.254 dev qr-a table 100 of", "route fd09::/64 via fd00:1::ff dev qr-a table 100 of"} {
			if err != nil || !strings.Contains(lost, want) {
				t.Errorf("lost\n%s\n%v, want %s", lost, err, want)
			}
		}
		if strings.Contains(lost, "10.7.0.0") || strings.Contains(lost, "10.6.0.0") {
			t.Errorf("lost\n%s", lost)
		}
	}
	run(t, "ip", "-n", d.Name, "route", "add", "default", "via", "10.0.77.254", "proto", "static")
	if r, err := Ensure(t.Context(), d, m); err != nil || strings.Contains(strings.Join(r.Lost, "\n"), "default via 10.") {
		t.Errorf("lost %q, %v", r.Lost, err)
	}
	d.Taps[0].Addresses = was
	remembering(t, d, m)
	after := routesIn(t, d.Name)
	for i := range before {
		if strings.Contains(before[i], "default via 10.") {
			before[i] = strings.Replace(before[i], "10.0.1.254", "10.0.77.254", 1)
		}
		if strings.Contains(before[i], "dev up0") { // restored without its source in the meantime
			before[i] = strings.Replace(before[i], " src 10.0.1.1", "", 1)
		}
	}
	compare(t, before, after)
	if got := m.Forget(func(string) bool { return false }); len(got) < len(theirs)-1 {
		t.Errorf("forgot %q", got)
	}
	if got := m.Forget(func(string) bool { return false }); len(got) != 0 {
		t.Errorf("forgot %q", got)
	}
}

// The first address of a subnet is the kernel's source address in that subnet.
func TestPrimaryAddress(t *testing.T) {
	d := fresh(t)
	d.Taps[0].Addresses = prefixes("10.0.1.1/24", "10.0.1.2/24", "10.0.1.3/24", "10.0.2.1/24", "fd00:1::1/64")
	addTap(t, "qr-a")
	ensure(t, d)
	for _, order := range [][]string{
		{"10.0.1.3/24", "10.0.1.1/24", "10.0.1.2/24", "10.0.2.1/24", "fd00:1::1/64"},
		{"10.0.1.5/24", "10.0.1.3/24", "10.0.2.9/24", "10.0.2.1/24", "fd00:1::1/64"},
		{"10.0.1.1/25", "10.0.1.3/24", "10.0.2.1/24", "fd00:1::1/64"},
	} {
		d.Taps[0].Addresses = prefixes(order...)
		ensure(t, d)
		settled(t, d)
		for _, subnet := range []string{order[0], "10.0.2.1/24"} {
			first := slices.IndexFunc(order, func(a string) bool { return prefixes(a)[0].Masked() == prefixes(subnet)[0].Masked() })
			want := "src " + prefixes(order[first])[0].Addr().String() + " "
			if got := run(t, "ip", "-n", d.Name, "route", "show", prefixes(subnet)[0].Masked().String()); !strings.Contains(got+" ", want) {
				t.Errorf("%v: %s, want %s", order, got, want)
			}
		}
	}
}
