package namespace

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// A listener records the rules and routes that it receives.
type listener struct{ lines []string }

func (l *listener) Rule(r Rule) {
	what := fmt.Sprintf("rule v6=%v table %d from %v to %v", r.IPv6, r.Table, r.From, r.To)
	if r.Decides {
		what = fmt.Sprintf("rule v6=%v decides from %v to %v", r.IPv6, r.From, r.To)
	}
	if r.Partly {
		what += " partly"
	}
	l.lines = append(l.lines, what)
}

func (l *listener) Entry(e Entry) {
	what := fmt.Sprintf("route %d %v metric %d", e.Table, e.Destination, e.Metric)
	for _, flag := range []struct {
		is   bool
		word string
	}{{e.Declared, " declared"}, {e.Partly, " partly"}, {e.Throw, " throw"}} {
		if flag.is {
			what += flag.word
		}
	}
	l.lines = append(l.lines, what)
}

// Observe reports every rule and route of the kernel, in order. It distinguishes routes that the
// router itself needs.
func TestObserve(t *testing.T) {
	const ns = "observed"
	d := Desired{Name: ns, Router: "r", Routes: []Route{
		{Destination: netip.MustParsePrefix("10.9.0.0/16"), Type: RouteBlackhole},
		{Destination: netip.MustParsePrefix("10.8.0.0/16"), Type: RouteBlackhole},
		{Destination: netip.MustParsePrefix("fd09::/32"), Type: RouteReject},
	}}
	t.Cleanup(func() { deleteNS(ns) })
	if _, err := Ensure(t.Context(), d, new(Memory)); err != nil {
		t.Fatal(err)
	}
	run(t, "ip", "-n", ns, "route", "del", "blackhole", "10.8.0.0/16")
	for _, line := range []string{
		"addr add 10.0.1.1/24 dev lo", "-6 addr add fd01::1/64 dev lo",
		"route add blackhole 10.8.0.0/16", // the same as ours
		"route add unreachable 10.9.0.0/16 metric 7", "route add throw 10.7.0.0/16", "route add blackhole 10.6.0.0/16 tos 0x10",
		"route add prohibit 10.5.0.0/16 table 1000", "-6 route add blackhole fd08::/32",
		"rule add pref 10 from 10.1.0.0/16 to 10.2.0.0/16 lookup 1000", "rule add pref 11 fwmark 1 lookup 1001", "rule add pref 12 iif lo lookup 1002",
		"rule add pref 13 oif lo lookup 1003", "rule add pref 14 to 10.3.0.0/16 blackhole", "rule add pref 15 not from 10.4.0.0/16 lookup 1004",
		"rule add pref 16 lookup main suppress_prefixlength 0", "rule add pref 17 from 10.5.0.0/16 goto 32766", "rule add pref 18 nop",
		"rule add pref 19 iif eth7 lookup 1005", "rule add pref 20 ipproto tcp dport 80 lookup 1006", "rule add pref 21 l3mdev",
		"-6 rule add pref 10 from fd01::/64 lookup 1000",
	} {
		run(t, "ip", append([]string{"-n", ns}, strings.Fields(line)...)...)
	}
	l := new(listener)
	if err := Observe(d, func() Observer { l.lines = nil; return l }); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"rule v6=false table 255 from invalid Prefix to invalid Prefix",
		"rule v6=false table 1000 from 10.1.0.0/16 to 10.2.0.0/16",
		"rule v6=false table 1001 from invalid Prefix to invalid Prefix partly",
		"rule v6=false decides from invalid Prefix to 10.3.0.0/16",
		"rule v6=false table 1004 from invalid Prefix to invalid Prefix partly",
		"rule v6=false table 254 from invalid Prefix to invalid Prefix partly",
		"rule v6=false decides from 10.5.0.0/16 to invalid Prefix",
		"rule v6=false table 1005 from invalid Prefix to invalid Prefix partly",
		"rule v6=false table 1006 from invalid Prefix to invalid Prefix partly",
		"rule v6=false decides from invalid Prefix to invalid Prefix partly", // l3mdev
		"rule v6=false table 254 from invalid Prefix to invalid Prefix",
		"rule v6=true table 1000 from fd01::/64 to invalid Prefix",
		"rule v6=true table 254 from invalid Prefix to invalid Prefix",
		"route 254 10.9.0.0/16 metric 0 declared", "route 254 10.9.0.0/16 metric 7", "route 254 10.8.0.0/16 metric 0 declared",
		"route 254 10.7.0.0/16 metric 0 throw", "route 254 10.6.0.0/16 metric 0 partly", "route 1000 10.5.0.0/16 metric 0",
		"route 255 10.0.1.1/32 metric 0", "route 255 fd01::1/128 metric 0",
		"route 254 fd09::/32 metric 1024 declared", "route 254 fd08::/32 metric 1024",
	} {
		if !slices.Contains(l.lines, want) {
			t.Errorf("missing: %s", want)
		}
	}
	for _, not := range []string{"table 1002", "table 1003"} { // for locally generated packets
		if text := strings.Join(l.lines, "\n"); strings.Contains(text, not) {
			t.Errorf("unexpected %s in\n%s", not, text)
		}
	}
	if i, k := slices.Index(l.lines, "rule v6=false table 1000 from 10.1.0.0/16 to 10.2.0.0/16"), slices.Index(l.lines, "rule v6=false table 254 from invalid Prefix to invalid Prefix"); i > k {
		t.Errorf("rules are in the wrong order: %v", l.lines)
	}
	if t.Failed() {
		t.Log(strings.Join(l.lines, "\n"))
	}
}
