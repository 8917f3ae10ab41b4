package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"

	"github.com/ofdvr/ofdvr/test/lab"
)

// stubborn makes a machine's neighbour entries valid for an hour, so that it
// does not ask again.
func (s *site) stubborn(m *lab.Machine) {
	s.t.Helper()
	s.sh(m.Name, `
		echo 3600000 >/proc/sys/net/ipv4/neigh/eth0/base_reachable_time_ms
		echo 3600000 >/proc/sys/net/ipv6/neigh/eth0/base_reachable_time_ms
		ip neigh flush dev eth0; ip -6 neigh flush dev eth0`)
}

// If a machine has the gateway's old MAC address in its cache, it learns the new one. This holds on
// managed and external bridges, for IPv4 and IPv6, while the daemon runs and when it starts.
func TestNewMACIsAnnounced(t *testing.T) {
	t.Parallel()
	const newMAC, third = "02:00:00:00:01:77", "02:00:00:00:01:78"
	s := ready(t, sixNetworks)
	c := vm("vm1", "10.0.1.10")
	c.Addresses, c.Gateways = append(c.Addresses, "fd00:1::10/64"), append(c.Gateways, "fd00:1::1")
	vm1, vm2 := s.plug(c), s.plug(vm("vm2", "10.0.2.10"))
	s.stubborn(vm1)
	pingTTL(t, vm1, vm2.IP(), 63)
	ping(t, vm1, "fd00:1::1", lab.PingOptions{})
	knows := func(mac string) {
		t.Helper()
		s.eventually("vm1 to know "+mac, func() error {
			for _, a := range []string{"10.0.1.1", "fd00:1::1"} {
				if err := lacks(s.sh("vm1", "ip neigh show "+a), mac); err != nil {
					return err
				}
			}
			return nil
		})
		r := ping(t, vm1, vm2.IP(), lab.PingOptions{})
		if r.Received == 0 {
			t.Error("no reply")
		}
	}
	knows(blueMAC)
	announced := func(target, mac string) condition {
		return func(f lab.Frame) bool {
			p := decode(f)
			if p.arp != nil {
				return arpFor(layers.ARPRequest, target)(f) && p.eth.SrcMAC.String() == mac && p.eth.DstMAC.String() == broadcast
			}
			return strings.Contains(target, ":") && p.eth.SrcMAC.String() == mac && p.eth.DstMAC.String() == "33:33:00:00:00:01"
		}
	}
	seen := record(t, vm1, all(came, func(f lab.Frame) bool {
		p := decode(f)
		return p.eth.DstMAC.String() == broadcast || p.eth.DstMAC.String() == "33:33:00:00:00:01"
	}))

	s.reload(strings.Replace(sixNetworks, blueMAC, newMAC, 1))
	for range 3 { // one for each announcement
		await(t, seen, "the gratuitous ARP", announced("10.0.1.1", newMAC))
	}
	s.eventually("three of each", func() error {
		arp, na := seen.Count(announced("10.0.1.1", newMAC)), seen.Count(func(f lab.Frame) bool { return decode(f).arp == nil && announced(":", newMAC)(f) })
		if arp != 3 || na < 6 { // want announcements of the global and of the old link-local address
			return fmt.Errorf("%d ARP, %d neighbour advertisements", arp, na)
		}
		return nil
	})
	knows(newMAC)

	// At its start, a daemon announces only addresses that have changed since the last daemon ran.
	before := len(seen.Frames())
	s.stop()
	s.serve()
	s.settle()
	s.reload(strings.Replace(sixNetworks, blueMAC, newMAC, 1) + "\n")
	if err := seen.Sync(t.Context()); err != nil || len(seen.Frames()) != before {
		t.Errorf("the daemon sent %d announcements at its start: %v", len(seen.Frames())-before, err)
	}
	s.stop()
	s.write(strings.Replace(sixNetworks, blueMAC, third, 1))
	s.serve()
	s.settle()
	knows(third)

	// An interface is removed and added again.
	s.reload(strings.Replace(strings.Replace(sixNetworks, "      - {id: r1-blue, network: blue", "      - {id: r1-blue, network: blue, admin_state: down", 1), blueMAC, newMAC, 1))
	s.reload(strings.Replace(sixNetworks, blueMAC, newMAC, 1))
	knows(newMAC)
}

// If the gateway gets a new MAC address, machines lose it for a short time at most.
func TestNewMACInterruptsBriefly(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	s.stubborn(vm1)
	pingTTL(t, vm1, vm2.IP(), 63)
	type result struct {
		lab.PingResult
		error
	}
	done := make(chan result)
	const count, pause = 200, 20 * time.Millisecond
	go func() {
		r, err := vm1.Ping(t.Context(), vm2.IP(), lab.PingOptions{Count: count, Interval: pause, Wait: patience})
		done <- result{r, err}
	}()
	s.reload(strings.Replace(twoNetworks, blueMAC, "02:00:00:00:01:77", 1))
	r := <-done
	lost := r.Sent - r.Received
	t.Logf("%d of %d packets lost, sent %v apart", lost, r.Sent, pause)
	if r.error != nil || lost > int(time.Second/pause) {
		t.Errorf("%d of %d packets lost, sent %v apart: %v", lost, r.Sent, pause, r.error)
	}
}
