package e2e

import (
	"errors"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// narrow is dualStack with a smaller MTU on green.
var narrow = strings.Replace(dualStack, "vlan: 2}", "vlan: 2, mtu: 1400}", 1)

// The switch routes packets that fit into a network with a smaller MTU. The kernel answers larger
// packets, or fragments them.
func TestSmallerMTU(t *testing.T) {
	t.Parallel()
	s := ready(t, narrow)
	small := dual("vm2", "10.0.2.10")
	small.MTU = 1400
	vm1, vm2 := s.plug(dual("vm1", "10.0.1.10")), s.plug(small)
	for tap, want := range map[string]string{blueTap: "mtu 1500", greenTap: "mtu 1400"} {
		mustHave(t, s.sh(netns, "ip link show dev "+tap), want)
	}
	blue := s.recordIn(netns, blueTap, came)
	for _, to := range []string{"10.0.2.10", "fd00:2::10"} {
		headers := 28
		if strings.Contains(to, ":") {
			headers = 48
		}
		ping(t, vm1, to, lab.PingOptions{Size: 1400 - headers, Whole: true})
	}
	seen(t, blue, "blue's tap", 0, "packets that fit", func(f lab.Frame) bool { return isEcho(f) })

	// This packet is one byte too large.
	r, err := vm1.Ping(t.Context(), "10.0.2.10", lab.PingOptions{Size: 1373, Whole: true, Wait: patience})
	if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != "10.0.1.1" || r.Errors[0].Message != "Frag needed and DF set (mtu = 1400)" {
		t.Errorf("%+v, %v", r, err)
	}
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Size: 1373}) // vm1 has learnt the path's MTU
	r, err = vm1.Ping(t.Context(), "fd00:2::10", lab.PingOptions{Size: 1353, Whole: true, Wait: patience})
	if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != "fd00:1::1" || !strings.Contains(r.Errors[0].Message, "mtu=1400") {
		t.Errorf("%+v, %v", r, err)
	}
	// Without DF the router fragments packets.
	s.sh(vm1.Name, "ip route flush cache; echo 1 >/proc/sys/net/ipv4/ip_no_pmtu_disc")
	at := record(t, vm2, all(came, isIPv4))
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Size: 1450})
	if err := at.Sync(within(t)); err != nil {
		t.Fatal(err)
	}
	if n := at.Count(isIPv4); n != 2 {
		t.Errorf("vm2 got %d packets, want 2 fragments", n)
	}
	// TCP discovers the path's MTU.
	transfer(t, vm1, vm2, "10.0.2.10")
	transfer(t, vm1, vm2, "[fd00:2::10]")
	// In the other direction, all packets fit.
	blue = s.recordIn(netns, greenTap, came)
	ping(t, vm2, "10.0.1.10", lab.PingOptions{Size: 1372, Whole: true})
	seen(t, blue, "green's tap", 0, "packets", isEcho)
}

func isEcho(f lab.Frame) bool { return echo("", "")(f) || echo6("", "")(f) }

// Packets that go to the kernel because they are larger than the next MTU are counted exactly.
// Smaller packets are not counted, although the switch checks their length too.
func TestLargePacketsAreCounted(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := narrowPair(t)
	const (
		large  = `ofdvr_interface_fallback_packets_total{interface="r1-blue",reason="mtu",router="r1"}`
		other  = `ofdvr_interface_fallback_packets_total{interface="r1-green",reason="mtu",router="r1"}`
		routed = `ofdvr_interface_routed_packets_total{interface="r1-green",router="r1"}`
	)
	row := func(packets string) {
		s.eventually("the flow to have "+packets+" packets", func() error {
			out := s.ofdvr(0, "flows", "r1")
			for line := range strings.Lines(out) {
				if w := strings.Fields(line); strings.Contains(line, "that exceed the next MTU to the kernel") && w[1] == "200" && w[2] == packets {
					return nil
				}
			}
			return errors.New(out)
		})
	}
	before := s.scrape()
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Count: 5})
	ping(t, vm1, "fd00:2::10", lab.PingOptions{Count: 5})
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Size: 1372, Whole: true}) // the largest packet that fits
	s.grown(before, map[string]float64{routed: 11, large: 0, other: 0})
	row("0")

	s.sh(vm1.Name, "echo 1 >/proc/sys/net/ipv4/ip_no_pmtu_disc")
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Size: 1373}) // one byte more
	ping(t, vm1, "10.0.2.10", lab.PingOptions{Size: 1450, Count: 3})
	ping(t, vm2, "10.0.1.10", lab.PingOptions{Size: 1450})
	s.grown(before, map[string]float64{large: 5, other: 0}) // vm1's answer to vm2 is too large too
	row("5")
}
