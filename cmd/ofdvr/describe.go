package main

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

func newDescribe() *cobra.Command {
	var c clientFlags
	cmd := &cobra.Command{
		Use:        "describe network|router|port|host ID|NAME... | KIND/ID...",
		SuggestFor: []string{"show"},
		Short:      "Show the details of networks, routers, ports or hosts",
		Long: `Describe shows the source of an object, its settings, whether the switches have
confirmed it, and its problems. For a network it also shows the routers and
ports on it, for a router its interfaces, bridge and state, for a port its
flows, and for a host its tunnel, its state and the ports expected on it.`,
		Example: `  ofdvr describe port vm1
  ofdvr describe routers r1 r2
  ofdvr describe network/blue port/vm1`,
		Args:              arguments("KIND", "[ID...]"),
		ValidArgsFunction: c.complete(""),
		RunE: func(cmd *cobra.Command, args []string) error {
			objects, err := selected(args)
			if err != nil {
				return err
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			first := true
			for _, s := range objects {
				if len(s.ids) == 0 {
					return misuse("missing argument ID of a %s", s.singular)
				}
				for _, id := range s.ids {
					if !first {
						fmt.Fprintln(cmd.OutOrStdout())
					}
					first = false
					d := description{cmd: cmd, client: client, w: cmd.OutOrStdout()}
					if err := d.describe(s.kindWord, id); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	c.add(cmd)
	return cmd
}

// A description prints objects with their state.
type description struct {
	cmd    *cobra.Command
	client *api.Client
	w      io.Writer
}

// line prints a key with its value.
func (d *description) line(key, format string, args ...any) {
	fmt.Fprintf(d.w, "%-12s %s\n", key+":", fmt.Sprintf(format, args...))
}

// more prints another value of the previous key.
func (d *description) more(format string, args ...any) {
	fmt.Fprintf(d.w, "%-12s %s\n", "", fmt.Sprintf(format, args...))
}

func (d *description) get(path string, out any) error {
	_, err := d.client.Do(d.cmd.Context(), http.MethodGet, path, nil, out)
	return err
}

func (d *description) describe(kind kindWord, id string) error {
	m, err := kind.fetch(d.cmd.Context(), d.client, []string{id}, nil)
	if err != nil {
		return err
	}
	id = idsOf(m)[0] // the argument may have been a name
	var st api.ObjectStatus
	if err := d.get(kind.path(id)+"/status", &st); err != nil {
		return err
	}
	d.line(strings.ToUpper(kind.singular[:1])+kind.singular[1:], "%s", id)
	d.line("From", "%s", st.Source)
	d.meta(m)
	switch {
	case len(m.Hosts) > 0:
		err = d.host(&m.Hosts[0])
	case len(m.Networks) > 0:
		err = d.network(&m.Networks[0])
	case len(m.Routers) > 0:
		err = d.router(&m.Routers[0])
	default:
		err = d.port(&m.Ports[0], st.Machine)
	}
	if err != nil {
		return err
	}
	for _, c := range st.Conditions {
		says := "no"
		if c.Status == "True" {
			says = "yes"
		}
		if !c.Changed.IsZero() {
			says += ", since " + c.Changed.Format(time.DateTime)
		}
		d.line(c.Type, "%s", says)
		if c.Message != "" {
			d.more("%s", c.Message)
		}
	}
	return nil
}

// meta prints the metadata of the only object of m.
func (d *description) meta(m *routing.Model) {
	var meta *routing.Meta
	switch {
	case len(m.Hosts) > 0:
		meta = m.Hosts[0].Meta
	case len(m.Networks) > 0:
		meta = m.Networks[0].Meta
	case len(m.Routers) > 0:
		meta = m.Routers[0].Meta
	default:
		meta = m.Ports[0].Meta
	}
	if meta == nil {
		return
	}
	for _, l := range [][2]string{{"Name", meta.Name}, {"Description", meta.Description}} {
		if l[1] != "" {
			d.line(l[0], "%s", l[1])
		}
	}
	for i, l := range meta.Labels {
		if i == 0 {
			d.line("Labels", "%s=%s", l.Key, l.Value)
		} else {
			d.more("%s=%s", l.Key, l.Value)
		}
	}
}

func (d *description) host(h *routing.Host) error {
	if t := h.Tunnel; t != (routing.Tunnel{}) {
		d.line("Tunnel", "%v, %v", t.Type, t.Address)
	} else {
		d.line("Tunnel", "none: networks with a VNI do not reach the host")
	}
	if h.Uplink != "" {
		d.line("Uplink", "%s", h.Uplink)
	}
	s, err := d.client.Status(d.cmd.Context())
	if err != nil {
		return err
	}
	for _, st := range s.Hosts {
		if st.ID != h.ID {
			continue
		}
		switch {
		case st.Self:
			d.line("State", "this host, with %s plugged in", count(st.Ports, "machine"))
		case st.Tunnel == "" && st.Uplink != "":
			d.line("State", "not known: only hosts with tunnels send messages; packets go through the uplinks")
		case st.Tunnel == "":
			d.line("State", "not known: only hosts with tunnels send messages")
		case st.Heard.IsZero():
			d.line("State", "no message from this host has arrived")
		default:
			d.line("State", "%s, last message %s, with %s plugged in", hostState(st), st.Heard.Format(time.DateTime), count(st.Ports, "machine"))
		}
		if st.Version != "" {
			d.line("Version", "%s", st.Version)
		}
		if st.InEtcd != nil {
			d.line("In etcd", "%s", inEtcdText(st.InEtcd))
		}
		if st.Self || st.Alive {
			if err := d.plugged(h.ID); err != nil {
				return err
			}
		}
		for _, p := range st.Problems {
			d.line("Problem", "%s", p)
		}
		for _, p := range s.Warnings {
			if st.Self {
				d.line("Warning", "%s", p)
			}
		}
	}
	ports, err := kindWords[2].fetch(d.cmd.Context(), d.client, nil, url.Values{"host": {h.ID}})
	if err != nil {
		return err
	}
	d.line("Ports", "%d expected on it", len(ports.Ports))
	for _, p := range ports.Ports[:min(len(ports.Ports), maxDescribed)] {
		d.more("%s, network %s", portText(&p), p.Network)
	}
	if left := len(ports.Ports) - maxDescribed; left > 0 {
		d.more("and %d more: ofdvr get ports --host %s", left, h.ID)
	}
	return nil
}

func (d *description) network(n *routing.Network) error {
	switch {
	case n.VLAN != 0:
		d.line("VLAN", "%d", n.VLAN)
	case n.VNI != 0:
		d.line("VLAN", "chosen by each host")
	default:
		d.line("VLAN", "set by another agent")
	}
	if n.VNI != 0 {
		d.line("VNI", "%d", n.VNI)
		d.line("Broadcast", "%v", n.Broadcast)
	}
	d.line("MTU", "%d", n.MTU)
	d.fastPath(n.NoFastPath)
	routers, err := kindWords[1].fetch(d.cmd.Context(), d.client, nil, url.Values{"network": {n.ID}})
	if err != nil {
		return err
	}
	for _, r := range routers.Routers {
		for _, f := range r.Interfaces {
			if f.Network == n.ID {
				d.line("Router", "%s, %s", r.ID, interfaceText(&f))
			}
		}
	}
	onIt := url.Values{"network": {n.ID}}
	ports, err := kindWords[2].fetch(d.cmd.Context(), d.client, nil, onIt)
	if err != nil {
		return err
	}
	machines, err := machinesOf(d.cmd.Context(), d.client, nil, onIt)
	if err != nil {
		return err
	}
	seen := 0
	for _, m := range machines {
		if m.State == "seen" {
			seen++
		}
	}
	be := "are"
	if seen == 1 {
		be = "is"
	}
	d.line("Ports", "%d, of which %d %s seen on the integration bridge", len(ports.Ports), seen, be)
	for _, p := range ports.Ports[:min(len(ports.Ports), maxDescribed)] {
		d.more("%s; seen: %s", portText(&p), seenText(machines[p.ID]))
	}
	if left := len(ports.Ports) - maxDescribed; left > 0 {
		d.more("and %d more: ofdvr get ports --network %s", left, routing.Argument(n.ID))
	}
	return nil
}

func (d *description) fastPath(off bool) {
	if off {
		d.line("Fast path", "off: the namespace routes all packets from and to it")
	}
}

// maxDescribed is the maximum number of listed ports of a network or a host.
const maxDescribed = 20

func portText(p *routing.Port) string {
	text := fmt.Sprintf("%s, %v", p.ID, p.MAC)
	for _, a := range p.Addresses {
		text += ", " + a.String()
	}
	return text
}

func interfaceText(f *routing.Interface) string {
	var addresses []string
	for _, a := range f.Addresses {
		addresses = append(addresses, a.String())
	}
	return fmt.Sprintf("interface %s, %v, %s", f.ID, f.MAC, strings.Join(addresses, ", "))
}

func (d *description) router(r *routing.Router) error {
	if r.Fallback == routing.FallbackNamespace {
		d.line("Namespace", "%s", r.NamespaceName())
	} else {
		d.line("Namespace", "none: packets that no flow routes are dropped")
	}
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		d.line("Interface", "%s on network %s", interfaceText(f), f.Network)
	}
	for _, route := range r.Routes {
		d.line("Route", "%v", &route)
	}
	s, err := d.client.Status(d.cmd.Context())
	if err != nil {
		return err
	}
	for _, st := range s.Routers {
		if st.ID == r.ID {
			d.routerState(&st)
		}
	}
	ports, err := kindWords[2].fetch(d.cmd.Context(), d.client, nil, url.Values{"router": {r.ID}})
	if err != nil {
		return err
	}
	d.line("Ports", "%d on its networks", len(ports.Ports))
	return nil
}

func (d *description) routerState(st *controller.RouterStatus) {
	whose := "made by ofdvr"
	if !st.Managed {
		whose = "external"
	}
	d.line("Bridge", "%s, %s, %s", st.Bridge, whose, connected(st.Connected))
	d.line("State", "%s", st.State)
	d.line("Flows", "%d desired, %d installed, %d refused, %d foreign", st.FlowsWanted, st.FlowsInstalled, st.FlowsRefused, st.FlowsForeign)
	for _, p := range st.Problems {
		d.line("Problem", "%s", p)
	}
}

func (d *description) port(p *routing.Port, m *api.Machine) error {
	d.line("Network", "%s", p.Network)
	d.line("MAC", "%v", p.MAC)
	if p.Host != "" {
		d.line("Host", "%s", p.Host)
	}
	d.fastPath(p.NoFastPath)
	for _, a := range p.Addresses {
		d.line("Address", "%v", a)
	}
	if m != nil {
		d.line("Seen", "%s", seenText(*m))
		d.more("%s", m.Says)
		if m.Remedy != "" {
			d.more("→ %s", m.Remedy)
		}
	}
	routers, err := kindWords[1].fetch(d.cmd.Context(), d.client, nil, url.Values{"network": {p.Network}})
	if err != nil {
		return err
	}
	for _, r := range routers.Routers {
		var flows api.Flows
		if err := d.get(kindWords[1].path(r.ID)+"/flows", &flows); err != nil {
			d.line("Router", "%s: %v", r.ID, err)
			continue
		}
		d.line("Router", "%s", r.ID)
		for _, f := range flows.Flows {
			if f.Kind == "port" && f.ID == p.ID {
				d.line("Flow", "%d packets, %d bytes: %s", f.Packets, f.Bytes, f.Flow)
			}
		}
	}
	return nil
}
