// Command ofdvr is an OpenFlow controller that routes between the machines of
// a host inside Open vSwitch.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// errReported ends a command with exit status 1 when everything that there is
// to say has been said.
var errReported = errors.New("reported")

// A usageError says that a command was called wrongly.
type usageError string

func (e usageError) Error() string { return string(e) }

// Exit statuses besides 0 for success.
const (
	exitFailure = 1
	exitChanges = 2  // of plan: there are changes
	exitUsage   = 64 // EX_USAGE of sysexits.h
)

// run is main without globals. It returns the exit status.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	misused := true // until a command starts to run, what fails is how it was called
	root.PersistentPreRun = func(cmd *cobra.Command, _ []string) { misused = cmd.ValidateRequiredFlags() != nil }
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return exitFailure
	case errors.Is(err, errChanges):
		return exitChanges
	case ctx.Err() != nil && !errors.Is(err, errNotStopped): // err is what became of it
		err = errors.New("interrupted")
	case misused, errors.As(err, new(usageError)):
		fmt.Fprintf(errOut, "ofdvr: %v\nSee 'ofdvr --help'.\n", err)
		return exitUsage
	}
	fmt.Fprintf(errOut, "ofdvr: %v\n", err)
	return exitFailure
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "ofdvr",
		Short: "A router inside Open vSwitch",
		Long: `ofdvr routes between the machines of a host inside Open vSwitch: it is an
OpenFlow controller that gives each router a bridge, and the bridge the flows
that answer ARP requests, rewrite MAC addresses and decrement TTLs.

Exit codes:
  0   all went well; of plan: nothing would change
  1   something failed, or was not confirmed in time
  2   only of plan: there are changes
  64  the command was called wrongly`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.Version = version()
	root.SetVersionTemplate(versionLine() + "\n")
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", ".FlagUsagesWrapped 80 "))
	root.AddCommand(newServe(), newCheck(), newCompile(), newStatus(), newCleanup(), newVersion(),
		newGet(), newDescribe(), newApply(), newDelete(), newPlan(), newExport(), newWatch(), newFlows(), newTrace(), newExplain(), newEvents(), newTop(), newDoctor(), newLogLevel(), newComplete(), newStore(), newMan())
	return root
}
