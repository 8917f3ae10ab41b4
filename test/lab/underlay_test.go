package lab_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// TestTunnelsBetweenHosts joins the integration bridges of two hosts by tunnels of each kind.
func TestTunnelsBetweenHosts(t *testing.T) {
	h1, h2 := lab.Boot(t), lab.Boot(t)
	_, links := lab.Connect(t, 0, h1, h2)
	vm1 := lab.Plug(t, h1, lab.MachineConfig{Name: "vm1", VLAN: 1, MTU: 1400, Addresses: []string{"10.0.1.10/24"}})
	lab.Plug(t, h2, lab.MachineConfig{Name: "vm2", VLAN: 1, MTU: 1400, Addresses: []string{"10.0.1.11/24"}})
	for _, c := range []struct {
		kind  string
		layer gopacket.LayerType
		ipv6  bool
	}{
		{"geneve", layers.LayerTypeGeneve, false}, {"geneve", layers.LayerTypeGeneve, true},
		{"vxlan", layers.LayerTypeVXLAN, false}, {"vxlan", layers.LayerTypeVXLAN, true},
	} {
		t.Run(fmt.Sprintf("%s, IPv6 %v", c.kind, c.ipv6), func(t *testing.T) {
			tunnels(t, c.kind, c.ipv6, links[0], links[1])
			if _, err := vm1.Ping(t.Context(), "10.0.1.11", lab.PingOptions{Wait: 10 * time.Second}); err != nil {
				t.Fatal(err)
			}
			at, err := links[1].Capture(func(f lab.Frame) bool { return f.Packet().Layer(layers.LayerTypeICMPv4) != nil })
			if err != nil {
				t.Fatal(err)
			}
			defer at.Close()
			if r, err := vm1.Ping(t.Context(), "10.0.1.11", lab.PingOptions{Count: 5, Size: 1372, Whole: true, Wait: 10 * time.Second}); err != nil || r.Received != 5 {
				t.Fatalf("%+v, %v", r, err)
			}
			if err := at.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			inside := func(f lab.Frame) bool { return f.Packet().Layer(c.layer) != nil }
			to := at.Count(func(f lab.Frame) bool { return inside(f) && f.Outgoing })
			from := at.Count(func(f lab.Frame) bool { return inside(f) && !f.Outgoing })
			if others := len(at.Frames()) - to - from; to != 5 || from != 5 || others != 0 {
				t.Errorf("the underlay carried %d requests, %d replies, and %d ICMP errors of the hosts", to, from, others)
			}
		})
	}
}

// tunnels joins the integration bridges of the links' hosts by a tunnel, and removes it when the
// test ends.
func tunnels(t *testing.T, kind string, ipv6 bool, a, b *lab.Link) {
	t.Helper()
	for _, end := range [][2]*lab.Link{{a, b}, {b, a}} {
		local, remote := end[0].IPv4, end[1].IPv4
		if ipv6 {
			local, remote = end[0].IPv6, end[1].IPv6
		}
		lab.Run(t, end[0].Host, "ovs-vsctl", "add-port", lab.IntegrationBridge, "tun", "--",
			"set", "interface", "tun", "type="+kind, `options:local_ip="`+local+`"`, `options:remote_ip="`+remote+`"`, "options:key=7")
		t.Cleanup(func() {
			if _, err := end[0].Host.Vsctl(context.WithoutCancel(t.Context()), "del-port", "tun"); err != nil {
				t.Error(err)
			}
		})
	}
}

// No packet passes a link that is down. When the link is up again, it works. The underlay also
// works after a host's switch was killed and started again.
func TestUnderlayFails(t *testing.T) {
	h1, h2 := lab.Boot(t), lab.Boot(t)
	_, links := lab.Connect(t, 0, h1, h2)
	tunnels(t, "geneve", false, links[0], links[1])
	vm1 := lab.Plug(t, h1, lab.MachineConfig{Name: "vm1", MTU: 1400, Addresses: []string{"10.0.1.10/24"}})
	lab.Plug(t, h2, lab.MachineConfig{Name: "vm2", MTU: 1400, Addresses: []string{"10.0.1.11/24"}})
	passes := func() {
		t.Helper()
		if _, err := vm1.Ping(t.Context(), "10.0.1.11", lab.PingOptions{Wait: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
	}
	passes()
	if err := links[1].Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := vm1.Ping(t.Context(), "10.0.1.11", lab.PingOptions{Wait: 50 * time.Millisecond}); !errors.Is(err, lab.ErrNoReply) {
		t.Fatal(err)
	}
	if err := links[1].Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	passes()
	h2.Switch().Kill()
	if err := h2.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	passes()
}

// Each link counts its own packets, and lets packets of the underlay's MTU pass.
func TestUnderlayCountsAndFits(t *testing.T) {
	h1, h2, h3 := lab.Boot(t), lab.Boot(t), lab.Boot(t)
	u, links := lab.Connect(t, 1600, h1, h2)
	third, err := u.Connect(t.Context(), h3, 33)
	if err != nil {
		t.Fatal(err)
	}
	count := func(l *lab.Link) [2]uint64 {
		t.Helper()
		sent, received, err := l.Packets()
		if err != nil {
			t.Fatal(err)
		}
		return [2]uint64{sent, received}
	}
	for _, to := range []string{third.IPv4, third.IPv6} { // learns all addresses
		if _, err := h1.PingIn(t.Context(), "", to, lab.PingOptions{Wait: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
	}
	const pings = 20
	before := [][2]uint64{count(links[0]), count(links[1]), count(third)}
	r, err := h1.PingIn(t.Context(), "", third.IPv4, lab.PingOptions{Count: pings, Interval: time.Millisecond, Size: 1572, Whole: true, Wait: 10 * time.Second})
	if err != nil || r.Received != pings {
		t.Fatalf("%+v, %v", r, err)
	}
	for i, l := range []*lab.Link{links[0], links[1], third} {
		now, want := count(l), map[bool]uint64{true: pings}[l != links[1]]
		for k := range now {
			// The hosts' kernels send a few more, to find routers and neighbours.
			if n := now[k] - before[i][k]; n < want || n > want+pings/2 {
				t.Errorf("link %d, %s: counted %d packets, want about %d", i, []string{"sent", "received"}[k], n, want)
			}
		}
	}
	r, err = h1.PingIn(t.Context(), "", third.IPv4, lab.PingOptions{Size: 1573, Whole: true, Wait: 50 * time.Millisecond})
	if err == nil || !strings.Contains(r.Output, "mtu=1600") {
		t.Errorf("a packet of 1601 bytes: %+v, %v", r, err)
	}
}
