package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
)

func newFlows() *cobra.Command {
	var c clientFlags
	var output string
	cmd := &cobra.Command{
		Use:   "flows [ROUTER]",
		Short: "Show the flows of routers, with what they are for",
		Long: `Flows reads the flows of a router's bridge, or of all, from the switch, and shows of
each how many packets hit it and what it is for, in the order in which the switch
has them. With -o wide it shows the flow too, in the words of ovs-ofctl.`,
		Example: `  ofdvr flows r1
  ofdvr flows r1 -o wide`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.complete("router"),
		RunE: func(cmd *cobra.Command, routers []string) error {
			if err := checkOutput(output, "table", "wide", "json"); err != nil {
				return err
			}
			client, err := c.open()
			if err != nil {
				return err
			}
			if len(routers) == 0 {
				m, err := kindWords[1].fetch(cmd.Context(), client, nil, nil)
				if err != nil {
					return err
				}
				routers = idsOf(m)
			}
			all := make(map[string][]api.FlowDocument)
			for _, r := range routers {
				var got api.Flows
				if _, err := client.Do(cmd.Context(), http.MethodGet, kindWords[1].path(r)+"/flows", nil, &got); err != nil {
					return err
				}
				all[r] = got.Flows
			}
			if output == "json" {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				return enc.Encode(all)
			}
			for i, r := range routers {
				if len(routers) > 1 {
					if i > 0 {
						fmt.Fprintln(cmd.OutOrStdout())
					}
					fmt.Fprintf(cmd.OutOrStdout(), "router %s\n", r)
				}
				printTable(cmd.OutOrStdout(), flowRows(all[r], output == "wide"))
			}
			return nil
		},
	}
	c.add(cmd)
	outputFlag(cmd, &output, "table", "wide", "json")
	return cmd
}

func flowRows(flows []api.FlowDocument, wide bool) []table.Row {
	rows := []table.Row{{"TABLE", "PRIORITY", "PACKETS", "BYTES", "WHAT IT DOES"}}
	if wide {
		rows[0] = append(rows[0], "FLOW")
	}
	for _, f := range flows {
		row := table.Row{f.Table, f.Priority, f.Packets, f.Bytes, f.Does}
		if wide {
			row = append(row, f.Flow)
		}
		rows = append(rows, row)
	}
	return rows
}
