package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/flock"
)

// hostState returns all state of the caller's namespace that [Ensure] could change.
func hostState(t *testing.T) string {
	t.Helper()
	return run(t, "sh", "-c", `
		(cd /proc/sys/net && grep -rs . ipv4/conf ipv6/conf ipv4/ip_forward ipv4/fib_multipath_hash_policy | grep -v stable_secret | sort)
		ip -d -o link; ip -o addr; ip route show table all; ip -6 route show table all; ls -lR /run/netns; cat /proc/self/mountinfo`)
}

// The machine's own namespace is not changed, under any name. It is identified by its inode.
func TestHostNamespaceIsUnchanged(t *testing.T) {
	d := fresh(t)
	d.Routes = []Route{{Destination: prefixes("198.51.100.0/24")[0], Type: RouteBlackhole}}
	if err := prepareDir(); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for what, script := range map[string]string{
		"this process's":    "touch /run/netns/qrouter-r1; mount --bind /proc/self/ns/net /run/netns/qrouter-r1",
		"the machine's":     "touch /run/netns/qrouter-r1; mount --bind /proc/1/ns/net /run/netns/qrouter-r1",
		"by a link":         fmt.Sprintf("ln -s /proc/%d/ns/net /run/netns/qrouter-r1", os.Getpid()),
		"attached by ip(8)": "ip netns attach qrouter-r1 $$",
	} {
		if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
			run(t, "rm", "-f", "/run/netns/qrouter-r1")
			t.Logf("%s: impossible here: %s", what, out) // a container may lack the right to mount it
			continue
		}
		tried++
		before := hostState(t)
		for name, do := range map[string]func() error{
			"Ensure": func() error { _, err := Ensure(t.Context(), d, nil); return err },
			"Check":  func() error { _, err := Check(t.Context(), d); return err },
			"Remove": func() error { return Remove(d.Name, "") },
			"Enter":  func() error { return Enter(d.Name, func() error { return nil }) },
		} {
			if err := do(); !errors.As(err, new(*HostError)) || !strings.Contains(err.Error(), "nothing is changed in it") {
				t.Errorf("%s, %s: %v", what, name, err)
			}
		}
		if all, err := List(); len(all) > 0 || err != nil {
			t.Errorf("%s: %v, %v", what, all, err)
		}
		if after := hostState(t); after != before {
			t.Errorf("%s: before\n%s\nafter\n%s", what, before, after)
		}
		run(t, "sh", "-c", "umount /run/netns/qrouter-r1; rm /run/netns/qrouter-r1")
	}
	if tried < 2 {
		t.Errorf("only %d namespaces were tried", tried)
	}
	putRight(t, d)
}

// If a file at the path of a namespace is not a namespace, it stays unchanged and does not
// block.
func TestFilesInPlaceOfNamespaces(t *testing.T) {
	d := fresh(t)
	if err := prepareDir(); err != nil {
		t.Fatal(err)
	}
	theirs := t.TempDir() + "/theirs"
	if err := os.WriteFile(theirs, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	for what, script := range map[string]string{
		"is a named pipe":    "mkfifo /run/netns/qrouter-r1",
		"is a directory":     "mkdir /run/netns/qrouter-r1",
		"is a symbolic link": "ln -s " + theirs + " /run/netns/qrouter-r1",
		"is a regular file":  "echo theirs >/run/netns/qrouter-r1",
		"is a device":        "mknod /run/netns/qrouter-r1 c 1 3",
	} {
		run(t, "sh", "-ec", script)
		before := hostState(t)
		if _, err := Ensure(t.Context(), d, nil); err == nil || !strings.Contains(err.Error(), what+", not a network namespace") {
			t.Errorf("%s: %v", what, err)
		}
		if err := Remove(d.Name, ""); !errors.As(err, new(*KeptError)) {
			t.Errorf("%s: Remove: %v", what, err)
		}
		if all, err := List(); len(all) > 0 || err != nil {
			t.Errorf("%s: %v, %v", what, all, err)
		}
		if after := hostState(t); after != before {
			t.Errorf("%s: before\n%s\nafter\n%s", what, before, after)
		}
		run(t, "rm", "-r", "/run/netns/qrouter-r1")
	}
	if got, err := os.ReadFile(theirs); string(got) != "theirs" {
		t.Errorf("%q, %v", got, err)
	}
}

// Ensure does not wait for the lock of /run/netns, which any user can hold. A held lock delays
// only the first namespace of the machine.
func TestHeldLockOfNetns(t *testing.T) {
	d := fresh(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for unix.Unmount(dir, unix.MNT_DETACH) == nil { // from earlier tests
	}
	lock, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	addTap(t, "qr-a")
	_, err = Ensure(t.Context(), d, nil)
	if !errors.As(err, new(*flock.HeldError)) || !strings.Contains(err.Error(), "create namespace qrouter-r1: process ") {
		t.Fatalf("%v", err)
	}
	t.Log(err)
	if _, err := os.Lstat(path(d.Name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
	syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)
	ensure(t, d)
	syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	d.Name, d.Router, d.Taps = "qrouter-r2", "r2", nil
	ensure(t, d) // the mount exists
}

// If another program's link outside has the tap's name, it is not moved, changed or deleted. This
// holds whether or not the tap exists inside.
func TestForeignLinksOutside(t *testing.T) {
	open := func(script string) func(*testing.T) {
		return func(t *testing.T) {
			addTap(t, "qr-a")
			run(t, "sh", "-ec", script)
		}
	}
	sh := func(script string) func(*testing.T) {
		return func(t *testing.T) { run(t, "sh", "-ec", script) }
	}
	for name, c := range map[string]struct {
		make func(*testing.T)
		kind string
	}{
		"tap":                       {sh("ip tuntap add qr-a mode tap; ip addr add 192.0.2.1/24 dev qr-a; ip link set qr-a up"), ""},
		"tap without addresses":     {sh("ip tuntap add qr-a mode tap"), ""},
		"tun":                       {sh("ip tuntap add qr-a mode tun"), ""},
		"veth":                      {sh("ip link add qr-a type veth peer name qr-a-peer"), ""},
		"bridge":                    {sh("ip link add qr-a type bridge"), ""},
		"open tap with an address":  {open("ip addr add 192.0.2.1/24 dev qr-a"), ""},
		"open tap with IPv6":        {open("ip addr add 2001:db8::1/64 dev qr-a"), ""},
		"open tap of a user":        {sh("ip tuntap add qr-a mode tap user 1234"), ""},
		"open tap of a machine":     {open("ip link add x0 type bridge; ip link set qr-a master x0"), ""}, // as with libvirt
		"open tap, kernel datapath": {open(""), "openvswitch"},
	} {
		for _, made := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, tap made %v", name, made), func(t *testing.T) {
				d := fresh(t)
				d.Kind = c.kind
				t.Cleanup(func() { exec.Command("ip", "link", "del", "x0").Run() })
				if made {
					d.Kind = ""
					putRight(t, d)
					d.Kind = c.kind
					openTaps["of "+t.Name()] = openTaps["qr-a"] // keep it open
					delete(openTaps, "qr-a")
				} else {
					taps := d.Taps
					d.Taps = nil
					ensure(t, d)
					d.Taps = taps
				}
				c.make(t)
				state := func() string {
					return run(t, "sh", "-ec", "ip -d -o link show qr-a | sed 's/qlen [0-9]*//'; ip -o addr show dev qr-a | grep -v fe80 || true")
				}
				before := state()
				if made {
					settled(t, d)
				} else if r, err := Ensure(t.Context(), d, nil); len(r.Changed)+len(r.Missing) > 0 || err == nil || !strings.Contains(err.Error(), "another program's link has that name outside") {
					t.Errorf("Ensure: %+v, %v", r, err)
				}
				if err := Remove(d.Name, d.Instance); err != nil {
					t.Error(err)
				}
				if after := state(); after != before {
					t.Errorf("before\n%s\nafter\n%s", before, after)
				}
			})
		}
	}
}
