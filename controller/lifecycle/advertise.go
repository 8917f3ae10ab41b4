package lifecycle

import (
	"fmt"

	"github.com/ofdvr/ofdvr/internal/radvd"
	"github.com/ofdvr/ofdvr/routing"
)

// advertisers are the routers that are to send router advertisements.
func (p *pass) advertisers() []radvd.Router {
	var routers []radvd.Router
	for _, r := range p.routers {
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
			if f.RA.MTU > mtu { // radvd would be silent about all of the interface
				p.problem(r.ID, fmt.Sprintf("router advertisements of interface %s: their mtu %d is more than that of network %s, %d", f.ID, f.RA.MTU, f.Network, mtu))
				continue
			}
			a.Interfaces = append(a.Interfaces, advertisement(f, mtu))
		}
		if len(a.Interfaces) > 0 {
			routers = append(routers, a)
		}
	}
	return routers
}

// advertisement is what f, on a network with mtu, is to send.
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

// endAdvertisements ends those that are not wanted, while the taps are there
// by which to say so.
func (p *pass) endAdvertisements(wanted []radvd.Router) {
	if p.radvd == nil || !p.want.Complete {
		return
	}
	if err := p.radvd.End(wanted); err != nil {
		p.problem("", fmt.Sprintf("end router advertisements: %v", err))
		p.retry = true
	}
}

// advertise has the others sent.
func (p *pass) advertise(wanted []radvd.Router) {
	if p.radvd == nil {
		return
	}
	for router, problems := range p.radvd.Ensure(wanted) {
		p.problems[router] = append(p.problems[router], problems...)
	}
}
