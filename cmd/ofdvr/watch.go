package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
)

// rewatch is the time from the end of a connection to the next attempt.
const rewatch = 500 * time.Millisecond

func newWatch() *cobra.Command {
	var c clientFlags
	var output, since string
	var conditions bool
	cmd := &cobra.Command{
		Use:   "watch [networks|routers|ports|hosts]",
		Short: "Print changes as they happen",
		Long: `Watch prints each change of networks, routers, ports and hosts, one per line,
until it is interrupted. When the daemon restarts, it resumes at the same place.
If the daemon no longer has all changes since then, watch reports that, prints
each object as "present", and continues from there.`,
		Example: `  ofdvr watch
  ofdvr watch ports --since 100 -o json`,
		Args:      arguments("[KIND]"),
		ValidArgs: kindPlurals(),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			query := url.Values{}
			if len(args) == 1 {
				kind, err := kindOf(args[0])
				if err != nil {
					return err
				}
				query.Set("kind", kind.singular)
			}
			if conditions {
				query.Set("conditions", "true")
			}
			if since != "" {
				if _, err := strconv.ParseUint(since, 10, 64); err != nil {
					return misuse("--since %s: want a revision, which is a number; 'ofdvr status' shows the present one", since)
				}
				query.Set("since", since)
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			return watch(cmd, client, query, output, func(api.Event) bool { return true })
		},
	}
	c.add(cmd)
	cmd.Flags().StringVar(&since, "since", "", "begin with the changes after this `REVISION`")
	cmd.Flags().BoolVar(&conditions, "conditions", false, "also print changes of the conditions of routers, and of networks, ports and hosts that were written")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// watch prints the events for which keep returns true, until the command is interrupted. When
// the connection fails, it connects again.
func watch(cmd *cobra.Command, client *api.Client, query url.Values, output string, keep func(api.Event) bool) error {
	ctx := cmd.Context()
	say := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
	revision, err := present(ctx, client)
	if err != nil {
		return err
	}
	if query.Get("since") == "" { // starting at the current revision prevents missed events if the connection breaks before the first event
		query.Set("since", revision)
	}
	for waiting := false; ; {
		var unprinted error
		resume, err := client.Watch(ctx, query, func(e api.Event) error {
			waiting = false
			if keep(e) {
				unprinted = printEvent(cmd, e, output)
			}
			return unprinted
		})
		if resume != "" {
			query.Set("since", resume)
		}
		p, refused := errors.AsType[*api.Problem](err)
		switch {
		case ctx.Err() != nil:
			return nil
		case unprinted != nil:
			return unprinted
		case errors.Is(err, api.ErrCompacted), refused && p.Status == http.StatusGone:
			var all []api.Event
			if revision, all, err = everything(ctx, client, query.Get("kind")); err != nil {
				break // wait for the daemon
			}
			say("the changes after revision %s are no longer stored; these are all objects at revision %s:", query.Get("since"), revision)
			for _, e := range all {
				if !keep(e) {
					continue
				}
				if err := printEvent(cmd, e, output); err != nil {
					return err
				}
			}
			query.Set("since", revision)
			continue
		case refused:
			return err
		}
		if !waiting {
			say("%v\nwaiting for the daemon", err)
			waiting = true
		}
		pause := time.NewTimer(rewatch)
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
	}
}

// present returns the current revision.
func present(ctx context.Context, client *api.Client) (string, error) {
	s, err := client.Status(ctx)
	return strconv.FormatUint(s.Intent.Revision, 10), err
}

// everything returns all objects of a kind as events, and their revision. The kind "" means
// all kinds.
func everything(ctx context.Context, client *api.Client, kind string) (revision string, all []api.Event, err error) {
	var objects map[string][]json.RawMessage
	header, err := client.Do(ctx, http.MethodGet, "/v1/topology", nil, &objects)
	if err != nil {
		return "", nil, err
	}
	tag := header.Get("ETag")
	number, _, _ := strings.Cut(strings.TrimPrefix(tag, `"r`), "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return "", nil, fmt.Errorf("read the answer to GET /v1/topology: its ETag %s has no revision", tag)
	}
	for _, k := range kindWords {
		if word := k.singular; kind == "" || kind == word {
			for _, o := range objects[k.plural] {
				var named struct{ ID string }
				if err := json.Unmarshal(o, &named); err != nil {
					return "", nil, fmt.Errorf("read the answer to GET /v1/topology: %w", err)
				}
				all = append(all, api.Event{Revision: n, Kind: word, ID: named.ID, Op: "present", Object: o})
			}
		}
	}
	return strconv.FormatUint(n, 10), all, nil
}

func printEvent(cmd *cobra.Command, e api.Event, output string) error {
	var err error
	if output == "json" {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(e)
	} else {
		var object bytes.Buffer
		if e.Object != nil {
			json.Compact(&object, e.Object) // cannot fail, because the object was decoded
		}
		for i, c := range e.Conditions {
			if i > 0 {
				object.WriteString(", ")
			}
			fmt.Fprintf(&object, "%s=%s", c.Type, c.Status)
			if c.Message != "" {
				fmt.Fprintf(&object, " (%s)", c.Message)
			}
		}
		text := fmt.Sprintf("%d %s/%s %s %s", e.Revision, e.Kind, e.ID, e.Op, &object)
		_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(text, " "))
	}
	if err != nil {
		return fmt.Errorf("print a change: %w", err)
	}
	return nil
}
