package namespace

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// wholeNamespace returns the complete configuration of a namespace, without volatile state.
func wholeNamespace(t *testing.T, ns string) string {
	t.Helper()
	return run(t, "ip", "netns", "exec", ns, "sh", "-c", `
		(cd /proc/sys/net && grep -rs . ipv4/conf ipv6/conf ipv4/ip_forward ipv4/fib_multipath_hash_policy ipv6/fib_multipath_hash_policy | grep -v 'stable_secret\|qr-a' | sort)
		ip -o link | grep -v qr-a | sed 's/qdisc [a-z]*//'; ip -o addr | grep -v qr-a; (ip route show table all; ip -6 route show table all) | grep -v qr-a | sort; ip rule; ip -6 rule`)
}

// If a namespace existed before its router and outlives it, it is restored: its settings, the
// settings of its links, lo and routes. This holds for any previous settings, and after a restart
// of the daemon. Later changes by another program are kept.
func TestRestore(t *testing.T) {
	for name, c := range map[string]struct{ before, since, stays string }{
		"new, from ip netns add": {},
		"with other settings": {before: `cd /proc/sys/net
			for f in ipv4/conf/all/rp_filter ipv4/conf/default/rp_filter ipv4/conf/all/proxy_arp ipv4/conf/default/proxy_arp ipv4/conf/default/arp_filter ipv4/conf/all/arp_filter; do echo 1 >$f; done
			echo 2 >ipv4/conf/all/arp_ignore; echo 2 >ipv4/conf/default/arp_ignore; echo 1 >ipv4/conf/all/arp_announce; echo 2 >ipv6/conf/default/accept_ra; echo 2 >ipv6/fib_multipath_hash_policy
			ip link set lo up; ip route add blackhole 203.0.113.0/24; ip route add blackhole 192.0.2.0/24 proto static metric 9`},
		"forwarding": {before: `cd /proc/sys/net; echo 1 >ipv4/ip_forward; echo 0 >ipv4/conf/up0/forwarding; echo 1 >ipv4/conf/all/accept_redirects
			echo 1 >ipv6/conf/all/forwarding; echo 0 >ipv6/conf/up0/forwarding; echo 0 >ipv6/conf/default/forwarding`},
		"not forwarding, without redirects": {before: `echo 0 >/proc/sys/net/ipv4/conf/all/accept_redirects`},
		"changed later": {since: `echo 2 >/proc/sys/net/ipv4/conf/all/rp_filter; ip link set lo up; ip addr add 192.0.2.1/32 dev lo; ip route add blackhole 203.0.113.0/24`,
			stays: "ipv4/conf/all/rp_filter:2\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := fresh(t)
			d.Routes = []Route{{Destination: prefixes("198.51.100.0/24")[0], Type: RouteBlackhole}, {Destination: prefixes("fd09::/64")[0], Type: RouteReject}}
			run(t, "ip", "netns", "add", d.Name)
			run(t, "ip", "-n", d.Name, "link", "add", "up0", "type", "veth", "peer", "name", "up1")
			run(t, "ip", "netns", "exec", d.Name, "sh", "-ec", "ip link set up0 addrgenmode none; ip link set up1 addrgenmode none; ip link set up0 up; ip link set up1 up; "+c.before)
			before := wholeNamespace(t, d.Name)
			dir := filepath.Join(t.TempDir(), "namespaces")
			addTap(t, "qr-a")
			for range 2 {
				if _, err := Ensure(t.Context(), d, NewMemory(NewBackups(dir))); err != nil {
					t.Fatal(err)
				}
			}
			if wholeNamespace(t, d.Name) == before {
				t.Error("nothing was changed")
			}
			if c.since != "" {
				run(t, "ip", "netns", "exec", d.Name, "sh", "-ec", c.since)
			}
			b := NewBackups(dir)
			if names, err := b.Names(); err != nil || len(names) != 1 || names[0] != d.Name {
				t.Errorf("%q, %v", names, err)
			}
			changed, err := b.Restore(d.Name, "")
			if err != nil || len(changed) == 0 {
				t.Errorf("changed %q, %v", changed, err)
			}
			after := wholeNamespace(t, d.Name)
			if c.since == "" && after != before {
				t.Errorf("%schanged %q", differences(before, after), changed)
			}
			if c.since != "" && (!strings.Contains(after, c.stays) || !strings.Contains(after, "LOOPBACK,UP") || !strings.Contains(after, "203.0.113.0/24") ||
				strings.Contains(after, "198.51.100.0/24") || !strings.Contains(after, "ipv4/ip_forward:0")) {
				t.Errorf("the namespace is\n%s", after)
			}
			for _, b := range []*Backups{b, NewBackups(dir)} { // the backup is gone
				if changed, err := b.Restore(d.Name, ""); err != nil || len(changed) > 0 {
					t.Errorf("second call: changed %q, %v", changed, err)
				}
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
				t.Errorf("left: %v, %v", files, err)
			}
		})
	}
}

// A backup is not used for a recreated namespace, for a namespace of another instance, or for the
// machine's own namespace.
func TestRestoreOnlySameNamespace(t *testing.T) {
	for name, script := range map[string]string{
		"gone":               "ip netns del qrouter-r1",
		"recreated":          "i=$(stat -c %i /run/netns/qrouter-r1); for n in $(seq 100); do ip netns del qrouter-r1; ip netns add qrouter-r1; [ $(stat -c %i /run/netns/qrouter-r1) != $i ] || break; done; ip netns exec qrouter-r1 sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.arp_ignore=1",
		"another instance's": "ip -n qrouter-r1 link set lo alias ofdvr-router@theirs=r1",
		"the machine's":      "ip netns del qrouter-r1; touch /run/netns/qrouter-r1; mount --bind /proc/self/ns/net /run/netns/qrouter-r1",
	} {
		t.Run(name, func(t *testing.T) {
			d := fresh(t)
			d.Taps = nil
			run(t, "ip", "netns", "add", d.Name)
			dir := t.TempDir()
			if _, err := Ensure(t.Context(), d, NewMemory(NewBackups(dir))); err != nil {
				t.Fatal(err)
			}
			run(t, "sh", "-ec", script)
			state := func() string {
				out, _ := exec.Command("nsenter", "--net="+path(d.Name), "sh", "-c", "grep -rs . /proc/sys/net/ipv4/conf/all /proc/sys/net/ipv4/ip_forward").CombinedOutput()
				return string(out) + hostState(t)
			}
			before := state()
			if changed, err := NewBackups(dir).Restore(d.Name, "ours"); err != nil || len(changed) > 0 {
				t.Errorf("changed %q, %v", changed, err)
			}
			if after := state(); after != before {
				t.Errorf("before\n%s\nafter\n%s", before, after)
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
				t.Errorf("left: %v, %v", files, err)
			}
		})
	}
}

// A backup that cannot be written is reported at each attempt. It is written when possible,
// with the original settings.
func TestBackupIsRetried(t *testing.T) {
	d := fresh(t)
	d.Taps = nil
	run(t, "ip", "netns", "add", d.Name)
	before := wholeNamespace(t, d.Name)
	dir := filepath.Join(t.TempDir(), "namespaces")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := NewMemory(NewBackups(dir))
	for range 2 {
		if _, err := Ensure(t.Context(), d, m); err == nil || !strings.Contains(err.Error(), "save the previous settings of namespace qrouter-r1, will retry") {
			t.Errorf("%v", err)
		}
	}
	if got := inNS(t, d.Name, "net/ipv4/ip_forward", ""); got != "1" {
		t.Errorf("ip_forward is %s while the backup cannot be written, want 1", got)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Ensure(t.Context(), d, m); err != nil {
		t.Fatal(err)
	}
	b := NewBackups(dir)
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "x.json")); err != nil {
		t.Fatal(err)
	}
	if names, err := b.Names(); len(names) != 1 || err == nil || !strings.Contains(err.Error(), "x.json is a symbolic link: not a file of ofdvr") {
		t.Errorf("%q, %v", names, err)
	}
	if _, err := b.Restore(d.Name, ""); err != nil {
		t.Error(err)
	}
	if after := wholeNamespace(t, d.Name); after != before {
		t.Error(differences(before, after))
	}
}

// differences returns the lines that only one of the two texts has.
func differences(before, after string) string {
	var b strings.Builder
	for line := range strings.Lines(before) {
		if !strings.Contains(after, line) {
			b.WriteString("- " + line)
		}
	}
	for line := range strings.Lines(after) {
		if !strings.Contains(before, line) {
			b.WriteString("+ " + line)
		}
	}
	return b.String()
}
