package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
)

func newEvents() *cobra.Command {
	var c clientFlags
	var output, level string
	var since time.Duration
	filters := map[string]*string{"router": new(string), "network": new(string), "port": new(string), "host": new(string)}
	var last int
	var follow, all bool
	cmd := &cobra.Command{
		Use:        "events",
		Aliases:    []string{"logs"},
		SuggestFor: []string{"log", "journal"},
		Short:      "Show recent changes, repairs, refusals and connections",
		Long: `Events shows recent events: changes of the intent, of flows, OVSDB and
namespaces, repairs of other programs' changes (level warn), refusals by
switches, connections that opened and closed, machines that moved from host to
host, and hosts whose messages ended. The daemon keeps the latest thousand
events. Its log has all of them. An event must match all filters. With
--all-hosts it shows the events of all hosts that share their intent in etcd,
ordered by their age, with the host first in each line. With -f it
then asks all hosts every 5 seconds.`,
		Example: `  ofdvr events --router r1
  ofdvr events --level warn --since 10m -f
  ofdvr events --host h2
  ofdvr events --all-hosts --level warn`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			if !slices.Contains(logLevels[1:], level) {
				return misuse("--level %s: want %s%s", level, words(logLevels[1:]), didYouMean(level, logLevels[1:]))
			}
			if last < 1 || last > maxEvents {
				return misuse("--last %d: want a number from 1 to %d", last, maxEvents)
			}
			q := url.Values{"level": {level}}
			if cmd.Flags().Changed("since") {
				if since <= 0 {
					return misuse("--since %v: want a duration of more than 0s", since)
				}
				q.Set("age", strconv.FormatFloat(since.Seconds(), 'f', -1, 64))
				if !cmd.Flags().Changed("last") {
					last = maxEvents
				}
			}
			q.Set("limit", strconv.Itoa(last))
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			for name, v := range filters {
				if *v != "" {
					q.Set(name, *v) // a deleted object has events too
				}
			}
			if err := resolveFilters(cmd.Context(), client, q); err != nil {
				return err
			}
			if all {
				return eventsOfAll(cmd, client, q, output, follow)
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			names := shownRouters(&status)
			enc := json.NewEncoder(cmd.OutOrStdout())
			for {
				var d api.EventsDocument
				if _, err := client.Do(cmd.Context(), http.MethodGet, "/v1/events?"+q.Encode(), nil, &d); err != nil {
					return err
				}
				for _, e := range d.Events {
					if output == "json" {
						if err := enc.Encode(e); err != nil {
							return err
						}
						continue
					}
					printLogged(cmd.OutOrStdout(), e, names)
				}
				if !follow {
					return nil
				}
				q.Del("age")
				q.Set("since", strconv.FormatUint(d.Next, 10))
				q.Set("limit", strconv.Itoa(maxEvents))
				q.Set("wait", "true")
			}
		},
	}
	c.add(cmd)
	f := cmd.Flags()
	f.StringVar(filters["router"], "router", "", "only events of `ROUTER`, by ID or name")
	f.StringVar(filters["network"], "network", "", "only events of the machines on `NETWORK`, and of the routers with an interface on it")
	f.StringVar(filters["port"], "port", "", "only events of the machine of `PORT`")
	f.StringVar(filters["host"], "host", "", "only events of `HOST`, such as machines that moved from it or to it")
	f.DurationVar(&since, "since", 0, "only events of the last `TIME`, such as 10m; without -n up to 1000")
	f.StringVar(&level, "level", "info", "only events of at least `LEVEL`: info, warn or error")
	f.IntVarP(&last, "last", "n", 100, "the latest `N` events, at most 1000")
	f.BoolVarP(&follow, "follow", "f", false, "continue with new events until interrupted")
	allHostsFlag(f, &all, "show the events of all hosts")
	for name := range filters {
		cmd.RegisterFlagCompletionFunc(name, c.complete(name))
	}
	cmd.RegisterFlagCompletionFunc("level", cobra.FixedCompletions([]string{"info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// printLogged prints an event as a line. names has the texts to show for routers.
func printLogged(w io.Writer, e api.EventDocument, names shownNames) {
	parts := []string{e.Time.Format("2006-01-02 15:04:05.000"), fmt.Sprintf("%-5s", strings.ToUpper(e.Level)), e.Message}
	if e.Router != "" {
		parts = append(parts, "router="+quoted(names.of(e.Router)))
	}
	for _, key := range slices.Sorted(maps.Keys(e.Fields)) {
		parts = append(parts, key+"="+quoted(fmt.Sprint(e.Fields[key])))
	}
	fmt.Fprintln(w, strings.Join(parts, "  "))
}

// quoted returns v, in quotes if it has spaces or quotes.
func quoted(v string) string {
	if strings.ContainsAny(v, " \n\"") {
		return strconv.Quote(v)
	}
	return v
}

// maxEvents is the number of events that the daemon keeps.
const maxEvents = 1000

// logLevels are the levels of the log, with the least important level first.
var logLevels = []string{"debug", "info", "warn", "error"}

func newLogLevel() *cobra.Command {
	var c clientFlags
	var openflow string
	cmd := &cobra.Command{
		Use:   "log-level [debug|info|warn|error]",
		Short: "Show or change the log level of the daemon",
		Long: `Log-level changes the lowest level that the daemon logs, until the next change
or until the daemon ends. With --openflow, at level debug, each OpenFlow message
between the daemon and the bridge of a router is logged in the syntax of
ovs-ofctl; --openflow "" ends that. Without arguments the command shows the
present settings.`,
		Example: `  ofdvr log-level debug --openflow r1
  ofdvr log-level info --openflow ""`,
		Args:      arguments("[LEVEL]"),
		ValidArgs: logLevels,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && !slices.Contains(logLevels, args[0]) {
				return misuse("unknown level %q: want %s%s", args[0], words(logLevels), didYouMean(args[0], logLevels))
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			var change api.LogDocument
			if len(args) > 0 {
				change.Level = &args[0]
			}
			if cmd.Flags().Changed("openflow") {
				if openflow, err = kindWords[1].resolveIfKnown(cmd.Context(), client, openflow); err != nil {
					return err
				}
				change.OpenFlow = &openflow
			}
			method, body := http.MethodGet, []byte(nil)
			if change != (api.LogDocument{}) {
				method = http.MethodPut
				if body, err = json.Marshal(change); err != nil {
					return err
				}
			}
			var now api.LogDocument
			if _, err := client.Do(cmd.Context(), method, "/v1/log", body, &now); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "level: %s\n", *now.Level)
			if r := *now.OpenFlow; r != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "OpenFlow messages of router: %s\n", r)
			}
			return nil
		},
	}
	c.add(cmd)
	cmd.Flags().StringVar(&openflow, "openflow", "", "`ROUTER`, by ID or name, whose OpenFlow messages are logged; \"\" for none")
	cmd.RegisterFlagCompletionFunc("openflow", c.complete("router"))
	return cmd
}
