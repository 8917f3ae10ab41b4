package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/internal/radvd"
	"github.com/ofdvr/ofdvr/routing"
)

// advertisers returns the routers that send router advertisements, and problems of their
// configuration.
func (p *pass) advertisers() (routers []radvd.Router, wrong problems) {
	wrong = make(problems)
	for _, m := range p.routers {
		r := m.Router
		if r.Fallback != routing.FallbackNamespace {
			continue
		}
		a := radvd.Router{ID: r.ID, Namespace: r.NamespaceName()}
		for i := range r.Interfaces {
			f := &r.Interfaces[i]
			if f.RA == nil {
				continue
			}
			mtu := p.mtu(f.Network)
			if f.RA.MTU > mtu { // radvd would ignore the whole interface if the MTU were too large
				wrong.add(r.ID, fmt.Sprintf("router advertisements of interface %s: their mtu %d is larger than the mtu of network %s, %d", f.ID, f.RA.MTU, f.Network, mtu))
				continue
			}
			a.Interfaces = append(a.Interfaces, advertisement(f, mtu))
		}
		if len(a.Interfaces) > 0 {
			routers = append(routers, a)
		}
	}
	return routers, wrong
}

// advertisement returns the router advertisements of f. mtu is the MTU of its network.
func advertisement(f *routing.Interface, mtu int) radvd.Interface {
	a := radvd.Interface{ID: f.ID, Tap: f.TapName(), Down: f.Down,
		Managed: f.RA.Managed, Other: f.RA.Other, Lifetime: f.RA.Lifetime, Interval: f.RA.Interval, MTU: f.RA.MTU}
	if a.MTU == 0 && mtu >= routing.MinIPv6MTU {
		a.MTU = mtu
	}
	prefixes := f.RA.Prefixes
	if len(prefixes) == 0 {
		seen := make(map[routing.RAPrefix]bool)
		for _, subnet := range f.Addresses {
			p := routing.DefaultRAPrefix
			p.Prefix = subnet.Masked()
			if a := subnet.Addr(); a.Is6() && !a.IsLinkLocalUnicast() && !seen[p] {
				seen[p] = true
				prefixes = append(prefixes, p)
			}
		}
	}
	for _, p := range prefixes {
		a.Prefixes = append(a.Prefixes, radvd.Prefix(p))
	}
	return a
}

// mtu returns the MTU of a network.
func (p *pass) mtu(network string) int {
	n, _ := p.want.Index.Network(network)
	return n.MTU
}

// endAdvertisements stops unwanted advertisements. It must run while the taps still exist, so that
// radvd can send its final advertisements.
func (p *pass) endAdvertisements(wanted []radvd.Router) {
	if p.radvd == nil || !p.want.Complete {
		return
	}
	if err := p.radvd.End(wanted); err != nil {
		p.database.problems.add("", fmt.Sprintf("end router advertisements: %v", err))
		p.database.again(time.Now())
	}
}

// advertise starts or updates the wanted advertisements.
func (p *pass) advertise() {
	e := &p.advertising
	e.begin()
	wanted, wrong := p.advertisers()
	e.problems = wrong
	if p.radvd == nil || !p.database.connected {
		return
	}
	p.doing("keep router advertisements")
	wanted = slices.DeleteFunc(wanted, func(a radvd.Router) bool { return p.byID[a.ID].foreign })
	for router, texts := range p.radvd.Ensure(wanted) {
		e.problems[router] = append(e.problems[router], texts...)
	}
}
