package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/ovsdb"
)

func newDoctor() *cobra.Command {
	var c clientFlags
	var output string
	var all bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Examine the whole installation, with a remedy for each problem",
		Long: `Doctor makes the daemon examine everything again: the intent; Open vSwitch and
its database with bridges, controllers, patch ports and tags; the capabilities,
flows, groups and meters of each switch; the namespaces with taps, addresses,
routes and forwarding; whether packets arrive; whether the machine of each port
is on the integration bridge; and whether another machine answers for an address
of a router (it asks on the networks, as for duplicate address detection). It
changes nothing. It exits with 1 if there
are problems, and with 0 if there are only warnings. If the daemon does not
answer, doctor examines the requirements of the daemon. With --all-hosts all
hosts that share their intent in etcd examine themselves at the same time, and
the findings that are ok are only counted. Then doctor also exits with 1 if a
host does not answer.`,
		Example: `  ofdvr doctor
  ofdvr doctor --all-hosts`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			if all {
				return doctorOfAll(cmd, client, output)
			}
			stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "examining")
			defer stop()
			var d api.ExaminationDocument
			if _, err := client.Do(cmd.Context(), http.MethodGet, "/v1/examination", nil, &d); err != nil {
				if cmd.Context().Err() != nil {
					return err
				}
				d = withoutDaemon(cmd.Context(), err, strings.TrimPrefix(defaultOVSDB, "unix:"))
			}
			stop()
			w := cmd.OutOrStdout()
			if output == "json" {
				enc := json.NewEncoder(w)
				enc.SetIndent("", "  ")
				if err := enc.Encode(d); err != nil {
					return err
				}
			} else {
				printFindings(w, d, newNamer(cmd.Context(), client))
			}
			if d.Problems > 0 {
				return errReported
			}
			return nil
		},
	}
	c.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	allHostsFlag(cmd.Flags(), &all, "examine all hosts")
	return cmd
}

// printFindings prints findings, each with its remedy.
func printFindings(w io.Writer, d api.ExaminationDocument, names *namer) {
	for _, f := range d.Findings {
		printFinding(w, f, names)
	}
	switch {
	case d.Problems+d.Warnings == 0:
		fmt.Fprintln(w, "\nEverything is as it should be.")
	case d.Warnings == 0:
		fmt.Fprintf(w, "\n%s.\n", count(d.Problems, "problem"))
	case d.Problems == 0:
		fmt.Fprintf(w, "\nNo problems, %s.\n", count(d.Warnings, "warning"))
	default:
		fmt.Fprintf(w, "\n%s, %s.\n", count(d.Problems, "problem"), count(d.Warnings, "warning"))
	}
}

// printFinding prints a finding with its remedy.
func printFinding(w io.Writer, f api.FindingDocument, names *namer) {
	level := f.Level
	if level == "problem" || level == "warning" {
		level = strings.ToUpper(level)
	}
	fmt.Fprintf(w, "%-7s  %s: %s\n", level, names.text(f.About), names.text(f.Says))
	if f.Remedy != "" {
		fmt.Fprintf(w, "%-7s  → %s\n", "", names.text(f.Remedy))
	}
}

// withoutDaemon examines the requirements of a daemon that does not answer, for the reason err.
// socket is the path of ovsdb-server's socket.
func withoutDaemon(ctx context.Context, err error, socket string) api.ExaminationDocument {
	d := api.ExaminationDocument{Problems: 1, Findings: []api.FindingDocument{{Level: "problem", About: "daemon", Says: err.Error(),
		Remedy: "start it (systemctl start ofdvr), and see why it ended: journalctl -u ofdvr"}}}
	if errors.Is(err, fs.ErrPermission) {
		d.Findings[0].Remedy = "run doctor as root, or as a member of that group"
		return d
	}
	add := func(level, about, remedy, format string, args ...any) {
		if level == "problem" {
			d.Problems++
		}
		d.Findings = append(d.Findings, api.FindingDocument{Level: level, About: about, Says: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	if _, err := os.Stat(socket); err != nil {
		add("problem", "Open vSwitch", "install and start it: apt install openvswitch-switch", "ovsdb-server's socket does not exist: %v", err)
		return d
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ovs-vsctl", "--timeout=5", "get", "Open_vSwitch", ".", "ovs_version").CombinedOutput()
	if err != nil && strings.Contains(strings.ToLower(string(out)), "permission denied") {
		add("problem", "Open vSwitch", "run doctor as root", "ovs-vsctl has no permission for %s", socket)
		return d
	}
	if err != nil {
		add("problem", "Open vSwitch", "check whether it runs: systemctl status openvswitch-switch", "ovs-vsctl cannot read its version: %v: %s", err, strings.TrimSpace(string(out)))
		return d
	}
	version := strings.Trim(strings.TrimSpace(string(out)), `"`)
	if version == "[]" {
		version = "of an unknown version"
	}
	add("ok", "Open vSwitch", "", "%s answers", version)
	out, err = exec.CommandContext(ctx, "ovs-vsctl", "--timeout=5", "--format=csv", "--no-headings", "--columns=name", "find", "Bridge", "external_ids:"+ovsdb.KeyOwner+"="+ovsdb.Owner).CombinedOutput()
	switch bridges := strings.Fields(string(out)); {
	case err != nil: // it is not known
	case len(bridges) == 0:
		add("note", "routing", "start the daemon, which creates them", "ofdvr has no bridges in Open vSwitch, so nothing is routed, except on external bridges")
	default:
		add("note", "routing", "", "%s of ofdvr in Open vSwitch: routing goes on without the daemon, as long as ovs-vswitchd runs, but no change of the intent is applied", count(len(bridges), "bridge"))
	}
	if err := exec.CommandContext(ctx, "ovs-vsctl", "--timeout=5", "br-exists", defaultBridge).Run(); err != nil {
		add("problem", "bridge "+defaultBridge, "create it, or start the agent that creates it: ovs-vsctl add-br "+defaultBridge, "the integration bridge does not exist")
	}
	return d
}
