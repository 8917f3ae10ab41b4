package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing/trace"
)

func newTrace() *cobra.Command {
	var c clientFlags
	var output, from, to, router, proto string
	var sport, dport uint16
	var size int
	var ttl uint8
	var verify bool
	cmd := &cobra.Command{
		Use:        "trace FROM TO",
		SuggestFor: []string{"ping", "traceroute", "path"},
		Short:      "Show the path of a packet through a router's flows",
		Long: `Trace shows the path of a packet between two machines, and of the reply. It
shows the flows that the packet hits, with their purpose and counters, and
whether the packet is routed, handed to the kernel, or dropped, with the reason.
FROM and TO are IDs or names of ports, or addresses. The path is computed from
the desired flows of the router's bridge. If the packet does not arrive, the
path ends with the ICMP error that the sender gets. With --verify, trace also
asks Open vSwitch (ofproto/trace) for the path from the sender's port on the
integration bridge to the receiver's port. It exits with 1 if the results
differ, or if a machine is not seen there. No packet is sent.

If hosts share their intent in etcd, the sender's host and the receiver's host
each trace their part of the path, on whichever host the command runs. If one
of them does not answer, trace says so and shows the rest; with --verify it
then exits with 1.`,
		Example: `  ofdvr trace vm1 vm2
  ofdvr trace vm1 10.9.0.5 --proto tcp --dport 443 --size 1500
  ofdvr trace vm1 vm2 --ttl 1 --verify`,
		Args:              arguments("[FROM]", "[TO]"),
		ValidArgsFunction: c.completeEnds,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := ends(args, &from, &to); err != nil {
				return err
			}
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			if n, err := trace.ParseProto(proto); err != nil {
				return misuse("--proto %s: %v", proto, err)
			} else if (sport != 0 || dport != 0) && !trace.HasPorts(n) {
				return misuse("--sport and --dport: packets of protocol %s have no ports: add --proto tcp, udp or sctp", proto)
			}
			if size < trace.MinSize || size > trace.MaxSize {
				return misuse("--size %d: want a number from %d to %d", size, trace.MinSize, trace.MaxSize)
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			q := url.Values{"from": {from}, "to": {to}, "proto": {proto}, "size": {strconv.Itoa(size)}, "ttl": {strconv.Itoa(int(ttl))}, "all_hosts": {"true"}}
			if router != "" {
				q.Set("router", router)
			}
			for key, port := range map[string]uint16{"sport": sport, "dport": dport} {
				if port != 0 {
					q.Set(key, strconv.Itoa(int(port)))
				}
			}
			if err := resolveFilters(cmd.Context(), client, q); err != nil {
				return err
			}
			if verify {
				q.Set("verify", "true")
			}
			stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "tracing")
			defer stop()
			var d api.TraceDocument
			if _, err := client.Do(cmd.Context(), http.MethodGet, "/v1/trace?"+q.Encode(), nil, &d); err != nil {
				return err
			}
			stop()
			w := cmd.OutOrStdout()
			if output == "json" {
				enc := json.NewEncoder(w)
				enc.SetIndent("", "  ")
				err = enc.Encode(d)
			} else {
				printTrace(w, d, newNamer(cmd.Context(), client))
			}
			if err == nil && verify {
				if err = disagreement(&d); err != nil {
					return reported(cmd, err)
				}
			}
			return err
		},
	}
	c.add(cmd)
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "the same as FROM: `PORT` or address")
	f.StringVar(&to, "to", "", "the same as TO: `PORT` or address")
	f.StringVar(&router, "router", "", "`ROUTER` of the path, by ID or name, if there are several")
	f.StringVar(&proto, "proto", "icmp", "`PROTOCOL`: icmp, tcp, udp, sctp or a number")
	f.Uint16Var(&sport, "sport", 0, "source `PORT`")
	f.Uint16Var(&dport, "dport", 0, "destination `PORT`")
	f.IntVar(&size, "size", trace.DefaultSize, "`BYTES` of the IP packet")
	f.Uint8Var(&ttl, "ttl", trace.DefaultTTL, "`TTL`")
	f.BoolVar(&verify, "verify", false, "compare with Open vSwitch")
	for _, name := range []string{"from", "to"} {
		cmd.RegisterFlagCompletionFunc(name, c.complete("port"))
	}
	cmd.RegisterFlagCompletionFunc("router", c.complete("router"))
	cmd.RegisterFlagCompletionFunc("proto", cobra.FixedCompletions([]string{"icmp", "tcp", "udp", "sctp"}, cobra.ShellCompDirectiveNoFileComp))
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// ends sets *from and *to, the ends of the path, from the arguments, unless
// flags have set them.
func ends(args []string, from, to *string) error {
	for _, end := range []struct {
		name string
		is   *string
	}{{"FROM", from}, {"TO", to}} {
		switch {
		case *end.is != "":
		case len(args) == 0:
			return misuse("missing argument %s: the ID or name of a port, or an address", end.name)
		default:
			*end.is, args = args[0], args[1:]
		}
	}
	if len(args) > 0 {
		return misuse("unexpected argument %q", args[0])
	}
	return nil
}

// completeEnds completes FROM and TO.
func (c *clientFlags) completeEnds(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.complete("port")(cmd, args, prefix)
}

// printTrace prints the paths of a packet and of its answer.
func printTrace(w io.Writer, d api.TraceDocument, names *namer) {
	for i, path := range d.Paths {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s → %s: %s\n", names.text(endText(path.From)), names.text(endText(path.To)), path.Packet)
		if path.Interface != "" {
			fmt.Fprintf(w, "  comes in by interface %s of %s, bridge %s", path.Interface, names.text("router "+path.Router), path.Bridge)
			if path.Assumed {
				fmt.Fprint(w, ", which is not connected here: these are its desired flows")
			}
			fmt.Fprintln(w)
		}
		rows := []table.Row{{"  TABLE", "PRIORITY", "PACKETS", "WHAT THE FLOW DOES"}}
		for _, s := range path.Steps {
			rows = append(rows, table.Row{fmt.Sprintf("  %d", s.Table), s.Priority, packetsText(&s, path.Assumed), names.text(s.Does)})
		}
		if len(rows) > 1 {
			printTable(w, rows)
		}
		fmt.Fprintf(w, "  %s\n", upperFirst(names.text(path.Says)))
		printVerification(w, &path.VerificationDocument, names)
		if path.NoAnswer != "" {
			fmt.Fprintf(w, "  Host %s has not answered: %s.\n", path.Host, names.text(path.NoAnswer))
		}
		for k := range path.Arrivals {
			printArrival(w, path.Host, &path.Arrivals[k], names)
		}
	}
}

// betweenText describes the part of the path that was compared with Open vSwitch.
func betweenText(v *api.VerificationDocument) string {
	switch {
	case v.FromPort != "" && strings.HasPrefix(v.ToPort, "a tunnel "):
		return fmt.Sprintf(", from port %s of the integration bridge to %s", v.FromPort, v.ToPort)
	case v.FromPort != "" && v.ToPort != "":
		return fmt.Sprintf(", from port %s to port %s of the integration bridge", v.FromPort, v.ToPort)
	case v.FromPort != "":
		return fmt.Sprintf(", from port %s of the integration bridge", v.FromPort)
	case v.ToPort != "":
		return fmt.Sprintf(", to port %s of the integration bridge", v.ToPort)
	}
	return ""
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// endText describes an end of a path.
func endText(e trace.End) string {
	switch {
	case e.Port != "":
		return fmt.Sprintf("%s (%v, network %s)", e.Port, e.Address, e.Network)
	case e.Router != "":
		return fmt.Sprintf("router %s itself (%v)", e.Router, e.Address)
	case e.Network != "":
		return fmt.Sprintf("%v (not the address of a port, network %s)", e.Address, e.Network)
	}
	return e.Address.String()
}
