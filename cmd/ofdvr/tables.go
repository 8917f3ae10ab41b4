package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

// wideInfo has the values of columns that are not part of the objects.
type wideInfo struct {
	machines map[string]api.Machine // machines by the port's ID; used in wide and in narrow tables of ports

	wanted bool
	on     map[string][]string // the routers on each network
	states map[string]controller.RouterStatus
	hosts  map[string]controller.HostStatus

	networks, routers shownNames // names of all networks and routers
}

func (w *wideInfo) learn(routers []routing.Router, s controller.Status) {
	w.on, w.states = make(map[string][]string), make(map[string]controller.RouterStatus)
	w.routers = shown(&routing.Model{Routers: routers}, routing.KindRouter)
	for _, r := range routers {
		for _, f := range r.Interfaces {
			w.on[f.Network] = append(w.on[f.Network], w.routers.of(r.ID))
		}
	}
	for _, r := range s.Routers {
		w.states[r.ID] = r
	}
	w.hosts = make(map[string]controller.HostStatus)
	for _, h := range s.Hosts {
		w.hosts[h.ID] = h
	}
}

// An interfaceRow is an interface of a router.
type interfaceRow struct {
	routing.Interface
	router string
}

// fetchInterfaces returns the interfaces of all routers. If ids are given, it returns only the
// interfaces with these IDs. If filters are given, it returns only the interfaces that match.
func fetchInterfaces(ctx context.Context, c *api.Client, ids []string, query url.Values) (rows []interfaceRow, err error) {
	for name := range query {
		if name != "network" && name != "router" {
			return nil, misuse("--%s cannot be used with interfaces", name)
		}
	}
	var routers []string
	if r := query.Get("router"); r != "" {
		routers = []string{r}
	}
	m, err := kindWords[1].fetch(ctx, c, routers, nil)
	if err != nil {
		return nil, err
	}
	left := slices.Clone(ids)
	for i := range m.Routers {
		for _, f := range m.Routers[i].Interfaces {
			if n := query.Get("network"); n != "" && f.Network != n || len(ids) > 0 && !slices.Contains(ids, f.ID) {
				continue
			}
			rows = append(rows, interfaceRow{f, m.Routers[i].ID})
			left = slices.DeleteFunc(left, func(id string) bool { return id == f.ID })
		}
	}
	if len(left) > 0 {
		return nil, fmt.Errorf("interface %q does not exist", left[0])
	}
	return rows, nil
}

// printObjects prints the objects of m and the given interfaces, with one table for each kind.
func printObjects(out io.Writer, m *routing.Model, interfaces []interfaceRow, w wideInfo) {
	var rows []table.Row
	row := func(narrow table.Row, wide ...any) {
		if w.wanted {
			narrow = append(narrow, wide...)
		}
		rows = append(rows, narrow)
	}
	first := true
	flush := func() {
		if !first {
			fmt.Fprintln(out)
		}
		first = false
		printTable(out, rows)
		rows = nil
	}
	if len(m.Hosts) > 0 {
		names := shown(m, routing.KindHost)
		header, fleet := table.Row{"HOST", "TUNNEL", "ADDRESS"}, w.inEtcd()
		switch {
		case fleet:
			row(append(header, "STATE", "VERSION", "REVISION", "MACHINES", "PROBLEMS"), "ID")
		default:
			row(header, "STATE", "MACHINES", "ID")
		}
		for i := range m.Hosts {
			h := &m.Hosts[i]
			kind, address := tunnelTexts(h.Tunnel)
			if h.Tunnel == (routing.Tunnel{}) && h.Uplink != "" {
				kind, address = "uplink", h.Uplink
			}
			st := w.hosts[h.ID]
			if columns := (table.Row{names.of(h.ID), kind, address}); fleet {
				row(append(append(columns, hostState(st)), fleetColumns(st)...), h.ID)
			} else {
				row(columns, hostState(st), st.Ports, h.ID)
			}
		}
		flush()
	}
	if len(m.Networks) > 0 {
		names := shown(m, routing.KindNetwork)
		row(table.Row{"NETWORK", "VLAN", "MTU"}, "VNI", "ROUTERS", "ID")
		for _, n := range m.Networks {
			row(table.Row{names.of(n.ID), orDash(n.VLAN), n.MTU}, orDash(n.VNI), list(w.on[n.ID]), n.ID)
		}
		flush()
	}
	if len(m.Routers) > 0 {
		names := shown(m, routing.KindRouter)
		row(table.Row{"ROUTER", "BRIDGE", "NETWORKS"}, "NAMESPACE", "STATE", "FLOWS", "ID")
		for i := range m.Routers {
			r := &m.Routers[i]
			var networks []string
			for _, f := range r.Interfaces {
				networks = append(networks, w.networks.of(f.Network))
			}
			st := w.states[r.ID]
			row(table.Row{names.of(r.ID), orDash(r.BridgeName()), list(networks)}, namespaceOf(r), orDash(st.State), st.FlowsInstalled, r.ID)
		}
		flush()
	}
	if len(interfaces) > 0 {
		row(table.Row{"INTERFACE", "ROUTER", "NETWORK", "MAC", "ADDRESSES"}, "PATCH PORT", "TAP")
		for i := range interfaces {
			f := &interfaces[i]
			row(table.Row{f.ID, w.routers.of(f.router), w.networks.of(f.Network), f.MAC, list(texts(f.Addresses))}, f.PatchName(), f.TapName())
		}
		flush()
	}
	if len(m.Ports) > 0 {
		names := shown(m, routing.KindPort)
		row(table.Row{"PORT", "NETWORK", "MAC", "ADDRESSES", "SEEN"}, "HOST", "ROUTERS", "ID")
		for _, p := range m.Ports {
			row(table.Row{names.of(p.ID), w.networks.of(p.Network), p.MAC, list(texts(p.Addresses)), seenText(w.machines[p.ID])}, orDash(w.hostOf(&p)), list(w.on[p.Network]), p.ID)
		}
		flush()
	}
}

// tunnelTexts returns the type and the address of a tunnel, or dashes.
func tunnelTexts(t routing.Tunnel) (kind, address string) {
	if t == (routing.Tunnel{}) {
		return "-", "-"
	}
	return t.Type.String(), t.Address.String()
}

// hostOf returns the host where the machine of a port is, or is expected; "" if it is not known.
func (w *wideInfo) hostOf(p *routing.Port) string {
	m := w.machines[p.ID]
	if m.State == "seen" && m.Host == "" && !m.Remote {
		for id, h := range w.hosts {
			if h.Self {
				return id
			}
		}
	}
	return cmp.Or(m.Host, p.Host)
}

// inEtcd reports whether the hosts share their intent in etcd.
func (w *wideInfo) inEtcd() bool {
	for _, h := range w.hosts {
		if h.InEtcd != nil {
			return true
		}
	}
	return false
}

// hostState returns one or two words about a host: whether its daemon is in touch with etcd, and whether the
// messages between it and this host arrive.
func hostState(h controller.HostStatus) string {
	switch {
	case h.Self:
		return "self"
	case h.InEtcd != nil && !h.InEtcd.Alive && h.Alive:
		return "not in etcd"
	case h.InEtcd != nil && !h.InEtcd.Alive:
		return "away"
	case h.Alive && h.Deaf:
		return "one-way" // our messages do not arrive there
	case h.InEtcd != nil && h.Tunnel == "":
		return "alive"
	case h.Alive:
		return "alive"
	case h.Tunnel == "": // hosts send messages only through tunnels
		return "-"
	}
	return "silent"
}

func namespaceOf(r *routing.Router) string {
	if r.Fallback == routing.FallbackNamespace {
		return r.NamespaceName()
	}
	return "-"
}

// texts returns the texts of values.
func texts[T fmt.Stringer](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = v.String()
	}
	return out
}

// printTable prints rows. The first row is the header. right lists the
// right-aligned columns, which have numeric values. The first column is 1.
func printTable(out io.Writer, rows []table.Row, right ...int) {
	for _, line := range tableLines(rows, right...) {
		fmt.Fprintln(out, line)
	}
}

// tableLines returns the lines of a table.
func tableLines(rows []table.Row, right ...int) (lines []string) {
	t := table.NewWriter()
	t.SetStyle(plainTable())
	var columns []table.ColumnConfig
	for _, n := range right {
		columns = append(columns, table.ColumnConfig{Number: n, Align: text.AlignRight, AlignHeader: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	t.AppendHeader(rows[0])
	t.AppendRows(rows[1:])
	for line := range strings.Lines(t.Render()) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return lines
}

// list joins items with commas, or returns a dash, so that no cell is empty.
func list(items []string) string {
	if len(items) == 0 {
		return "-"
	}
	return strings.Join(items, ",")
}

func orDash[T comparable](v T) any {
	if v == *new(T) {
		return "-"
	}
	return v
}
