package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
		Long: `Flows reads the flows of a router's bridge, or of all, from the switch, and
shows of each how many packets hit it and what it is for, in the order in which
the switch has them. With -o wide it shows the flow too, in the words of
ovs-ofctl. It exits with 1 if the flows of some router cannot be read.`,
		Example: `  ofdvr flows r1
  ofdvr flows r1 -o wide`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.completeOne("router"),
		RunE: func(cmd *cobra.Command, routers []string) error {
			if err := checkOutput(output, "table", "wide", "json"); err != nil {
				return err
			}
			client, err := c.open()
			if err != nil {
				return err
			}
			stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "reading flows")
			defer stop()
			one := len(routers) == 1
			if len(routers) == 0 {
				m, err := kindWords[1].fetch(cmd.Context(), client, nil, nil)
				if err != nil {
					return err
				}
				routers = idsOf(m)
			}
			all := make(map[string][]api.FlowDocument)
			var failed []error
			for _, r := range routers {
				var got api.Flows
				_, err := client.Do(cmd.Context(), http.MethodGet, kindWords[1].path(r)+"/flows", nil, &got)
				switch _, refused := errors.AsType[*api.Problem](err); {
				case err == nil:
					all[r] = got.Flows
				case one || !refused:
					return err
				default: // the others can be shown nevertheless
					failed = append(failed, err)
				}
			}
			stop()
			if err := printFlows(cmd.OutOrStdout(), routers, all, output); err != nil {
				return err
			}
			if failed != nil {
				return reported(cmd, errors.Join(failed...))
			}
			return nil
		},
	}
	c.add(cmd)
	outputFlag(cmd, &output, "table", "wide", "json")
	return cmd
}

// printFlows prints the flows of those routers that are in all.
func printFlows(w io.Writer, routers []string, all map[string][]api.FlowDocument, output string) error {
	if output == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	first := true
	for _, r := range routers {
		flows, ok := all[r]
		if !ok {
			continue
		}
		if len(routers) > 1 {
			if !first {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "router %s\n", r)
		}
		first = false
		printTable(w, flowRows(flows, output == "wide"))
	}
	return nil
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
