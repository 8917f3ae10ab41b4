package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ofdvr/ofdvr/controller/api"
)

// allHostsFlag adds the flag --all-hosts.
func allHostsFlag(f *pflag.FlagSet, all *bool, what string) {
	f.BoolVar(all, "all-hosts", false, what+". The daemon asks the daemons of all hosts, through etcd")
}

// fetchAll returns the answers of all hosts to GET /v1/all-hosts/<path>, and shows on a terminal that
// it waits.
func fetchAll(cmd *cobra.Command, client *api.Client, path string, out any) error {
	stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "waiting for the answers of all hosts")
	defer stop()
	_, err := client.Do(cmd.Context(), http.MethodGet, "/v1/all-hosts/"+path, nil, out)
	return err
}

// printJSON prints a document.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printDocument prints a document as JSON or as text.
func printDocument[D any](cmd *cobra.Command, client *api.Client, output string, d D, text func(io.Writer, D, *namer)) error {
	if output == "json" {
		return printJSON(cmd.OutOrStdout(), d)
	}
	text(cmd.OutOrStdout(), d, newNamer(cmd.Context(), client))
	return nil
}

// statusOfAll prints the status of all hosts. With exitCode it returns an error if there are
// problems, or if a host has not answered.
func statusOfAll(cmd *cobra.Command, client *api.Client, output string, exitCode bool) error {
	var d api.AllHosts[api.HostSummary]
	if err := fetchAll(cmd, client, "status", &d); err != nil {
		return err
	}
	if err := printDocument(cmd, client, output, d, printAllStatus); err != nil {
		return err
	}
	for _, h := range d.Hosts {
		if exitCode && (h.Answer == nil || len(h.Answer.Problems) > 0) {
			return errReported
		}
	}
	return nil
}

func printAllStatus(w io.Writer, d api.AllHosts[api.HostSummary], names *namer) {
	rows := []table.Row{{"HOST", "STATE", "VERSION", "ROUTERS", "MACHINES", "PROBLEMS"}}
	for _, h := range d.Hosts {
		s := h.Answer
		if s == nil {
			rows = append(rows, table.Row{h.Host, "no answer", "-", "-", "-", "-"})
			continue
		}
		rows = append(rows, table.Row{h.Host, summaryState(s), s.Version, fmt.Sprintf("%d/%d", s.Ready, s.Routers), s.Machines, len(s.Problems)})
	}
	printTable(w, rows)
	for _, h := range d.Hosts {
		if h.Error != "" {
			fmt.Fprintf(w, "problem: host %s: %s\n", h.Host, h.Error)
		}
	}
	each := func(level string, list func(*api.HostSummary) []string) {
		for _, h := range d.Hosts {
			if h.Answer != nil {
				for _, p := range list(h.Answer) {
					fmt.Fprintf(w, "%s: host %s: %s\n", level, h.Host, names.text(p))
				}
			}
		}
	}
	each("problem", func(s *api.HostSummary) []string { return s.Problems })
	each("warning", func(s *api.HostSummary) []string { return s.Warnings })
	for _, h := range d.Hosts {
		printCut(w, h.Host, h.Cut)
	}
}

// summaryState returns the state of a host in a word or two.
func summaryState(s *api.HostSummary) string {
	switch {
	case s.Standby:
		return "standby"
	case s.Settled:
		return "ready"
	}
	return "not ready"
}

// printCut says what a host has left out of its answer.
func printCut(w io.Writer, host, cut string) {
	if cut != "" {
		fmt.Fprintf(w, "note: host %s: the answer was too large, %s\n", host, cut)
	}
}

// doctorOfAll prints the examinations of all hosts. It returns an error if there are problems, or if a
// host has not answered.
func doctorOfAll(cmd *cobra.Command, client *api.Client, output string) error {
	var d api.AllHosts[api.ExaminationDocument]
	if err := fetchAll(cmd, client, "examination", &d); err != nil {
		return err
	}
	if err := printDocument(cmd, client, output, d, printAllFindings); err != nil {
		return err
	}
	for _, h := range d.Hosts {
		if h.Answer == nil || h.Answer.Problems > 0 {
			return errReported
		}
	}
	return nil
}

// printAllFindings prints the findings of all hosts, each under its host. It only counts those that
// are ok.
func printAllFindings(w io.Writer, d api.AllHosts[api.ExaminationDocument], names *namer) {
	problems, warnings, silent := 0, 0, 0
	for i, h := range d.Hosts {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "host %s\n", h.Host)
		if h.Answer == nil {
			silent++
			printFinding(w, api.FindingDocument{Level: "problem", About: "daemon", Says: h.Error}, names)
			continue
		}
		shown, ok := *h.Answer, 0
		shown.Findings = nil
		for _, f := range h.Answer.Findings {
			if f.Level == "ok" {
				ok++
				continue
			}
			shown.Findings = append(shown.Findings, f)
		}
		problems, warnings = problems+shown.Problems, warnings+shown.Warnings
		for _, f := range shown.Findings {
			printFinding(w, f, names)
		}
		if ok > 0 {
			fmt.Fprintf(w, "%-7s  %s\n", "ok", count(ok, "finding"))
		}
		printCut(w, h.Host, h.Cut)
	}
	fmt.Fprintf(w, "\n%s: %s, %s", count(len(d.Hosts), "host"), count(problems, "problem"), count(warnings, "warning"))
	if silent > 0 {
		fmt.Fprintf(w, ", %d without an answer", silent)
	}
	fmt.Fprintln(w, ".")
}

const (
	// eventsEvery is the time between two requests of ofdvr events --all-hosts -f. Each costs every
	// host a write to etcd.
	eventsEvery = 5 * time.Second
	// eventsAgain is how old the events of such a request are at most. It is longer, because an answer
	// may be late.
	eventsAgain = 6 * eventsEvery
)

// eventsOfAll prints the events of all hosts that a query selects.
func eventsOfAll(cmd *cobra.Command, client *api.Client, q url.Values, output string, follow bool) error {
	status, err := client.Status(cmd.Context())
	if err != nil {
		return err
	}
	names := shownRouters(&status)
	w, enc := cmd.OutOrStdout(), json.NewEncoder(cmd.OutOrStdout())
	last := make(map[string]api.HostEvent) // by host
	silent := make(map[string]string)
	for first := true; ; first = false {
		var d api.AllEvents
		if err := fetchAll(cmd, client, "events?"+q.Encode(), &d); err != nil {
			return err
		}
		width := 0
		for _, h := range d.Hosts {
			width = max(width, len(h.Host))
			if h.Error != silent[h.Host] && h.Error != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "ofdvr: host %s: %s\n", h.Host, h.Error)
			}
			silent[h.Host] = h.Error
			if first {
				printCut(cmd.ErrOrStderr(), h.Host, h.Cut)
			}
		}
		for _, e := range unprinted(d.Events, last) {
			last[e.Host] = e
			if output == "json" {
				if err := enc.Encode(e); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintf(w, "%-*s  ", width, e.Host)
			printLogged(w, e.EventDocument, names)
		}
		if !follow {
			if len(d.Events) == 0 && allSilent(d.Hosts) {
				return errors.New("no host has answered")
			}
			return nil
		}
		if err := pause(cmd.Context(), eventsEvery); err != nil {
			return err
		}
		q.Set("age", strconv.Itoa(int(eventsAgain/time.Second)))
		q.Set("limit", strconv.Itoa(maxEvents))
	}
}

// unprinted returns the events that come after the last event of their host. An answer with older
// events has that event too, unless the host's daemon has been started again.
func unprinted(events []api.HostEvent, last map[string]api.HostEvent) (out []api.HostEvent) {
	older, same := make(map[string]bool), make(map[string]bool)
	for _, e := range events {
		l := last[e.Host]
		older[e.Host] = older[e.Host] || e.Seq < l.Seq
		same[e.Host] = same[e.Host] || e.Seq == l.Seq && e.Time.String() == l.Time.String()
	}
	for _, e := range events {
		if restarted := older[e.Host] && !same[e.Host]; restarted || e.Seq > last[e.Host].Seq {
			out = append(out, e)
		}
	}
	return out
}

func allSilent(hosts []api.HostOutcome) bool {
	for _, h := range hosts {
		if h.Error == "" {
			return false
		}
	}
	return true
}

// pause waits, unless ctx is done before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
