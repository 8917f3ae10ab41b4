package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is set by the linker: -X main.release=v1.2.3.
var release string

// version returns the release. In a build without a release, it returns the module's version.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    "Version prints the version of ofdvr, and the version of Go that built it.",
		Example: "  ofdvr version",
		Args:    arguments(),
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintln(cmd.OutOrStdout(), versionLine())
		},
	}
}

// versionLine is the output of ofdvr version and ofdvr --version.
func versionLine() string {
	return fmt.Sprintf("ofdvr %s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
