package namespace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
)

// The resolved neighbours of a namespace are reported immediately, and again when they change. A
// change of their state or a failed resolution causes no report. The same holds for a new namespace
// with the same name.
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
				t.Fatalf("reported %s, want %s", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("not reported within 20 s: %s", want)
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
	expect("r1[10.0.1.10 fd00:1::12]") // the first report
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

// Neighbours are reported even while other neighbours change constantly.
func TestNeighboursUnderConstantChange(t *testing.T) {
	d := fresh(t)
	addTap(t, "qr-a")
	ensure(t, d)
	told := make(chan []netip.Addr)
	ctx, cancel := context.WithCancel(t.Context())
	n := NewNeighbours(func(_ string, resolved []netip.Addr) {
		select {
		case told <- resolved:
		case <-ctx.Done():
		}
	})
	var g errgroup.Group
	g.Go(func() error { return n.Run(ctx) })
	n.Follow(map[string]string{d.Name: "r1"})
	if first := <-told; len(first) > 0 {
		t.Fatalf("reported %v", first)
	}
	g.Go(func() error {
		return Enter(d.Name, func() error {
			link, err := netlink.LinkByName("qr-a")
			if err != nil {
				return err
			}
			neigh := &netlink.Neigh{LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.IPv4(10, 0, 1, 12), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 1, 12}}
			for ctx.Err() == nil {
				if err := netlink.NeighSet(neigh); err != nil {
					return err
				}
				if err := netlink.NeighDel(neigh); err != nil {
					return err
				}
			}
			return context.Cause(ctx)
		})
	})
	<-told
	run(t, "ip", "-n", d.Name, "neigh", "add", "10.0.1.10", "lladdr", "02:00:00:00:01:10", "dev", "qr-a", "nud", "permanent")
	for timeout := time.After(20 * time.Second); ; {
		select {
		case resolved := <-told:
			if slices.Contains(resolved, netip.MustParseAddr("10.0.1.10")) {
				cancel()
				if err := g.Wait(); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				return
			}
		case <-timeout:
			t.Fatal("not reported within 20 s")
		}
	}
}
