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
	Address netip.Addr    // of its end
	Heard   time.Duration // time since its last message; negative before the first
	Version string        // version of its ofdvr; "" if not known
	Differs bool          // its intent differs from ours
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
		e.find(Fine, "hosts", "", "this is one host: its networks end here, unless another program carries them, such as Neutron's L2 agent")
		return nil
	}
	if e.Peers == nil {
		e.find(Note, "hosts", "give this host and another one a tunnel address (hosts in the topology)", "this is one host: no tunnel leads to another, so networks end here")
		return nil
	}
	probes, err := e.Probe(ctx)
	if err != nil {
		return err
	}
	e.fits()
	var passing []string
	for _, p := range e.Peers {
		about := "host " + p.ID
		small, large := probes[p.ID].Small, probes[p.ID].Large
		switch {
		case !small.Answered && p.Heard >= 0:
			e.find(Problem, about, "see whether ofdvr and ovs-vswitchd run there, and whether UDP between the tunnel addresses passes (Geneve 6081, VXLAN 4789)",
				"the tunnel to %s does not pass packets: a probe was not answered; the last message came %v ago", p.Tunnel, p.Heard.Round(time.Second))
		case !small.Answered:
			e.find(Problem, about, "see whether ofdvr and ovs-vswitchd run there, with the same tunnel address in its intent, and whether UDP between the tunnel addresses passes (Geneve 6081, VXLAN 4789)",
				"the tunnel to %s does not pass packets: a probe was not answered, and no message has come", p.Tunnel)
		case !large.Answered:
			e.find(Problem, about, "raise the MTU between the hosts, or lower mtu of the networks: a tunnel takes 50 bytes, over IPv6 70",
				"the tunnel to %s passes small packets and loses those of %d bytes, the largest MTU of the networks", p.Tunnel, e.LargestMTU)
		default:
			passing = append(passing, p.ID)
		}
		if p.Differs {
			e.find(Problem, about, "give both the same file, or see ofdvr status on both", "it has another intent than this host, so they disagree about networks, addresses or where machines are")
		}
	}
	if len(passing) > 0 {
		e.find(Fine, "hosts", "", "tunnels pass packets of all sizes to %s: %s", count(len(passing), "host"), logging.Brief(passing))
	}
	return nil
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
					e.find(Problem, "interface "+f.ID, "find out what sends there with this address: another router with the same file but without hosts, another agent, or a loop between hosts; the address must be unique",
						"its MAC address %v came in by port %s of bridge %s, not from its router: something else uses the address, and machines may send their packets there", f.MAC, port, e.Bridge)
				}
			}
		}
	}
}
