package doctor

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/controller/machines"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
)

// A Peer is another host of the intent with a tunnel.
type Peer struct {
	ID      string
	Tunnel  string        // type and address of its end of the tunnel
	Address netip.Addr    // address of its end of the tunnel
	Heard   time.Duration // time since its last message; negative before the first
	Version string        // version of its ofdvr; "" if not known
	Deaf    bool          // the peer reports that it does not receive the messages of this host
	Differs bool          // the peer's intent differs from this host's intent
}

// A Probe is the result of sending a packet to a host and back.
type Probe struct {
	Answered bool
	Took     time.Duration
}

// Probes has the results of a small packet, and of a packet with the largest MTU of the networks
// between hosts.
type Probes struct{ Small, Large Probe }

// hosts checks the tunnels to other hosts.
func (e *examination) hosts(ctx context.Context) error {
	many := false
	for range e.Intent.Index.Hosts("") {
		many = true
	}
	if !many {
		e.find(Fine, "hosts", "", "the intent is for one host: ofdvr connects networks to no other host, but another program may, such as Neutron's L2 agent")
		return nil
	}
	if e.Peers == nil {
		e.find(Note, "hosts", "give this host and another one a tunnel address (hosts in the topology)", "no tunnel leads to another host, so networks do not reach other hosts")
		return nil
	}
	probes, err := e.Probe(ctx)
	if err != nil {
		return err
	}
	e.fits()
	e.uplink()
	var passing []string
	for _, p := range e.Peers {
		about := "host " + p.ID
		small, large := probes[p.ID].Small, probes[p.ID].Large
		switch {
		case !small.Answered && p.Deaf:
			e.find(Problem, about, "check that no firewall or router drops UDP from this host's tunnel address to that host's (Geneve 6081, VXLAN 4789), and that the intent there has this host's tunnel address",
				"the tunnel to %s passes packets in one direction only: messages of that host arrive here, but messages of this host do not arrive there", p.Tunnel)
		case !small.Answered && p.Heard >= 0:
			e.find(Problem, about, "check that ofdvr and ovs-vswitchd run on that host, and that UDP between the tunnel addresses passes (Geneve 6081, VXLAN 4789)",
				"the tunnel to %s does not pass packets: a probe was not answered; the last message came %v ago", p.Tunnel, p.Heard.Round(time.Second))
		case !small.Answered:
			e.find(Problem, about, "check that ofdvr and ovs-vswitchd run on that host, that its intent has the same tunnel addresses, and that UDP between the tunnel addresses passes (Geneve 6081, VXLAN 4789)",
				"the tunnel to %s does not pass packets: a probe was not answered, and no message has come", p.Tunnel)
		case !large.Answered:
			e.find(Problem, about, "raise the MTU between the hosts, or lower mtu of the networks: a tunnel takes 50 bytes, over IPv6 70",
				"the tunnel to %s passes small packets and loses those of %d bytes, the largest MTU of the networks", p.Tunnel, e.LargestMTU)
		default:
			passing = append(passing, p.ID)
		}
		if p.Differs {
			e.find(Problem, about, "give both hosts the same intent; ofdvr status on each shows its hash", "it has another intent than this host, so the two disagree about networks, addresses or the places of machines")
		}
	}
	if len(passing) > 0 {
		e.find(Fine, "hosts", "", "tunnels pass packets of all sizes to %s: %s", count(len(passing), "host"), logging.Brief(passing))
	}
	return nil
}

// uplink checks that the uplink of this host has a link, and reports what uplinks do not show.
func (e *examination) uplink() {
	if !routing.Uplinks(e.Intent.Index, e.Self) {
		return
	}
	if LacksLink(e.Intent.Index, e.Self) {
		e.find(Problem, "uplink "+e.Intent.Index.Host(e.Self).Uplink, NoLinkRemedy, NoLink)
	}
	var mute []string
	for h := range e.Intent.Index.Hosts("") {
		if h.ID != e.Self && h.Uplink != "" && !slices.ContainsFunc(e.Peers, func(p Peer) bool { return p.ID == h.ID }) {
			mute = append(mute, h.ID)
		}
	}
	if len(mute) > 0 {
		e.find(Note, "hosts", "compare the hashes of ofdvr status on all hosts, and ping between machines. Hosts that also have tunnel addresses send messages, and report these faults",
			"uplinks carry no messages of hosts: whether packets pass to %s, whether they have the same intent, and whether two hosts have the same machine, is not known: %s", count(len(mute), "host"), logging.Brief(mute))
	}
}

// Text of the problem that the uplink of this host has no link.
const (
	NoLink       = "has no link, so no packets pass to other hosts"
	NoLinkRemedy = "check the cable and the port of the switch"
)

// LacksLink reports whether the uplink of the host called id, this host, has no link. If that cannot be
// read, it is false: a missing interface is reported as a port without one.
func LacksLink(x *routing.Index, id string) bool {
	if !routing.Uplinks(x, id) {
		return false
	}
	up, err := namespace.HasLink(x.Host(id).Uplink)
	return err == nil && !up
}

// fits checks that packets of the networks between hosts fit through the links to the other hosts.
func (e *examination) fits() {
	for _, p := range e.Peers {
		if _, _, err := namespace.PathMTU(p.Address); err != nil {
			e.find(Warning, "host "+p.ID, "give this host a route to it", "no route leads to the tunnel to %s: %v", p.Tunnel, err)
		}
	}
	for _, m := range routing.Misfits(e.Intent.Index, e.Self, namespace.PathMTU, namespace.LinkMTU) {
		e.find(Warning, "network "+m.Network, m.Remedy(), "%v", m)
	}
}

// impostors checks that the integration bridge has learned the MAC addresses of router interfaces
// only on the ports of their routers.
func (e *examination) impostors(evidence *machines.Evidence, view *machines.View) {
	for _, r := range e.Routers {
		for i := range r.Interfaces {
			f := &r.Interfaces[i]
			for _, port := range evidence.On(f.MAC, view.VLAN(f.Network)) {
				if port != f.PeerName() && r.Bridge.Managed && !slices.Contains([]string{"", "LOCAL"}, port) {
					e.find(Problem, "interface "+f.ID, "find out what sends packets with this address behind that port: another router with the same file but without hosts, another agent, or a loop between hosts; the address must be unique",
						"its MAC address %v came in by port %s of bridge %s, not from its router: another router or program uses the address, and machines may send their packets there", f.MAC, port, e.Bridge)
				}
			}
		}
	}
}
