package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

func newFlows() *cobra.Command {
	var c clientFlags
	var output string
	var nonzero bool
	cmd := &cobra.Command{
		Use:   "flows [ROUTER]",
		Short: "Show the flows of routers, with their purpose and counters",
		Long: `Flows reads the flows of a router's bridge, or of all routers' bridges, from the
switch. It shows the counters, the purpose and the match of each flow, in the
order in which the switch holds them. With -o wide it also shows the flow in the
syntax of ovs-ofctl. It exits with 1 if the flows of a router cannot be read.`,
		Example: `  ofdvr flows r1
  ofdvr flows r1 --nonzero
  ofdvr flows r1 -o wide`,
		Args:              arguments("[ROUTER]"),
		ValidArgsFunction: c.completeOne("router"),
		RunE: func(cmd *cobra.Command, routers []string) error {
			if err := checkOutput(output, "table", "wide", "json"); err != nil {
				return err
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "reading flows")
			defer stop()
			one := len(routers) == 1
			if one {
				id, err := kindWords[1].resolve(cmd.Context(), client, routers[0])
				if err != nil {
					return err
				}
				routers = []string{id}
			}
			var names shownNames
			if len(routers) == 0 {
				m, err := kindWords[1].fetch(cmd.Context(), client, nil, nil)
				if err != nil {
					return err
				}
				routers, names = idsOf(m), shown(m, routing.KindRouter)
			}
			all := make(map[string][]api.FlowDocument)
			var failed []error
			for _, r := range routers {
				var got api.Flows
				_, err := client.Do(cmd.Context(), http.MethodGet, kindWords[1].path(r)+"/flows", nil, &got)
				switch _, refused := errors.AsType[*api.Problem](err); {
				case err == nil:
					if nonzero {
						got.Flows = slices.DeleteFunc(got.Flows, func(f api.FlowDocument) bool { return f.Packets == 0 })
					}
					all[r] = got.Flows
				case one || !refused:
					return err
				default: // still show the flows of the other routers
					failed = append(failed, err)
				}
			}
			stop()
			if err := printFlows(cmd.OutOrStdout(), routers, names, all, output); err != nil {
				return err
			}
			if failed != nil {
				return reported(cmd, errors.Join(failed...))
			}
			return nil
		},
	}
	c.add(cmd)
	cmd.Flags().BoolVar(&nonzero, "nonzero", false, "only flows that packets have hit")
	outputFlag(cmd, &output, "table", "wide", "json")
	return cmd
}

// printFlows prints the flows of routers. It skips routers that are not in all.
func printFlows(w io.Writer, routers []string, names shownNames, all map[string][]api.FlowDocument, output string) error {
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
			fmt.Fprintf(w, "router %s\n", names.of(r))
		}
		first = false
		printFlowRows(w, flowRows(flows, output == "wide"), terminalWidth(w))
	}
	return nil
}

// terminalWidth returns the number of columns of the terminal w, or 0 if w is not a terminal.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// shortColumns is the number of the first columns of flows, which are short.
const shortColumns = 5

// printFlowRows prints rows. If the table is wider than width, the long columns of each row
// are on separate lines below it. A width of 0 means no limit.
func printFlowRows(w io.Writer, rows []table.Row, width int) {
	lines := tableLines(rows)
	if width == 0 || !slices.ContainsFunc(lines, func(line string) bool { return utf8.RuneCountInString(line) > width }) {
		for _, line := range lines {
			fmt.Fprintln(w, line)
		}
		return
	}
	short := make([]table.Row, len(rows))
	for i, row := range rows {
		short[i] = row[:shortColumns]
	}
	for i, line := range tableLines(short) {
		fmt.Fprintln(w, line)
		for _, long := range rows[i][shortColumns:] {
			fmt.Fprintf(w, "       %v\n", long)
		}
	}
}

func flowRows(flows []api.FlowDocument, wide bool) []table.Row {
	rows := []table.Row{{"TABLE", "PRIORITY", "PACKETS", "BYTES", "WHAT IT DOES", "MATCH"}}
	if wide {
		rows[0] = append(rows[0], "FLOW")
	}
	for _, f := range flows {
		row := table.Row{f.Table, f.Priority, f.Packets, f.Bytes, f.Does, matchOf(f.Flow)}
		if wide {
			row = append(row, f.Flow)
		}
		rows = append(rows, row)
	}
	return rows
}

// matchOf returns the match of a flow in the syntax of ovs-ofctl. If the flow matches every
// packet of its table, it returns "any".
func matchOf(flow string) string {
	head, _, _ := strings.Cut(flow, " actions=")
	if strings.HasPrefix(flow, "actions=") {
		head = ""
	}
	var fields []string
	for field := range strings.SplitSeq(head, ",") {
		field = strings.TrimSpace(field)
		switch name, _, _ := strings.Cut(field, "="); name {
		case "", "cookie", "table", "priority", "idle_timeout", "hard_timeout", "send_flow_rem":
		default:
			fields = append(fields, field)
		}
	}
	if fields == nil {
		return "any"
	}
	return strings.Join(fields, ",")
}
