package chaos

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Faults of the kernel: what ip(8) can do to namespaces and the taps in them.
// They take away no more than the way through the namespace.

// ip plans a call of ip(8) about a tap.
func ip(args func(s *site, netns, tap string) []string) func(*topology, *rand.Rand) step {
	return func(t *topology, r *rand.Rand) step {
		x, f, _ := pickInterface(t, r)
		return step{
			what: f.TapName(), takes: throughKernel(x.ID, t),
			do: func(ctx context.Context, s *site) error {
				_, err := s.Run(ctx, "ip", args(s, x.NamespaceName(), f.TapName())...)
				if err != nil && strings.Contains(err.Error(), "Device or resource busy") {
					return nil // the daemon has made the namespace anew before ip could remove the name of the old one
				}
				return err
			},
		}
	}
}

// settingChanged plans a change of a setting of a namespace that ends forwarding, wholly
// or in part, or that filters sources.
func settingChanged(t *topology, r *rand.Rand) step {
	x, f, _ := pickInterface(t, r)
	settings := []string{"ipv4/ip_forward=0", "ipv4/conf/all/forwarding=0", "ipv4/conf/default/forwarding=0", "ipv4/conf/" + f.TapName() + "/forwarding=0",
		"ipv6/conf/all/forwarding=0", "ipv6/conf/" + f.TapName() + "/forwarding=0", "ipv6/conf/" + f.TapName() + "/disable_ipv6=1",
		"ipv4/conf/all/rp_filter=1", "ipv4/conf/" + f.TapName() + "/rp_filter=1"}
	key, value, _ := strings.Cut(settings[r.IntN(len(settings))], "=")
	return step{
		what: key + " of " + x.ID, takes: throughKernel(x.ID, t),
		do: func(ctx context.Context, s *site) error {
			_, err := s.RunIn(ctx, x.NamespaceName(), "sh", "-c", "echo "+value+" >/proc/sys/net/"+key)
			return err
		},
	}
}

var (
	tapDeleted = ip(func(_ *site, netns, tap string) []string {
		return []string{"-n", netns, "link", "delete", tap}
	})
	tapMoved = ip(func(s *site, netns, tap string) []string { // to where ovs-vswitchd has made it
		return []string{"-n", netns, "link", "set", tap, "netns", strconv.Itoa(s.Switch().Pid)}
	})
	tapTaken = ip(func(s *site, netns, tap string) []string {
		return []string{"-n", netns, "link", "set", tap, "netns", s.mesh.machines[0].Name}
	})
	tapDown = ip(func(_ *site, netns, tap string) []string {
		return []string{"-n", netns, "link", "set", tap, "down"}
	})
	addressesRemoved = ip(func(_ *site, netns, tap string) []string {
		return []string{"-n", netns, "address", "flush", "dev", tap}
	})
	namespaceDeleted = ip(func(_ *site, netns, _ string) []string {
		return []string{"netns", "delete", netns}
	})
)
