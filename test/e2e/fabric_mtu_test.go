package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// Machines discover the MTU of the path to a machine on another host. Green has a smaller MTU than
// blue. The router on the sender's host answers packets that are too large, with the MTU of green; no
// error crosses the underlay, and only fitting packets do. Then TCP and large datagrams pass.
func TestPathMTUBetweenHosts(t *testing.T) {
	t.Parallel()
	const blue, green = 1400, 1300
	machines := strings.Fields("b11 b21 g21 b31 g31")
	f := newFleet(t, 3, blueAndGreen)
	f.serve(strings.Replace(fleetTopology(3, blueAndGreen, machines), fmt.Sprintf("vni: 5002, mtu: %d", blue), fmt.Sprintf("vni: 5002, mtu: %d", green), 1))
	for _, name := range machines {
		c := fleetMachine(f.network(name), name)
		if name[0] == 'g' {
			c.MTU = green
		}
		f.add(int(name[1]-'0'), c)
	}
	f.settle()
	errs := f.watch(t, inTunnel(isTooBig))
	var large []*lab.Capture // packets on the underlay that do not fit green
	for _, l := range f.links {
		c, err := l.Capture(inTunnel(func(f lab.Frame) bool {
			return len(f.Data) > 14+green && involves(f, "10.0.2.21", "fd00:2::21", "10.0.2.31", "fd00:2::31")
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		large = append(large, c)
	}
	for _, names := range [][3]string{{"b11", "b21", "g21"}, {"b11", "b31", "g31"}, {"b31", "b21", "g21"}} {
		f.findsMTU(t, names[0], names[1], names[2], blue, green)
	}
	for i, l := range errs.links {
		seen0(t, l, fmt.Sprintf("the link of h%d", i+1), isTooBig)
		seen(t, large[i], fmt.Sprintf("the link of h%d", i+1), 0, "packets that do not fit", func(lab.Frame) bool { return true })
	}
}

// findsMTU sends from a machine on blue to one on blue and one on green.
func (f *fleet) findsMTU(t *testing.T, from, near, far string, blue, green int) {
	t.Helper()
	b, b2, g := f.machines[from], f.machines[near], f.machines[far]
	for i, c := range []struct {
		headers          int
		gateway, message string
	}{
		{28, "10.0.1.1", fmt.Sprintf("Frag needed and DF set (mtu = %d)", green)},
		{48, "fd00:1::1", fmt.Sprintf("mtu=%d", green)},
	} {
		to := address(g.MachineConfig, i)
		ping(t, b, address(b2.MachineConfig, i), lab.PingOptions{Size: blue - c.headers, Whole: true}) // the same network
		ping(t, b, to, lab.PingOptions{Size: green - c.headers, Whole: true})
		ping(t, g, address(b.MachineConfig, i), lab.PingOptions{Size: green - c.headers, Whole: true})
		r, err := b.Ping(t.Context(), to, lab.PingOptions{Size: green - c.headers + 1, Whole: true, Wait: patience})
		if !errors.Is(err, lab.ErrNoReply) || len(r.Errors) != 1 || r.Errors[0].From != c.gateway || !strings.Contains(r.Errors[0].Message, c.message) {
			t.Errorf("one byte too much from %s to %s: %+v, %v", from, to, r, err)
		}
		f.datagramPasses(t, from, far, i, 4000)
		f.datagramPasses(t, far, from, i, 4000)
	}
	for _, pair := range [][2]*lab.Machine{{b, g}, {g, b}, {b, b2}} {
		pair[0].Run(t.Context(), "ip", "route", "flush", "cache") // what was learned above
		pair[0].Run(t.Context(), "ip", "-6", "route", "flush", "cache")
		transfer(t, pair[0], pair[1], address(pair[1].MachineConfig, 0))
		transfer(t, pair[0], pair[1], "["+address(pair[1].MachineConfig, 1)+"]")
	}
}

// datagramPasses sends a datagram, in fragments, to the ith address of a machine. It is repeated, as the
// network may lose datagrams.
func (f *fleet) datagramPasses(t *testing.T, from, to string, i, size int) {
	t.Helper()
	sent, got := bytes.Repeat([]byte{byte(size)}, size), make([]byte, size+1)
	at := f.ends[to].udp[i]
	lab.Eventually(t, patience, fmt.Sprintf("a datagram of %d bytes from %s to reach %s", size, from, to), func() error {
		if _, err := f.ends[from].udp[i].WriteTo(sent, net.UDPAddrFromAddrPort(addrPort(f.machines[to], i))); err != nil {
			return err
		}
		if err := at.SetReadDeadline(time.Now().Add(shortly)); err != nil {
			return err
		}
		n, _, err := at.ReadFrom(got)
		if err == nil && !bytes.Equal(got[:n], sent) {
			err = fmt.Errorf("it has %d bytes", n)
		}
		return err
	})
}

// isTooBig is true for the ICMP errors of path MTU discovery.
func isTooBig(f lab.Frame) bool {
	p := f.Packet()
	if e, is := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); is {
		return e.TypeCode == layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4CodeFragmentationNeeded)
	}
	e, is := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	return is && e.TypeCode.Type() == layers.ICMPv6TypePacketTooBig
}
