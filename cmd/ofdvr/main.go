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
	root.PersistentPreRun = func(*cobra.Command, []string) { misused = false }
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errReported):
		return exitFailure
	case errors.Is(err, errChanges):
		return exitChanges
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

Exit status: 0 if all went well, 1 if not, 2 if plan found changes, 64 if the
command was called wrongly.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newServe(), newCheck(), newCompile(), newStatus(), newCleanup(), newVersion(),
		newGet(), newDescribe(), newApply(), newDelete(), newPlan(), newExport(), newWatch(), newFlows(), newComplete(), newStore(), newMan())
	return root
}
