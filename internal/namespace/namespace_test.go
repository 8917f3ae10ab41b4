package namespace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func prefixes(ss ...string) (ps []netip.Prefix) {
	for _, s := range ss {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// fresh returns a desired namespace with one tap, and cleans up after the test.
func fresh(t *testing.T) Desired {
	t.Helper()
	needRoot(t)
	t.Cleanup(func() {
		names, _ := os.ReadDir(dir)
		for _, n := range names {
			if err := deleteNS(n.Name()); err != nil {
				t.Error(err)
			}
		}
		exec.Command("ip", "link", "del", "qr-a").Run()
	})
	return Desired{Name: "qrouter-r1", Router: "r1", Taps: []Tap{{Interface: "a", Name: "qr-a", MAC: [6]byte{2, 0, 0, 0, 1, 1}, MTU: 1450,
		Addresses: prefixes("10.0.1.1/24", "10.0.1.2/24", "fd00:1::1/64")}}}
}

// addTap creates a tap as ovs-vswitchd does. An earlier tap with that name stays, as when
// ovs-vswitchd was killed and started again.
func addTap(t *testing.T, name string) {
	t.Helper()
	if err := tryTap(t, name); err != nil {
		t.Fatalf("create tap %s: %v", name, err)
	}
}

// openTaps are the open files of taps.
var openTaps = make(map[string]*os.File)

func tryTap(t *testing.T, name string) error {
	t.Helper()
	if old := openTaps[name]; old != nil {
		old.Close()
	}
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	r, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err = unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, r); err == nil {
		err = unix.IoctlSetInt(int(f.Fd()), unix.TUNSETPERSIST, 1)
	}
	if err != nil {
		f.Close()
		return err
	}
	openTaps[name] = f
	t.Cleanup(func() {
		if openTaps[name] == f {
			delete(openTaps, name)
		}
		unix.IoctlSetInt(int(f.Fd()), unix.TUNSETPERSIST, 0)
		f.Close()
	})
	return nil
}

func ensure(t *testing.T, d Desired) []string {
	t.Helper()
	check, err := Check(t.Context(), d)
	if again, err2 := Check(t.Context(), d); err != nil || err2 != nil || !slices.Equal(check.Changed, again.Changed) {
		t.Errorf("Check returned %q, %v and then %q, %v", check.Changed, err, again.Changed, err2)
	}
	r, err := Ensure(t.Context(), d, nil)
	if n := len(check.Changed); (n > 0) != (len(r.Changed) > 0) || n > 0 && check.Changed[0] != r.Changed[0] {
		t.Errorf("Check predicted %q, but Ensure changed %q", check.Changed, r.Changed)
	}
	if err != nil || len(r.Missing) > 0 {
		t.Fatalf("missing %q, %v", r.Missing, err)
	}
	return r.Changed
}

// missing calls Ensure, which must report exactly these taps as missing.
func missing(t *testing.T, d Desired, want ...string) {
	t.Helper()
	if r, err := Ensure(t.Context(), d, nil); err != nil || !slices.Equal(r.Missing, want) {
		t.Errorf("missing %q, want %q; %v", r.Missing, want, err)
	}
}

func settled(t *testing.T, d Desired) {
	t.Helper()
	if c := ensure(t, d); len(c) > 0 {
		t.Errorf("changed the second time: %q", c)
	}
}

// describe returns the relevant attributes of qr-a in the namespace.
func describe(t *testing.T, ns string) string {
	t.Helper()
	var b strings.Builder
	link := run(t, "ip", "-n", ns, "-o", "link", "show", "qr-a")
	for _, f := range []string{"mtu 1450", "link/ether 02:00:00:00:01:01", ",UP", "alias ofdvr-interface=a"} {
		fmt.Fprintf(&b, "%s: %v\n", f, strings.Contains(link, f))
	}
	for line := range strings.Lines(run(t, "ip", "-n", ns, "-o", "addr", "show", "dev", "qr-a")) {
		f := strings.Fields(line)
		fmt.Fprintf(&b, "%s tentative %v\n", f[3], strings.Contains(line, "tentative"))
	}
	return b.String()
}

// withoutLinkLocal disables automatic link-local addresses in a namespace, so that no test depends on when
// the kernel adds them.
func withoutLinkLocal(t *testing.T, ns string) {
	t.Helper()
	run(t, "nsenter", "--net="+path(ns), "sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1")
}

const right = `mtu 1450: true
link/ether 02:00:00:00:01:01: true
,UP: true
alias ofdvr-interface=a: true
10.0.1.1/24 tentative false
10.0.1.2/24 tentative false
fd00:1::1/64 tentative false
`

// putRight applies d and checks the result with iproute2.
func putRight(t *testing.T, d Desired) {
	t.Helper()
	taps := d.Taps
	d.Taps = nil
	ensure(t, d)
	d.Taps = taps
	withoutLinkLocal(t, d.Name)
	addTap(t, "qr-a")
	run(t, "ip", "link", "set", "qr-a", "addrgenmode", "none")
	ensure(t, d)
	if got := describe(t, d.Name); got != right {
		t.Fatalf("tap is\n%swant\n%s", got, right)
	}
	settled(t, d)
}

func TestEnsure(t *testing.T) {
	d := fresh(t)
	missing(t, d, "qr-a")
	missing(t, d, "qr-a")
	putRight(t, d)
	for key, want := range map[string]string{"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.arp_ignore": "1", "net.ipv4.conf.all.arp_announce": "2",
		"net.ipv6.conf.all.forwarding": "1", "net.ipv4.fib_multipath_hash_policy": "1", "net.ipv6.fib_multipath_hash_policy": "1"} {
		if got := run(t, "nsenter", "--net="+path(d.Name), "sysctl", "-n", key); got != want {
			t.Errorf("%s=%s, want %s", key, got, want)
		}
	}
	if got := run(t, "ip", "-n", d.Name, "link", "show", "lo"); !strings.Contains(got, "LOOPBACK,UP") || !strings.Contains(got, "alias ofdvr-router=r1") {
		t.Errorf("lo: %s", got)
	}
	if got := run(t, "ip", "netns", "list"); !strings.HasPrefix(got, d.Name) {
		t.Errorf("ip netns list: %q", got)
	}
	if got, err := List(); err != nil || !slices.Equal(got, []Namespace{{Name: "qrouter-r1", Router: "r1"}}) {
		t.Errorf("List: %v, %v", got, err)
	}
	if _, err := os.Stat("/sys/class/net/qr-a"); err == nil {
		t.Error("qr-a is still outside")
	}
}

// TestDrift makes manual changes. Ensure must correct them and change nothing else.
func TestDrift(t *testing.T) {
	for _, tt := range []struct{ spoil, want string }{
		{"ip -n NS link set qr-a down", "added address fd00:1::1/64 to qr-a in qrouter-r1, set qr-a in qrouter-r1 up"},
		{"ip -n NS link set qr-a address 02:00:00:00:00:99", "set MAC address 02:00:00:00:01:01 on qr-a in qrouter-r1"},
		{"ip -n NS link set qr-a mtu 1500", "set MTU 1450 on qr-a in qrouter-r1"},
		{"ip -n NS link set qr-a alias ofdvr-interface=old", "marked tap qr-a in qrouter-r1"},
		{"ip -n NS link set qr-a alias mine", "marked tap qr-a in qrouter-r1"},
		{"ip -n NS addr add 192.0.2.1/32 dev qr-a", "removed address 192.0.2.1/32 from qr-a in qrouter-r1"},
		{"ip -n NS addr del 10.0.1.1/24 dev qr-a", "added address 10.0.1.1/24 to qr-a in qrouter-r1, made 10.0.1.1/24 the primary address of its subnet on qr-a in qrouter-r1"},
		{"ip -n NS -6 addr flush dev qr-a", "added address fd00:1::1/64 to qr-a in qrouter-r1"},
		{"ip -n NS addr add fe80::7/64 dev qr-a", ""},
		{"ip -n NS link set lo down", "set lo in qrouter-r1 up"},
		{"nsenter --net=/run/netns/NS sysctl -qw net.ipv4.ip_forward=0", "set net.ipv4.ip_forward=1 in qrouter-r1"},
		{"nsenter --net=/run/netns/NS sysctl -qw net.ipv6.conf.all.forwarding=0", "set net.ipv6.conf.all.forwarding=1 in qrouter-r1"},
	} {
		t.Run(tt.spoil, func(t *testing.T) {
			d := fresh(t)
			putRight(t, d)
			f := strings.Fields(strings.ReplaceAll(tt.spoil, "NS", d.Name))
			run(t, f[0], f[1:]...)
			if got := strings.Join(ensure(t, d), ", "); got != tt.want {
				t.Errorf("changed %s\nwant    %s", got, tt.want)
			}
			settled(t, d)
		})
	}
}

// A tap that is down has the same configuration as when it is up.
func TestDown(t *testing.T) {
	d := fresh(t)
	putRight(t, d)
	d.Taps[0].Down = true
	if got, want := strings.Join(ensure(t, d), ", "), "set qr-a in qrouter-r1 down, added address fd00:1::1/64 to qr-a in qrouter-r1"; got != want {
		t.Errorf("changed %s\nwant    %s", got, want)
	}
	settled(t, d)
	if got, want := describe(t, d.Name), strings.Replace(right, ",UP: true", ",UP: false", 1); got != want {
		t.Errorf("tap is\n%swant\n%s", got, want)
	}
	run(t, "ip", "-n", d.Name, "link", "set", "qr-a", "up")
	ensure(t, d)
	settled(t, d)
	d.Taps[0].Down = false
	if got, want := strings.Join(ensure(t, d), ", "), "set qr-a in qrouter-r1 up"; got != want {
		t.Errorf("changed %s, want %s", got, want)
	}
	settled(t, d)
	if got := describe(t, d.Name); got != right {
		t.Errorf("tap is\n%swant\n%s", got, right)
	}
}

// TestCreatedDown creates a tap that has never been up.
func TestCreatedDown(t *testing.T) {
	d := fresh(t)
	addTap(t, "qr-a")
	d.Taps[0].Down = true
	ensure(t, d)
	settled(t, d)
	if got, want := describe(t, d.Name), strings.Replace(right, ",UP: true", ",UP: false", 1); got != want {
		t.Errorf("tap is\n%swant\n%s", got, want)
	}
}

func TestChangedAddresses(t *testing.T) {
	d := fresh(t)
	putRight(t, d)
	d.Taps[0].Addresses = prefixes("10.0.1.2/24", "10.0.9.1/25") // the first was the primary address, so the kernel removes the second with it
	ensure(t, d)
	settled(t, d)
	got := describe(t, d.Name)
	if !strings.Contains(got, "10.0.1.2/24") || !strings.Contains(got, "10.0.9.1/25") || strings.Contains(got, "10.0.1.1/24") || strings.Contains(got, "fd00") {
		t.Errorf("tap is\n%s", got)
	}
}

// TestRecreated recreates the tap outside, as ovs-vswitchd does at its start. It does so with
// and without the old tap inside.
func TestRecreated(t *testing.T) {
	for _, stale := range []bool{false, true} {
		t.Run(fmt.Sprint("stale ", stale), func(t *testing.T) {
			d := fresh(t)
			putRight(t, d)
			if !stale {
				run(t, "ip", "-n", d.Name, "link", "del", "qr-a")
				missing(t, d, "qr-a")
			}
			addTap(t, "qr-a")
			run(t, "ip", "link", "set", "qr-a", "addrgenmode", "none")
			ensure(t, d)
			if got := describe(t, d.Name); got != right {
				t.Errorf("tap is\n%swant\n%s", got, right)
			}
			settled(t, d)
		})
	}
}

func TestForeignLink(t *testing.T) {
	d := fresh(t)
	taps := d.Taps
	d.Taps = nil
	ensure(t, d)
	d.Taps = taps
	run(t, "ip", "-n", d.Name, "link", "add", "qr-a", "type", "bridge")
	addTap(t, "qr-a")
	d.Taps = append([]Tap{{Interface: "b", Name: "qr-b", MTU: 1500}}, d.Taps...)
	r, err := Ensure(t.Context(), d, nil)
	if !slices.Equal(r.Missing, []string{"qr-b"}) || err == nil || !strings.Contains(err.Error(), "does not belong to ofdvr") {
		t.Errorf("Ensure: missing %q, %v; want both problems", r.Missing, err)
	}
	if got := run(t, "ip", "-n", d.Name, "-d", "link", "show", "qr-a"); !strings.Contains(got, "bridge") {
		t.Errorf("qr-a is now %s", got)
	}
}

// If a link outside has the tap's name but is not a tap, it is not moved.
func TestForeignLinkOutside(t *testing.T) {
	d := fresh(t)
	putRight(t, d)
	run(t, "ip", "link", "add", "qr-a", "type", "bridge")
	settled(t, d)
	if got := describe(t, d.Name); got != right {
		t.Errorf("tap is\n%swant\n%s", got, right)
	}
	run(t, "ip", "-n", d.Name, "link", "del", "qr-a")
	if r, err := Ensure(t.Context(), d, nil); len(r.Changed)+len(r.Missing) > 0 || err == nil || !strings.Contains(err.Error(), "another program's link has that name outside") {
		t.Errorf("Ensure: %+v, %v; want an error", r, err)
	}
	if got := run(t, "ip", "-d", "link", "show", "qr-a"); !strings.Contains(got, "bridge") {
		t.Errorf("qr-a is now %s", got)
	}
}

func TestRemove(t *testing.T) {
	for _, tt := range []struct{ name, spoil, kept string }{
		{"ours", "", ""},
		{"does not exist", "ip netns del NS", ""},
		{"another program's link", "ip -n NS tuntap add eth9 mode tap", "it has links that do not belong to ofdvr: eth9"},
		{"not ours", "ip -n NS link set lo alias other", "it does not belong to ofdvr"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := fresh(t)
			putRight(t, d)
			if f := strings.Fields(strings.ReplaceAll(tt.spoil, "NS", d.Name)); len(f) > 0 {
				run(t, f[0], f[1:]...)
			}
			err := Remove(d.Name, d.Instance)
			var kept *KeptError
			if tt.kept == "" && err != nil || tt.kept != "" && (!errors.As(err, &kept) || !strings.Contains(err.Error(), tt.kept)) {
				t.Errorf("Remove: %v, want %q", err, tt.kept)
			}
			if _, err := os.Stat(path(d.Name)); (err == nil) != (tt.kept != "") {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

// TestExistingNamespace uses a namespace that another program has created.
func TestExistingNamespace(t *testing.T) {
	d := fresh(t)
	run(t, "ip", "netns", "add", d.Name)
	putRight(t, d)
	if got, err := List(); err != nil || len(got) > 0 {
		t.Errorf("List: %v, %v", got, err)
	}
	var kept *KeptError
	if err := Remove(d.Name, d.Instance); !errors.As(err, &kept) {
		t.Errorf("Remove: %v", err)
	}
	if got := run(t, "ip", "netns", "list"); !strings.HasPrefix(got, d.Name) {
		t.Errorf("ip netns list: %q", got)
	}
}

func TestNamespaceOfAnotherRouter(t *testing.T) {
	d := fresh(t)
	d.Taps = nil
	ensure(t, d)
	d.Router = "r2"
	if _, err := Ensure(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), `"r1"`) {
		t.Errorf("Ensure: %v", err)
	}
}

// TestLeftover uses a namespace file without a mount. Such a file remains if its creator dies
// before the mount.
func TestLeftover(t *testing.T) {
	d := fresh(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path(d.Name), nil, 0); err != nil {
		t.Fatal(err)
	}
	putRight(t, d)
}

// As with `ip netns add`, a process with its own mount namespace can see new namespaces, and does
// not see deleted ones.
func TestVisibleInOtherMountNamespaces(t *testing.T) {
	d := fresh(t)
	d.Taps = nil
	if err := prepareDir(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "slave", "sh", "-c", "echo ready; read x; stat -f -c %T "+path(d.Name))
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ready [6]byte
	if _, err := out.Read(ready[:]); err != nil {
		t.Fatal(err)
	}
	ensure(t, d)
	in.Write([]byte("\n"))
	var buf [64]byte
	n, _ := out.Read(buf[:])
	if got := strings.TrimSpace(string(buf[:n])); !strings.Contains(got, "nsfs") && got != "6e736673" {
		t.Errorf("its file system type in the other mount namespace is %q", got)
	}
	in.Close()
	cmd.Wait()
}

func TestInvalidName(t *testing.T) {
	needRoot(t)
	for _, name := range []string{"", "..", "a/b", strings.Repeat("x", 256)} {
		if _, err := Ensure(t.Context(), Desired{Name: name}, nil); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

// No thread of the process stays in a namespace.
func TestThreads(t *testing.T) {
	d := fresh(t)
	putRight(t, d)
	for range 50 {
		settled(t, d)
	}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "all threads are in the original namespace", func() bool {
		tasks, _ := filepath.Glob("/proc/self/task/*/ns/net")
		for _, task := range tasks {
			if ns, err := os.Readlink(task); err == nil && ns != own {
				return false
			}
		}
		return true
	})
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestWatch(t *testing.T) {
	d := fresh(t)
	w := NewWatcher()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	follow := func(names ...string) {
		t.Helper()
		if err := w.Follow(t.Context(), names...); err != nil {
			t.Fatal(err)
		}
	}
	follow(d.Name, "other")
	expect := func(what string) {
		t.Helper()
		select {
		case <-w.Changed():
		case <-time.After(20 * time.Second):
			t.Fatalf("not reported within 20 s: %s", what)
		}
	}
	// quiet waits until Run has reported everything.
	quiet := func() {
		for {
			select {
			case <-w.Changed():
			case <-time.After(50 * time.Millisecond):
				return
			}
		}
	}
	quiet()
	w.Take()
	addTap(t, "qr-a")
	expect("the tap")
	quiet()
	if c := w.Take(); !c.Links["qr-a"] || len(c.Namespaces) > 0 || c.Added {
		t.Errorf("for the tap: %+v", c)
	}
	ensure(t, d)
	expect("the namespace")
	quiet()
	if c := w.Take(); !c.Namespaces[d.Name] || !c.Replaced[d.Name] || !c.Added || c.Links["qr-a"] || len(c.Namespaces) != 1 {
		t.Errorf("for the namespace: %+v", c)
	}
	settled(t, d)
	select {
	case <-w.Changed():
		t.Error("reported without a change")
	case <-time.After(50 * time.Millisecond):
	}
	for _, c := range []string{"ip -n NS addr del 10.0.1.1/24 dev qr-a", "ip -n NS addr flush dev qr-a", "ip -n NS link del qr-a", "ip netns del NS", "ip netns add NS", "ip -n NS link set lo up"} {
		f := strings.Fields(strings.ReplaceAll(c, "NS", d.Name))
		run(t, f[0], f[1:]...)
		expect(c)
		quiet()
		replaced := strings.Contains(c, "netns")
		if got := w.Take(); !got.Namespaces[d.Name] || got.Replaced[d.Name] != replaced || len(got.Links) > 0 {
			t.Errorf("after %s: %+v", c, got)
		}
	}
	run(t, "ip", "netns", "add", "third")
	expect("a change in a namespace that is not watched")
	quiet()
	if c := w.Take(); !c.Added || len(c.Namespaces)+len(c.Links) > 0 {
		t.Errorf("got changes of a namespace that is not watched: %+v", c)
	}
	follow("third")
	run(t, "ip", "-n", d.Name, "link", "set", "lo", "down")
	select {
	case <-w.Changed():
		t.Error("reported a namespace that is no longer watched")
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v", err)
	}
	if err := w.Follow(ctx, "after", "the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("Follow returned %v", err)
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if l, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.Contains(l, "mountinfo") || strings.Contains(l, "nsfs") {
			t.Errorf("left open: %s", l)
		}
	}
}
