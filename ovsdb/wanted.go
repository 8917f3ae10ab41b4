package ovsdb

import "fmt"

// wanted fills want and ports. If no bridge can be realized, it holds all bridges.
func (p *planner) wanted() {
	if len(p.d.Bridges) == 0 && p.d.Fabric == nil {
		return
	}
	if x, ok := p.unusable(); ok {
		p.problem(x)
		for _, b := range p.d.Bridges {
			p.heldKeys[key{router: b.Router}] = true
		}
		p.heldKeys[key{fabric: true}] = p.d.Fabric != nil
		return
	}
	for i := range p.d.Bridges {
		b := &p.d.Bridges[i]
		p.wantBridge(&wantBridge{key{router: b.Router}, b.Name, b.DatapathID})
		for k := range b.Interfaces {
			p.wantInterface(b, &b.Interfaces[k])
		}
	}
	p.wantFabric()
}

func (p *planner) wantBridge(w *wantBridge) {
	p.want[w.key] = w
	p.blist = append(p.blist, w)
}

// unusable returns the problem, if any, for which no bridge can be made.
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
		is := "it is the fabric bridge"
		if k := p.br.key(); !k.fabric {
			is = fmt.Sprintf("it is the routing bridge of router %q", k.router)
		}
		return Problem{Kind: Invalid, Object: "integration bridge " + p.br.Name, Detail: is, Remedy: "configure another one"}, true
	}
	return Problem{}, false
}

// addIntegrationBridge returns the command that creates the integration bridge. The bridge
// needs the datapath type of our bridges, which are connected to it. Without the type, Open
// vSwitch would use the kernel's datapath, which this host may lack.
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
	k := key{router: b.Router, iface: f.ID}
	p.wantPair(wantPort{key: k, bridge: b.Name, name: f.Patch},
		wantPort{key: k, bridge: p.d.IntegrationBridge, name: f.Peer, mac: f.MAC, vlan: f.VLAN})
	if f.Tap != "" {
		p.wantPort(&wantPort{key: k, bridge: b.Name, name: f.Tap, what: "tap", typ: typeInternal})
	}
}

// wantFabric records the desired fabric bridge and its ports.
func (p *planner) wantFabric() {
	f := p.d.Fabric
	if f == nil {
		return
	}
	p.wantBridge(&wantBridge{key{fabric: true}, f.Name, f.DatapathID})
	for _, t := range f.Tunnels {
		p.wantPort(&wantPort{key: key{fabric: true, tunnel: t.Type}, bridge: f.Name, name: t.Name, what: "tunnel port", typ: t.Type,
			options: map[string]string{"local_ip": t.LocalIP, "remote_ip": "flow", "key": "flow"}})
	}
	if f.Uplink != "" {
		p.wantPort(&wantPort{key: key{fabric: true, uplink: true}, bridge: f.Name, name: f.Uplink, what: "uplink"})
	}
	for _, n := range f.Networks {
		k := key{fabric: true, network: n.ID}
		p.wantPair(wantPort{key: k, bridge: f.Name, name: n.Port},
			wantPort{key: k, bridge: p.d.IntegrationBridge, name: n.Peer, vlan: n.VLAN})
	}
	for _, r := range f.Routers {
		k := key{fabric: true, router: r.ID}
		if b := p.want[key{router: r.ID}]; b != nil {
			p.wantPair(wantPort{key: k, bridge: f.Name, name: r.Port}, wantPort{key: k, bridge: b.name, name: r.Peer})
		}
	}
}

// wantPair records a pair of patch ports.
func (p *planner) wantPair(a, b wantPort) {
	a.what, a.typ, a.options = "patch port", "patch", map[string]string{"peer": b.name}
	b.what, b.typ, b.options = "patch port", "patch", map[string]string{"peer": a.name}
	p.wantPort(&a)
	p.wantPort(&b)
}

func (p *planner) wantPort(w *wantPort) {
	p.ports[w.name] = w
	p.plist = append(p.plist, w)
}
