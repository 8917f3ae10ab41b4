package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// habits has, by command and flag, a hint for flags that other programs have and ofdvr does not.
var habits = map[string]map[string]string{
	"events": {
		"tail": "-n N shows the latest N events", "lines": "-n N shows the latest N events", "limit": "-n N shows the latest N events",
		"until": "--since TIME and -n N select events, and the log has all",
		"watch": "-f continues with new events", "w": "-f continues with new events",
	},
	"get": {
		"show-labels": "-o yaml shows labels, and -l selects by them", "labels": "-l selects by labels, and -o yaml shows them",
		"follow": "-w prints each change", "f": "-w prints each change", "A": "'ofdvr get all' lists everything", "all": "'ofdvr get all' lists everything",
		"name": "names are arguments, as IDs are: ofdvr get ports NAME",
	},
	"apply":  {"prune": "--all deletes what is not in the files", "recursive": "a directory is an argument too", "R": "a directory is an argument too", "force": "nothing asks for a confirmation"},
	"plan":   {"recursive": "a directory is an argument too", "R": "a directory is an argument too"},
	"delete": {"force": "nothing asks for a confirmation", "yes": "nothing asks for a confirmation", "y": "nothing asks for a confirmation", "all": "'ofdvr apply --all FILE' deletes what is not in FILE"},
	"status": {"watch": "--wait waits until everything is confirmed, and 'watch ofdvr status' repeats it", "w": "--wait waits until everything is confirmed, and 'watch ofdvr status' repeats it"},
	"trace":  {"tcp": "--proto tcp", "udp": "--proto udp", "icmp": "--proto icmp", "p": "--dport PORT, with --proto tcp or udp", "port": "--dport PORT, with --proto tcp or udp"},
}

// habit returns the hint for a flag that the command does not have, or "".
func habit(cmd *cobra.Command, flag string) string {
	if hint := habits[cmd.Name()][flag]; hint != "" {
		return "; " + hint
	}
	if (flag == "f" || flag == "file" || flag == "filename") && strings.Contains(cmd.Use, " FILE") {
		return fmt.Sprintf("; the file is an argument: %s FILE", cmd.CommandPath())
	}
	return ""
}
