package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

// Faults of the kernel are changes of namespaces and their taps with ip(8). They affect only
// traffic through the namespace.

// ip plans to run ip(8) on a tap.
func ip(args func(s *site, netns, tap string) []string) func(*document, *rand.Rand) step {
	return func(t *document, r *rand.Rand) step {
		x, f, _ := pickInterface(t, r)
		return step{
			what: f.TapName(), takes: throughKernel(x.ID, t),
			do: func(ctx context.Context, s *site) error {
				_, err := s.Run(ctx, "ip", args(s, x.NamespaceName(), f.TapName())...)
				if err != nil && strings.Contains(err.Error(), "Device or resource busy") {
					return nil // the daemon has recreated the namespace before ip could remove the old name
				}
				return err
			},
		}
	}
}

// settingChanged plans a change of a namespace's setting. The change stops forwarding, fully
// or partly, or filters sources.
func settingChanged(t *document, r *rand.Rand) step {
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

// foreignRoute plans a foreign route in a namespace, to one address on a network. The route is
// removed when flows leave that address to the kernel. In the meantime the kernel routes to
// the address.
func foreignRoute(t *document, r *rand.Rand) step {
	x, f, i := pickInterface(t, r)
	a := addressOn(t, r, i)
	return foreign(x, compile.RoleForeign, a, "route", []string{a, "dev", f.TapName()})
}

// foreignAddress plans to add an otherwise unused address to the namespace, and to remove it
// like a foreign route.
func foreignAddress(t *document, r *rand.Rand) step {
	x, _, i := pickInterface(t, r)
	p := netip.MustParsePrefix(pick(r, i.Addresses)).Masked()
	b := p.Addr().AsSlice()
	b[len(b)-1] = 250
	a, _ := netip.AddrFromSlice(b)
	own := netip.PrefixFrom(a, a.BitLen()).String()
	return foreign(x, compile.RoleOwn, own, "address", []string{own, "dev", "lo"})
}

// addressOn returns an address of a machine on i's network, with its prefix length.
func addressOn(t *document, r *rand.Rand, i iface) string {
	var all []string
	for _, p := range t.Ports {
		if p.Network == i.Network {
			all = append(all, p.Addresses...)
		}
	}
	a := netip.MustParseAddr(pick(r, all))
	return netip.PrefixFrom(a, a.BitLen()).String()
}

func foreign(x *routing.Router, role compile.Role, to, object string, args []string) step {
	cookie := compile.CookieOf(routing.Object{Kind: routing.KindRouter, ID: x.ID}, role)
	run := func(ctx context.Context, s *site, verb string) error {
		call := []string{"-n", x.NamespaceName(), object, verb}
		if strings.Contains(to, ":") {
			call = append([]string{"-6"}, call...)
		}
		_, err := s.Run(ctx, "ip", append(call, args...)...)
		return err
	}
	return step{
		what: fmt.Sprintf("%s %s of %s", object, to, x.ID),
		survives: func(id string, have ofproto.Set) ofproto.Set { // without the flow for the address
			if id != x.ID {
				return have
			}
			return have.With(ofproto.Flow{Cookie: cookie})
		},
		do: func(ctx context.Context, s *site) error {
			if err := run(ctx, s, "add"); err != nil {
				return err
			}
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				stats, _, err := s.dump(ctx, x.BridgeName())
				if err != nil {
					return err
				}
				if slices.ContainsFunc(stats, func(f ofproto.FlowStats) bool { return f.Flow.Cookie == cookie }) {
					return run(ctx, s, "del")
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return fmt.Errorf("no flow leaves %s to the kernel: %w", to, context.Cause(ctx))
				}
			}
		},
	}
}

var (
	tapDeleted = ip(func(_ *site, netns, tap string) []string {
		return []string{"-n", netns, "link", "delete", tap}
	})
	tapMoved = ip(func(s *site, netns, tap string) []string { // back to the namespace of ovs-vswitchd
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
