package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/ofdvr/ofdvr/internal/ownfile"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:     "man DIRECTORY",
		Short:   "Write the manual pages",
		Long:    "Man writes a manual page for each command into a directory.",
		Example: "  ofdvr man /usr/share/man/man1",
		Args:    arguments("DIRECTORY"),
		Hidden:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("create the directory of the manual: %w", err)
			}
			epoch := time.Time{} // the pages do not depend on the time
			header := &doc.GenManHeader{Section: "1", Source: "ofdvr " + version(), Manual: "ofdvr", Date: &epoch}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			if err := writeMan(root, *header, args[0]); err != nil {
				return fmt.Errorf("write the manual: %w", err)
			}
			return nil
		},
	}
}

// writeMan writes the pages of a command and its subcommands. It does not overwrite files of
// other owners or follow links, because other users may be able to write the directory.
func writeMan(cmd *cobra.Command, header doc.GenManHeader, dir string) error {
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writeMan(c, header, dir); err != nil {
			return err
		}
	}
	var page bytes.Buffer
	if err := doc.GenMan(cmd, &header, &page); err != nil {
		return err
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + "." + header.Section
	return ownfile.WriteFile(filepath.Join(dir, name), page.Bytes(), 0o644)
}
