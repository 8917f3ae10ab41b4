package e2e

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// tally has the expected counters of the interfaces of twoNetworks. Missing counters are
// 0.
type tally map[string]float64

func counter(name, iface string) string {
	return fmt.Sprintf("ofdvr_interface_%s_total{interface=%q,router=%q}", name, iface, "r1")
}

func fallback(iface, reason string) string {
	return fmt.Sprintf("ofdvr_interface_fallback_packets_total{interface=%q,reason=%q,router=%q}", iface, reason, "r1")
}

// settleCounters waits until all counters of the interfaces have the expected values. The
// counters ofdvr_interface_kernel_* may be higher than expected, because the kernel also sends
// packets of its own, such as gratuitous ARP.
func (s *site) settleCounters(want tally) {
	s.t.Helper()
	s.eventually("the counters", func() error {
		var wrong []error
		now := s.scrape()
		for name, v := range now {
			more := strings.HasPrefix(name, "ofdvr_interface_kernel_") && v > want[name]
			if strings.HasPrefix(name, "ofdvr_interface_") && v != want[name] && !more {
				wrong = append(wrong, fmt.Errorf("%s is %v, want %v", name, v, want[name]))
			}
		}
		for name := range want {
			if _, ok := now[name]; !ok {
				wrong = append(wrong, fmt.Errorf("%s is missing", name))
			}
		}
		return errors.Join(wrong...)
	})
}

// acquaint adds permanent neighbour entries for the machines and the namespace, so that they send
// no ARP or ND.
func (s *site) acquaint(machines ...*lab.Machine) {
	s.t.Helper()
	for _, m := range machines {
		prefix := m.IP()[:len("10.0.N.")]
		iface := map[string]string{"10.0.1.": "blue", "10.0.2.": "green"}[prefix]
		router := map[string]string{"blue": blueMAC, "green": greenMAC}[iface]
		s.sh(m.Name, "ip neigh replace "+prefix+"1 lladdr "+router+" nud permanent dev eth0")
		s.sh(netns, "ip neigh replace "+m.IP()+" lladdr "+m.MAC+" nud permanent dev qr-r1-"+iface)
	}
}

// Every packet is counted once, in the right counter. Counters keep their
// values when flows are added, deleted and added again.
func TestCountersAreExact(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	// Machines announce themselves when they start, so they start before the router.
	vm1, vm2, vm9 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10")), s.plug(vm("vm9", "10.0.2.99"))
	s.serve()
	s.settle()
	s.acquaint(vm1, vm2, vm9)
	want := tally{}
	add := func(name string, n float64) { want[name] += n }
	of := func(what, iface string, packets, bytes float64) {
		add(counter(what+"_packets", iface), packets)
		add(counter(what+"_bytes", iface), packets*bytes)
	}
	routed := func(iface string, packets, bytes float64) { of("routed", iface, packets, bytes) }
	received := func(iface string, packets, bytes float64) { of("received", iface, packets, bytes) }
	kernel := func(iface string, packets, bytes float64) { of("kernel", iface, packets, bytes) }
	both := func(packets, bytes float64) {
		for _, iface := range []string{"r1-green", "r1-blue"} {
			received(iface, packets, bytes)
			routed(iface, packets, bytes)
		}
	}

	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 5}) // frames of 98 bytes
	both(5, 98)
	ping(t, vm2, vm1.IP(), lab.PingOptions{Count: 2, Size: 958}) // of 1000 bytes
	both(2, 1000)

	at := record(t, vm1, all(came, isARP))
	for range 3 {
		ask(t, vm1, broadcast, vm1.IP(), "10.0.1.1")
	}
	ask(t, vm2, greenMAC, vm2.IP(), "10.0.2.1")
	add(counter("arp_replies", "r1-blue"), 3)
	add(counter("arp_replies", "r1-green"), 1)
	ask(t, vm1, broadcast, vm1.IP(), "10.0.1.77")
	add(fallback("r1-blue", "other"), 1)

	for range 2 {
		if _, err := vm1.Ping(t.Context(), vm2.IP(), lab.PingOptions{TTL: 1, Wait: patience}); !errors.Is(err, lab.ErrNoReply) {
			t.Error(err)
		}
	}
	add(counter("ttl_expired_packets", "r1-blue"), 2)
	add(fallback("r1-blue", "ttl"), 2)
	received("r1-blue", 2, 98)
	kernel("r1-blue", 2, 126) // together with the packet that caused the error

	ping(t, vm1, vm9.IP(), lab.PingOptions{Count: 4}) // the kernel routes the requests, and flows route the replies
	add(fallback("r1-blue", "unknown"), 4)
	received("r1-blue", 4, 98)
	kernel("r1-green", 4, 98)
	received("r1-green", 4, 98)
	routed("r1-blue", 4, 98)
	pingTTL(t, vm1, "10.0.2.1", 64)
	add(counter("echo_replies", "r1-green"), 1)
	received("r1-blue", 3, 98) // includes the two packets that are sent below
	ping(t, vm1, "10.0.1.1", lab.PingOptions{Count: 2})
	add(counter("echo_replies", "r1-blue"), 2)
	ping(t, vm1, "10.0.2.1", lab.PingOptions{Size: 2000}) // two fragments
	ping(t, vm1, "10.0.1.1", lab.PingOptions{Size: 2000})
	add(fallback("r1-blue", "exception"), 4)
	for range 2 {
		for _, bytes := range []float64{1514, 562} { // the fragments
			received("r1-blue", 1, bytes)
			kernel("r1-blue", 1, bytes)
		}
	}
	if _, err := vm2.Ping(t.Context(), "203.0.113.1", lab.PingOptions{Wait: patience}); !errors.Is(err, lab.ErrNoReply) {
		t.Error(err)
	}
	add(fallback("r1-green", "no_route"), 1)
	received("r1-green", 1, 98)
	kernel("r1-green", 1, 126)

	s.settleCounters(want)
	seen(t, at, "vm1", 3, "ARP replies", arpFor(2, "10.0.1.1"))
	before := s.scrape()
	s.metric(1, "ofdvr_connected_bridges")
	s.metric(1, "ofdvr_ovsdb_connected")
	held := float64(len(s.flows(bridge).flows))
	s.metric(held, `ofdvr_router_flows_desired{router="r1"}`)
	s.metric(held, `ofdvr_router_flows_installed{router="r1"}`)
	if n := before[`ofdvr_flow_mods_total{operation="add"}`]; n != held {
		t.Errorf("%v flows were added", n)
	}

	// vm2's flow is removed and added again, and counts from 0.
	s.reload(strings.Replace(twoNetworks, "- {id: vm2", "# - {id: vm2", 1))
	s.reload(twoNetworks)
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 2})
	both(2, 98)
	s.settleCounters(want)

	// All flows are made again.
	s.Switch().Kill()
	s.eventually("the daemon to lose the switch", func() error {
		if s.status().Routers[0].Connected {
			return errors.New("it is still connected")
		}
		return nil
	})
	s.settleCounters(want)
	if err := s.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wired()
	s.acquaint(vm1, vm2, vm9)
	pingTTL(t, vm1, vm2.IP(), 63)
	both(1, 98)
	s.settleCounters(want)

	after := s.scrape()
	for name := range maps.Keys(before) {
		if strings.Contains(name, "_total") && after[name] < before[name] {
			t.Errorf("%s decreased from %v to %v", name, before[name], after[name])
		}
	}
}

// The counters of a removed router are not exported.
func TestCountersOfARemovedRouterGo(t *testing.T) {
	t.Parallel()
	s := ready(t, twoRouters)
	s.metric(1, `ofdvr_router_connected{router="r2"}`)
	s.reload(twoNetworks)
	for name := range s.scrape() {
		if strings.Contains(name, `router="r2"`) || strings.Contains(name, `interface="r1-red"`) {
			t.Errorf("%s is still exported", name)
		}
	}
	s.metric(1, "ofdvr_connected_bridges")
}
