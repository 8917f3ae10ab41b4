// Command ofdvr is an OpenFlow controller. It routes between the machines of a host, inside
// Open vSwitch.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errReported ends a command with exit status 1 after the command has printed the reason.
var errReported = errors.New("reported")

// Exit statuses besides 0 for success.
const (
	exitFailure = 1
	exitChanges = 2  // exit status of plan if the plan has changes
	exitUsage   = 64 // EX_USAGE of sysexits.h
)

// run is main without global variables. It returns the exit status.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	ctx, end := context.WithCancel(ctx)
	defer end() // of what the command has started
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	cmd, err := unknownCommand(root, args)
	if err == nil {
		cmd, err = root.ExecuteContextC(ctx)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return exitFailure
	case errors.Is(err, errChanges):
		return exitChanges
	case ctx.Err() != nil && !errors.Is(err, errNotStopped): // err is a consequence of the interruption
		err = errors.New("interrupted")
	case errors.As(err, new(usageError)):
		fmt.Fprintf(errOut, "ofdvr: %v\n", err)
		if cmd.HasParent() {
			fmt.Fprintf(errOut, "Usage: %s\n", cmd.UseLine())
		}
		fmt.Fprintf(errOut, "See '%s --help'.\n", cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(errOut, "ofdvr: %v%s\n", err, rootHint(cmd, err, os.Geteuid()))
	return exitFailure
}

// rootHint returns a remedy if a command that needs root lacks a permission.
func rootHint(cmd *cobra.Command, err error, uid int) string {
	for cmd.HasParent() && cmd.Parent().HasParent() {
		cmd = cmd.Parent()
	}
	local := slices.Contains([]string{"serve", "cleanup", "store"}, cmd.Name())
	if local && uid != 0 && errors.Is(err, fs.ErrPermission) {
		return "; " + cmd.CommandPath() + " has to be run by root"
	}
	return ""
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "ofdvr",
		Short: "A distributed virtual router for Open vSwitch",
		Long: `ofdvr routes packets between the machines of a host inside Open vSwitch. It is
an OpenFlow controller: it creates a bridge for each router, with flows that
answer ARP requests, rewrite MAC addresses and decrement TTLs.

Exit codes:
  0   success; for plan, nothing would change
  1   something failed, or was not confirmed in time
  2   only for plan: there are changes
  64  the command was called wrongly`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          arguments(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.Version = version()
	root.SetVersionTemplate(versionLine() + "\n")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", ".FlagUsagesWrapped 80 "))
	root.AddCommand(newServe(), newCheck(), newCompile(), newStatus(), newCleanup(), newVersion(),
		newGet(), newDescribe(), newApply(), newDelete(), newPlan(), newExport(), newWatch(), newFlows(), newTrace(), newExplain(), newEvents(), newTop(), newDoctor(), newLogLevel(), newComplete(), newStore(), newEtcd(), newMan())
	return root
}
