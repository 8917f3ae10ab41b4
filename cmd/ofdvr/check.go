package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Report all errors and warnings in topology files",
		Long: `Check reads topology files, without a daemon. It reports all errors in them as
"file:line:column: path: error", and all warnings. It exits with 1 if a file has
errors. Warnings do not change the exit status. More than three warnings of one
kind are printed as one warning with their number.

On one of the hosts of a file, check also reports networks whose packets do not
fit through the links to the other hosts. The host is the one whose tunnel has
an address of this machine, or whose ID is the machine's hostname.`,
		Example: "  ofdvr check /etc/ofdvr/topology.yaml",
		Args:    arguments("FILE..."),
		RunE: func(cmd *cobra.Command, files []string) error {
			var failed error
			for _, name := range files {
				m, warnings, err := readTopology(cmd.Context(), name)
				printWarnings(cmd.ErrOrStderr(), warnings)
				if cmd.Context().Err() != nil {
					return err
				}
				if err != nil {
					printErrors(cmd.ErrOrStderr(), err)
					failed = errReported
					continue
				}
				printMisfits(cmd.ErrOrStderr(), name, m)
				fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: %s\n", name, summary(m))
			}
			return failed
		},
	}
}

// printWarnings prints the warnings about a file.
func printWarnings(w io.Writer, warnings []topology.Warning) {
	for _, text := range topology.Condense(texts(warnings)) {
		fmt.Fprintf(w, "%s (warning)\n", text)
	}
}

// If this machine is one of the hosts of m, printMisfits prints a warning for each network that
// does not fit through the links to other hosts.
func printMisfits(w io.Writer, name string, m *routing.Model) {
	if len(m.Hosts) == 0 {
		return
	}
	var all []string
	for _, misfit := range routing.Misfits(routing.NewIndex(m), thisHost(m), namespace.PathMTU, namespace.LinkMTU) {
		all = append(all, fmt.Sprintf("%s: network %s: %v: %s", name, misfit.Network, misfit, misfit.Remedy()))
	}
	for _, text := range topology.Condense(all) {
		fmt.Fprintf(w, "%s (warning)\n", text)
	}
}

// thisHost returns the ID of the host of m that has the hostname or an address of this machine, ""
// if no host has.
func thisHost(m *routing.Model) string {
	own, _ := net.InterfaceAddrs() // an error means that they are not known
	name, _ := os.Hostname()
	for i := range m.Hosts {
		h := &m.Hosts[i]
		if h.ID == name || slices.ContainsFunc(own, func(a net.Addr) bool {
			p, err := netip.ParsePrefix(a.String())
			return err == nil && p.Addr() == h.Tunnel.Address
		}) {
			return h.ID
		}
	}
	return ""
}

func summary(m *routing.Model) string {
	return counts(len(m.Hosts), len(m.Networks), len(m.Routers), len(m.Ports))
}

// counts returns a text with the number of objects of each kind. It omits hosts if there are none.
func counts(hosts, networks, routers, ports int) string {
	text := fmt.Sprintf("%s, %s, %s", count(networks, "network"), count(routers, "router"), count(ports, "port"))
	if hosts > 0 {
		text = count(hosts, "host") + ", " + text
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// readTopology reads a topology file. The error lists all errors in it.
func readTopology(ctx context.Context, name string) (*routing.Model, []topology.Warning, error) {
	data, err := readFile(ctx, name)
	if err != nil {
		return nil, nil, fmt.Errorf("read topology: %w", err)
	}
	return topology.Parse(name, data)
}
