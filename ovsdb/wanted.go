package ovsdb

import "fmt"

// wanted fills p.want and p.ports. If no router can be realized, it holds all of them.
func (p *planner) wanted() {
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
	for i := range p.d.Bridges {
		b := &p.d.Bridges[i]
		p.want[b.Router] = b
		for k := range b.Interfaces {
			p.wantInterface(b, &b.Interfaces[k])
		}
	}
}

// unusable returns the problem that prevents all routers, if there is one.
func (p *planner) unusable() (Problem, bool) {
	switch {
	case p.d.IntegrationBridge == "":
		return Problem{Kind: Invalid, Object: "integration bridge", Detail: "its name is not configured",
			Remedy: "configure its name"}, true
	case p.d.Controller == "":
		return Problem{Kind: Invalid, Object: "controller", Detail: "its target is not configured",
			Remedy: "configure one, such as tcp:127.0.0.1:6653"}, true
	case p.br == nil:
		return Problem{Kind: NoIntegrationBridge, Object: "integration bridge " + p.d.IntegrationBridge,
			Detail: "it does not exist",
			Remedy: fmt.Sprintf("create it with `%s`, or configure another one (--integration-bridge)", p.addIntegrationBridge())}, true
	case isOurs(p.br.ExternalIDs):
		return Problem{Kind: Invalid, Object: "integration bridge " + p.br.Name,
			Detail: fmt.Sprintf("it is the routing bridge of router %q", p.br.Router()), Remedy: "configure another one"}, true
	}
	return Problem{}, false
}

// addIntegrationBridge returns the command that creates the integration bridge. The command
// sets the datapath type of our bridges, because they are connected to the integration bridge.
// Without it, Open vSwitch would use the kernel's datapath, which may be missing on this host.
func (p *planner) addIntegrationBridge() string {
	command := "ovs-vsctl add-br " + p.d.IntegrationBridge
	for i := range p.s.Bridges {
		if b := &p.s.Bridges[i]; isOurs(b.ExternalIDs) && b.DatapathType != "" {
			return fmt.Sprintf("%s -- set bridge %s datapath_type=%s", command, p.d.IntegrationBridge, b.DatapathType)
		}
	}
	return command
}

// wantInterface records the desired ports of f, an interface of b.
func (p *planner) wantInterface(b *Bridge, f *Interface) {
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
}
