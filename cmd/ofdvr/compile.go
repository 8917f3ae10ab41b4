package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

func newCompile() *cobra.Command {
	var ports map[string]string
	cmd := &cobra.Command{
		Use:   "compile FILE",
		Short: "Print the flows of a topology file, without a daemon",
		Long: `Compile prints the flows of each routing bridge in the syntax of ovs-ofctl, to
read them, compare them, or add them with ovs-ofctl add-flows. Only the switch
knows the OpenFlow numbers of ports. Without --ports, the ports of each bridge
are numbered from 1 in the order of the file. Groups and meters, which ovs-ofctl
adds with other commands, are printed as comments.`,
		Example: `  ofdvr compile topology.yaml
  ofdvr compile topology.yaml --ports pr-r1-blue=3,qr-r1-blue=4`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := parsePorts(ports)
			if err != nil {
				return err
			}
			m, _, err := readTopology(cmd.Context(), args[0])
			if err != nil {
				return reported(cmd, err)
			}
			index := routing.NewIndex(m)
			for i := range m.Routers {
				r := &m.Routers[i]
				prog := compile.Compile(index, r, controller.Assume(r, numbers))
				out := cmd.OutOrStdout()
				fmt.Fprintf(out, "# bridge %s, router %s\n%s", r.BridgeName(), r.ID, prog.Flows)
				for _, g := range prog.Groups {
					fmt.Fprintf(out, "# group: %v\n", g)
				}
				for _, m := range prog.Meters {
					fmt.Fprintf(out, "# meter: %v\n", m)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringToStringVar(&ports, "ports", nil, "OpenFlow numbers of ports, as `name=number,...`; the others are assumed")
	return cmd
}

func parsePorts(ports map[string]string) (compile.Facts, error) {
	facts := compile.Facts{Ports: make(compile.Ports, len(ports)), Can: compile.CanAll}
	for name, s := range ports {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n == 0 || ofproto.PortNo(n) > ofproto.PortMax {
			return facts, misuse("--ports %s=%s: want a port number from 1 to %d", name, s, uint32(ofproto.PortMax))
		}
		facts.Ports[name] = ofproto.PortNo(n)
	}
	return facts, nil
}
