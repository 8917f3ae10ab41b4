package namespace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"testing"
	"time"
)

// The neighbours that a namespace has resolved are told at once, and then when
// they are others: not when the kernel is more or less sure of one, or looks for
// one in vain. So are those of the next namespace of that name.
func TestNeighbours(t *testing.T) {
	d := fresh(t)
	addTap(t, "qr-a")
	ensure(t, d)
	ip := func(args ...string) { run(t, "ip", append([]string{"-n", d.Name, "neigh"}, args...)...) }
	ip("add", "10.0.1.10", "lladdr", "02:00:00:00:01:10", "dev", "qr-a", "nud", "stale")
	ip("add", "10.0.1.11", "dev", "qr-a", "nud", "failed")
	told := make(chan string, 100)
	n := NewNeighbours(func(id string, resolved []netip.Addr) { told <- fmt.Sprint(id, resolved) })
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Fatalf("told %s, want %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("not told within 20 s: %s", want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	n.Follow(map[string]string{d.Name: "r1", "other": "r2"})
	go func() { done <- n.Run(ctx) }()
	expect("r1[10.0.1.10]")

	ip("replace", "10.0.1.10", "lladdr", "02:00:00:00:01:10", "dev", "qr-a", "nud", "reachable")
	ip("replace", "10.0.1.12", "dev", "qr-a", "nud", "failed")
	n.Follow(map[string]string{d.Name: "r1"})
	ip("replace", "fd00:1::12", "lladdr", "02:00:00:00:01:12", "dev", "qr-a", "nud", "permanent")
	expect("r1[10.0.1.10 fd00:1::12]") // and nothing before
	ip("del", "10.0.1.10", "dev", "qr-a")
	expect("r1[fd00:1::12]")

	if err := deleteNS(d.Name); err != nil {
		t.Fatal(err)
	}
	exec.Command("ip", "link", "del", "qr-a").Run()
	addTap(t, "qr-a")
	ensure(t, d)
	n.Follow(map[string]string{d.Name: "r1"})
	expect("r1[]")
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
