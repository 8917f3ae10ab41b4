package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/routing"
)

func newGet() *cobra.Command {
	var c clientFlags
	var output string
	formats := []string{"table", "wide", "json", "yaml"}
	filters := map[string]*string{"network": new(string), "router": new(string), "address": new(string), "mac": new(string), "vlan": new(string)}
	cmd := &cobra.Command{
		Use:   "get networks|routers|ports [ID...]",
		Short: "List networks, routers or ports",
		Long: `Get lists the networks, routers or ports that there are, all of them, those with
the given IDs, or those that pass the filters. With -o json or yaml it prints a
topology file that has just these, which apply takes.`,
		Example: `  ofdvr get ports
  ofdvr get ports --network blue -o wide
  ofdvr get router r1 -o yaml`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: c.complete(""),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := kindOf(args[0])
			if err == nil {
				err = checkOutput(output, formats...)
			}
			if err != nil {
				return err
			}
			query := make(url.Values)
			for name, v := range filters {
				if *v != "" {
					query.Set(name, *v)
				}
			}
			if len(query) > 0 && len(args) > 1 {
				return usageError("filters are for lists: leave the IDs out, or the filters")
			}
			client, err := c.open()
			if err != nil {
				return err
			}
			stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "reading "+kind.plural)
			defer stop()
			m, err := kind.fetch(cmd.Context(), client, args[1:], query)
			if err != nil {
				return err
			}
			if output == "json" || output == "yaml" {
				stop()
				return printModel(cmd.OutOrStdout(), m, output)
			}
			if m.Len() == 0 {
				stop()
				fmt.Fprintf(cmd.ErrOrStderr(), "there are no such %s\n", kind.plural)
				return nil
			}
			wide := wideInfo{wanted: output == "wide"}
			if wide.wanted {
				routers, err := kindWords[1].fetch(cmd.Context(), client, nil, nil)
				if err != nil {
					return err
				}
				status, err := client.Status(cmd.Context())
				if err != nil {
					return err
				}
				wide.learn(routers.Routers, status)
			}
			stop()
			printObjects(cmd.OutOrStdout(), m, wide)
			return nil
		},
	}
	c.add(cmd)
	outputFlag(cmd, &output, formats...)
	f := cmd.Flags()
	f.StringVar(filters["network"], "network", "", "only what is on this network: its `ID`; for ports and routers")
	f.StringVar(filters["router"], "router", "", "only what this router reaches: its `ID`; for ports and networks")
	f.StringVar(filters["address"], "address", "", "only ports with this `ADDRESS`")
	f.StringVar(filters["mac"], "mac", "", "only ports with this `MAC` address")
	f.StringVar(filters["vlan"], "vlan", "", "only the network with this `VLAN`")
	cmd.RegisterFlagCompletionFunc("network", c.complete("network"))
	cmd.RegisterFlagCompletionFunc("router", c.complete("router"))
	return cmd
}

// wideInfo is what wide tables have besides the objects.
type wideInfo struct {
	wanted bool
	on     map[string][]string // by network: IDs of the routers on it
	states map[string]controller.RouterStatus
}

func (w *wideInfo) learn(routers []routing.Router, s controller.Status) {
	w.on, w.states = make(map[string][]string), make(map[string]controller.RouterStatus)
	for _, r := range routers {
		for _, f := range r.Interfaces {
			w.on[f.Network] = append(w.on[f.Network], r.ID)
		}
	}
	for _, r := range s.Routers {
		w.states[r.ID] = r
	}
}

// printObjects prints the objects of m, which are of one kind, as a table.
func printObjects(out io.Writer, m *routing.Model, w wideInfo) {
	var rows []table.Row
	row := func(narrow table.Row, wide ...any) {
		if w.wanted {
			narrow = append(narrow, wide...)
		}
		rows = append(rows, narrow)
	}
	switch {
	case len(m.Networks) > 0:
		row(table.Row{"NETWORK", "VLAN", "MTU"}, "ROUTERS")
		for _, n := range m.Networks {
			row(table.Row{n.ID, orDash(n.VLAN), n.MTU}, list(w.on[n.ID]))
		}
	case len(m.Routers) > 0:
		row(table.Row{"ROUTER", "BRIDGE", "NETWORKS"}, "NAMESPACE", "STATE", "FLOWS")
		for i := range m.Routers {
			r := &m.Routers[i]
			var networks []string
			for _, f := range r.Interfaces {
				networks = append(networks, f.Network)
			}
			namespace := "-"
			if r.Fallback == routing.FallbackNamespace {
				namespace = r.NamespaceName()
			}
			st := w.states[r.ID]
			row(table.Row{r.ID, orDash(r.BridgeName()), list(networks)}, namespace, orDash(st.State), st.FlowsInstalled)
		}
	default:
		row(table.Row{"PORT", "NETWORK", "MAC", "ADDRESSES"}, "ROUTERS")
		for _, p := range m.Ports {
			var addresses []string
			for _, a := range p.Addresses {
				addresses = append(addresses, a.String())
			}
			row(table.Row{p.ID, p.Network, p.MAC, list(addresses)}, list(w.on[p.Network]))
		}
	}
	printTable(out, rows)
}

// printTable prints rows, of which the first is the header.
func printTable(out io.Writer, rows []table.Row) {
	t := table.NewWriter()
	t.SetStyle(plainTable())
	t.AppendHeader(rows[0])
	t.AppendRows(rows[1:])
	for line := range strings.Lines(t.Render()) {
		fmt.Fprintln(out, strings.TrimRight(line, " \n"))
	}
}

// list joins items, or is a dash, so that every column of a table has something.
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
