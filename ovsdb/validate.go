package ovsdb

import (
	"fmt"
	"net"
)

// validate finds what of d is sound: it fills want and ports, and holds the
// rest.
func (p *planner) validate() {
	if len(p.d.Bridges) == 0 {
		return
	}
	if x, ok := p.unusable(); ok {
		p.problem(x)
		for _, b := range p.d.Bridges {
			p.heldRouters[b.Router] = true
		}
		return
	}
	claimed := map[string]string{p.d.IntegrationBridge: "the integration bridge"}
	routers := map[string]bool{}
	for i := range p.d.Bridges {
		b := &p.d.Bridges[i]
		if err := b.check(claimed, routers); err != nil {
			if !routers[b.Router] { // else it is the first one's
				p.heldRouters[b.Router] = true
			}
			p.problem(Problem{Kind: Invalid, Router: b.Router, Object: "bridge " + b.Name, Detail: err.Error()})
			continue
		}
		claimed[b.Name] = fmt.Sprintf("the bridge of router %q", b.Router)
		routers[b.Router] = true
		p.want[b.Router] = b
		p.order = append(p.order, b)
	}
	ids := map[string]string{}
	for _, b := range p.order {
		for i := range b.Interfaces {
			f := &b.Interfaces[i]
			k := key{b.Router, f.ID}
			if err := f.check(b.Router, claimed, ids); err != nil {
				if ids[f.ID] != b.Router { // else it is the first one's
					p.heldIfaces[k] = true
				}
				p.problem(Problem{Kind: Invalid, Router: b.Router, Interface: f.ID,
					Object: fmt.Sprintf("interface %q", f.ID), Detail: err.Error()})
				continue
			}
			ids[f.ID] = b.Router
			for _, w := range p.wantInterface(b, f) {
				claimed[w.name] = fmt.Sprintf("interface %q of router %q", f.ID, b.Router)
			}
		}
	}
}

// unusable reports what keeps every router from being realized.
func (p *planner) unusable() (Problem, bool) {
	switch {
	case p.d.IntegrationBridge == "":
		return Problem{Kind: Invalid, Object: "integration bridge", Detail: "its name is not given",
			Remedy: "name it"}, true
	case p.d.Controller == "":
		return Problem{Kind: Invalid, Object: "controller", Detail: "its target is not given",
			Remedy: "name one such as tcp:127.0.0.1:6653"}, true
	case p.br == nil:
		return Problem{Kind: NoIntegrationBridge, Object: "integration bridge " + p.d.IntegrationBridge,
			Detail: "it does not exist",
			Remedy: fmt.Sprintf("create it with `ovs-vsctl add-br %s`, or name another", p.d.IntegrationBridge)}, true
	case isOurs(p.br.ExternalIDs):
		return Problem{Kind: Invalid, Object: "integration bridge " + p.br.Name,
			Detail: fmt.Sprintf("it is the routing bridge of router %q", p.br.Router()), Remedy: "name another"}, true
	}
	return Problem{}, false
}

func (b *Bridge) check(claimed map[string]string, routers map[string]bool) error {
	if err := checkID("router", b.Router); err != nil {
		return err
	}
	if routers[b.Router] {
		return fmt.Errorf("router %q is listed twice", b.Router)
	}
	if err := checkName("bridge", b.Name); err != nil {
		return err
	}
	if who, ok := claimed[b.Name]; ok {
		return fmt.Errorf("the name %s is that of %s", b.Name, who)
	}
	if b.DatapathID == 0 {
		return fmt.Errorf("the datapath ID is 0")
	}
	return nil
}

func (f *Interface) check(router string, claimed, ids map[string]string) error {
	if err := checkID("interface", f.ID); err != nil {
		return err
	}
	if other, ok := ids[f.ID]; ok {
		return fmt.Errorf("interface %q is listed twice, for router %q before", f.ID, other)
	}
	mine := map[string]bool{}
	for _, n := range []struct{ what, name string }{{"patch port", f.Patch}, {"peer", f.Peer}, {"tap", f.Tap}} {
		if n.what == "tap" && n.name == "" {
			continue
		}
		if err := checkName(n.what, n.name); err != nil {
			return err
		}
		if who, ok := claimed[n.name]; ok {
			return fmt.Errorf("the name %s is that of %s", n.name, who)
		}
		if mine[n.name] {
			return fmt.Errorf("two of its ports have the name %s", n.name)
		}
		mine[n.name] = true
	}
	if m, err := net.ParseMAC(f.MAC); err != nil || len(m) != 6 || m[0]&1 != 0 {
		return fmt.Errorf("%q is not the MAC address of one machine", f.MAC)
	}
	if f.VLAN > maxVLAN {
		return fmt.Errorf("VLAN %d is not within 1–%d", f.VLAN, maxVLAN)
	}
	return nil
}

// wantInterface notes the ports of f, an interface of b, and returns them.
func (p *planner) wantInterface(b *Bridge, f *Interface) []*wantPort {
	k := key{b.Router, f.ID}
	ports := []*wantPort{
		{key: k, bridge: b.Name, name: f.Patch, what: "patch port", typ: "patch", peer: f.Peer},
		{key: k, bridge: p.d.IntegrationBridge, name: f.Peer, what: "patch port", typ: "patch", peer: f.Patch, mac: f.MAC, vlan: f.VLAN},
	}
	if f.Tap != "" {
		ports = append(ports, &wantPort{key: k, bridge: b.Name, name: f.Tap, what: "tap", typ: typeInternal})
	}
	for _, w := range ports {
		p.ports[w.name] = w
		p.plist = append(p.plist, w)
	}
	return ports
}
