package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// advertising is a router that sends router advertisements on both of its networks, with
// different options.
const advertising = `
networks:
  - {id: blue, vlan: 1, mtu: 1400}
  - {id: green, vlan: 2}
routers:
  - id: r1
    answer_rate: 0
    interfaces:
      - {id: r1-blue, network: blue, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24, "fd00:1::1/64"], ra: {managed: true, interval: 4, lifetime: 77}}
      - {id: r1-green, network: green, mac: "02:00:00:00:02:01", addresses: ["fd00:2::1/64"], ra: {other: true, mtu: 1300, prefixes: [{prefix: "fd00:22::/64", preferred_lifetime: 60, valid_lifetime: 90}]}}
`

// fromKernel is the source address of the namespace's packets on blue.
const fromKernel = "fe80::ff:fe00:101"

// An advertisement has the contents of a router advertisement.
type advertisement struct {
	From           string
	Managed, Other bool
	Lifetime       int
	MTU            int
	Prefixes       string // prefixes with their lifetimes and flags
}

// decodeRA returns the contents of a frame that is a router advertisement.
func decodeRA(f lab.Frame) (a advertisement, ok bool) {
	p := f.Packet()
	ip, _ := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	ra, ok := p.Layer(layers.LayerTypeICMPv6RouterAdvertisement).(*layers.ICMPv6RouterAdvertisement)
	if !ok {
		return a, false
	}
	a = advertisement{From: ip.SrcIP.String(), Managed: ra.ManagedAddressConfig(), Other: ra.OtherConfig(), Lifetime: int(ra.RouterLifetime)}
	for _, o := range ra.Options {
		switch o.Type {
		case layers.ICMPv6OptMTU:
			a.MTU = int(binary.BigEndian.Uint32(o.Data[2:]))
		case layers.ICMPv6OptPrefixInfo: // RFC 4861 §4.6.2
			addr, _ := netip.AddrFromSlice(o.Data[14:30])
			a.Prefixes += fmt.Sprintf("%v/%d flags %#x valid %d preferred %d", addr, o.Data[0], o.Data[1],
				binary.BigEndian.Uint32(o.Data[2:]), binary.BigEndian.Uint32(o.Data[6:]))
		}
	}
	return a, true
}

func isRA(f lab.Frame) bool {
	_, ok := decodeRA(f)
	return ok && came(f)
}

// listener adds a machine without an address, which configures itself from router
// advertisements.
func (s *site) listener(name string, vlan uint16) (*lab.Machine, *lab.Capture) {
	s.t.Helper()
	m := lab.Plug(s.t, s.Host, lab.MachineConfig{Name: name, VLAN: vlan, MAC: fmt.Sprintf("02:00:00:00:%02d:10", vlan)})
	s.sh(name, "for k in accept_ra autoconf accept_ra_defrtr accept_ra_pinfo; do echo 1 >/proc/sys/net/ipv6/conf/eth0/$k; done")
	return m, record(s.t, m, isRA)
}

// autoconfigured waits until the machine has an address of a prefix and a default route
// through the router.
func (s *site) autoconfigured(m *lab.Machine, prefix, router string) {
	s.t.Helper()
	s.eventually(m.Name+" to have an address and a default route", func() error {
		got := s.sh(m.Name, "ip -6 -brief addr show dev eth0; ip -6 route show default")
		if !strings.Contains(got, prefix) || !strings.Contains(got, "default via "+router+" dev eth0 proto ra") {
			return errors.New(got)
		}
		return nil
	})
}

// radvd waits until a radvd runs on the host, and returns its PID.
func (s *site) radvd() (pid int) {
	s.t.Helper()
	s.eventually("radvd to run", func() error {
		out, err := s.RunIn(s.t.Context(), "", "sh", "-c", "cat /run/ofdvr/radvd/*.pid")
		if err != nil {
			return err
		}
		if pid, err = strconv.Atoi(strings.TrimSpace(out)); err != nil {
			return err
		}
		return syscall.Kill(pid, 0)
	})
	return pid
}

// Machines get addresses and a default route from router advertisements, until the router stops
// advertising.
func TestRouterAdvertisements(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "radvd")
	s := ready(t, advertising)
	vm1, blue := s.listener("vm1", 1)
	s.autoconfigured(vm1, "fd00:1::", fromKernel)
	f, err := blue.Await(within(t), "an advertisement", isRA)
	if err != nil {
		t.Fatal(err)
	}
	want := advertisement{fromKernel, true, false, 77, 1400, "fd00:1::/64 flags 0xc0 valid 86400 preferred 14400"}
	if got, _ := decodeRA(f); got != want {
		t.Errorf("on blue %+v, want %+v", got, want)
	}
	if got := s.sh("vm1", "cat /proc/sys/net/ipv6/conf/eth0/mtu"); got != "1400\n" {
		t.Errorf("the machine's MTU is %s", got)
	}

	// On green, advertisements are 10 minutes apart, but a machine may solicit one.
	vm2, green := s.listener("vm2", 2)
	s.sh("vm2", "ip link set eth0 down; echo 3 >/proc/sys/net/ipv6/conf/eth0/router_solicitations; ip link set eth0 up")
	s.autoconfigured(vm2, "fd00:22::", "fe80::ff:fe00:201")
	if f, err = green.Await(within(t), "an advertisement", isRA); err != nil {
		t.Fatal(err)
	}
	want = advertisement{"fe80::ff:fe00:201", false, true, 1800, 1300, "fd00:22::/64 flags 0xc0 valid 90 preferred 60"}
	if got, _ := decodeRA(f); got != want {
		t.Errorf("on green %+v, want %+v", got, want)
	}

	// A changed value is advertised without a final advertisement.
	pid := s.radvd()
	s.reload(strings.Replace(advertising, "lifetime: 77", "lifetime: 78", 1))
	lifetime := func(seconds int) condition {
		return func(f lab.Frame) bool { a, ok := decodeRA(f); return ok && a.Lifetime == seconds }
	}
	if _, err := blue.Await(within(t), "the other lifetime", lifetime(78)); err != nil {
		t.Fatal(err)
	}
	seen(t, blue, "vm1", 0, "goodbyes", lifetime(0))
	if now := s.radvd(); now != pid {
		t.Errorf("radvd had PID %d, and now has PID %d", pid, now)
	}

	// If ra is removed from blue, the machine on blue gets a final advertisement. The machine on
	// green keeps its router.
	s.reload(strings.Replace(advertising, ", ra: {managed: true, interval: 4, lifetime: 77}", "", 1))
	if _, err := blue.Await(within(t), "a goodbye", lifetime(0)); err != nil {
		t.Fatal(err)
	}
	s.eventually("vm1 to have no default route", func() error {
		if got := s.sh("vm1", "ip -6 route show default"); got != "" {
			return errors.New(got)
		}
		return nil
	})
	s.autoconfigured(vm2, "fd00:22::", "fe80::ff:fe00:201")

	// A removed router sends a final advertisement before its bridge and its namespace are removed.
	pid = s.radvd()
	before := time.Now()
	networks, _, _ := strings.Cut(advertising, "routers:")
	s.reload(networks)
	if _, err := green.Await(within(t), "a goodbye", func(f lab.Frame) bool { return lifetime(0)(f) && f.Time.After(before) }); err != nil {
		t.Fatal(err)
	}
	s.eventually("radvd to end", func() error {
		if err := syscall.Kill(pid, 0); err == nil {
			return fmt.Errorf("process %d still runs", pid)
		}
		return nil
	})
}

// Advertisements continue while no daemon runs, and the next daemon starts no new radvd. A
// killed radvd is started again. Cleanup ends it.
func TestAdvertisementsOutliveTheDaemon(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "radvd")
	s := ready(t, advertising)
	vm1, blue := s.listener("vm1", 1)
	s.autoconfigured(vm1, "fd00:1::", fromKernel)
	pid := s.radvd()
	for _, end := range []func(){s.stop, func() { s.daemon.Kill() }} {
		end()
		before := blue.Count(isRA)
		s.eventually("another advertisement", func() error {
			if n := blue.Count(isRA); n <= before {
				return fmt.Errorf("%d so far", n)
			}
			return nil
		})
		s.serve()
		s.settle()
		s.logged("running radvd found")
		if now := s.radvd(); now != pid {
			t.Errorf("radvd had PID %d, and now has PID %d", pid, now)
		}
	}
	goodbye := func(f lab.Frame) bool { a, ok := decodeRA(f); return ok && a.Lifetime == 0 }
	seen(t, blue, "vm1", 0, "goodbyes", goodbye)

	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.eventually("another radvd", func() error {
		if now := s.radvd(); now == pid {
			return fmt.Errorf("it is still process %d", now)
		}
		return nil
	})
	s.settle()
	pid = s.radvd()
	s.stop()
	out, err := s.Ofdvr(t.Context(), "cleanup")
	if want := fmt.Sprintf("stopped radvd, process %d\n", pid); err != nil || !strings.Contains(out, want) {
		t.Errorf("cleanup does not print %q: %v\n%s", want, err, out)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d still runs", pid)
	}
	if _, err := blue.Await(within(t), "a goodbye", goodbye); err != nil {
		t.Error(err)
	}
	if got := s.sh("", "ls /run/ofdvr/radvd"); got != "" {
		t.Errorf("files are left: %s", got)
	}
}

// Taps may be removed and added.
func TestAdvertisementsAfterAnOutage(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "radvd")
	s := ready(t, advertising)
	pid := s.radvd()
	s.loseTap("")
	s.eventually("the tap to be made again", func() error {
		_, err := s.RunIn(t.Context(), netns, "ip", "link", "show", blueTap)
		return err
	})
	s.settle()
	vm1, _ := s.listener("vm1", 1)
	s.autoconfigured(vm1, "fd00:1::", fromKernel)
	if now := s.radvd(); now != pid {
		t.Errorf("radvd had PID %d, and now has PID %d", pid, now)
	}
}

// A network's MTU is the upper limit of the advertised MTU.
func TestAdvertisedMTU(t *testing.T) {
	t.Parallel()
	lab.Needs(t, "radvd")
	s := bare(t, strings.Replace(advertising, "mtu: 1300", "mtu: 1600", 1))
	s.serve()
	s.eventually("the status to report the MTU", func() error {
		for _, r := range s.status().Routers {
			for _, p := range r.Problems {
				if p == "router advertisements of interface r1-green: their mtu 1600 is larger than the mtu of network green, 1500" {
					return nil
				}
			}
		}
		return errors.New("not reported")
	})
	vm1, _ := s.listener("vm1", 1)
	s.autoconfigured(vm1, "fd00:1::", fromKernel)
}
