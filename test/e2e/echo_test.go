package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The switch answers echo requests to all addresses of the router, IPv4 and IPv6, of any size that
// fits into one packet, and with any TTL. It needs neither the daemon nor a link in the namespace.
func TestEchoIsAnsweredWithoutTheKernel(t *testing.T) {
	t.Parallel()
	s := ready(t, dualStack)
	vm1 := s.plug(dual("vm1", "10.0.1.10"))
	s.stop()
	if lab.OnKernel(t, "the machine has a static neighbour entry for its router: the namespace answers solicitations, because the datapath cannot write the options of an advertisement") {
		for _, ip := range []string{"fd00:1::1", blueLinkLocal} {
			s.sh("vm1", "ip neigh replace "+ip+" lladdr "+blueMAC+" dev eth0 nud permanent")
		}
	}
	s.sh(netns, "ip link set "+blueTap+" down; ip link set "+greenTap+" down")
	for _, to := range []string{"10.0.1.1", "10.0.2.1", "fd00:1::1", "fd00:2::1", blueLinkLocal + "%eth0"} {
		for _, o := range []lab.PingOptions{{}, {TTL: 1}, {Size: 16}, {Size: 17}, {Size: 1400}, {Count: 5}} {
			t.Run(fmt.Sprintf("%s %+v", to, o), func(t *testing.T) {
				for _, r := range ping(t, vm1, to, o).Replies {
					if r.TTL != 64 {
						t.Errorf("the reply has TTL %d", r.TTL)
					}
				}
			})
		}
	}
}

// The kernel answers fragmented requests, and requests that came by a path other than that of the
// reply. If so configured, it answers all requests.
func TestEchoByTheKernel(t *testing.T) {
	t.Parallel()
	s, vm1, _ := dualPair(t)
	tap := s.recordIn(netns, blueTap, nil)
	for _, to := range []string{"10.0.1.1", "10.0.2.1", "fd00:2::1"} {
		ping(t, vm1, to, lab.PingOptions{Size: 3000})
	}
	await(t, tap, "a fragment", all(came, isIPv4))
	await(t, tap, "a fragment", all(came, isIPv6))
	s.sh(vm1.Name, "ip addr add 198.51.100.7/32 dev lo")
	tap = s.recordIn(netns, blueTap, isIPv4)
	s.sh(netns, "ip route add 198.51.100.7/32 via 10.0.1.10")
	ping(t, vm1, "10.0.1.1", lab.PingOptions{From: "198.51.100.7"})
	await(t, tap, "the request", echo("198.51.100.7", "10.0.1.1"))

	s.reload(strings.Replace(dualStack, "- id: r1\n", "- id: r1\n    echo_responder: false\n", 1))
	tap = s.recordIn(netns, blueTap, nil)
	s.eventually("the requests at the tap", func() error {
		pingTTL(t, vm1, "10.0.2.1", 64)
		pingTTL(t, vm1, "fd00:2::1", 64)
		if err := tap.Sync(within(t)); err != nil {
			return err
		}
		if a, b := tap.Count(echo(vm1.IP(), "10.0.2.1")), tap.Count(echo6("fd00:1::10", "fd00:2::1")); a*b == 0 {
			return fmt.Errorf("the kernel got %d IPv4 and %d IPv6 requests", a, b)
		}
		return nil
	})
}
