package main

import (
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

// rewatch is how long after the end of a connection the next one is tried.
const rewatch = 500 * time.Millisecond

func newWatch() *cobra.Command {
	var c clientFlags
	var output, since string
	cmd := &cobra.Command{
		Use:   "watch [networks|routers|ports]",
		Short: "Print changes as they happen",
		Long: `Watch prints each change of networks, routers and ports, one a line, until it is
interrupted. When the daemon restarts, it goes on where it was; if some changes
are not known any more, it says so.`,
		Example: `  ofdvr watch
  ofdvr watch ports --since 100 -o json`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: []string{"networks", "routers", "ports"},
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
			if since != "" {
				query.Set("since", since)
			}
			client, err := c.open()
			if err != nil {
				return err
			}
			return watch(cmd, client, query, output)
		},
	}
	c.add(cmd)
	cmd.Flags().StringVar(&since, "since", "", "print also what happened after this `REVISION`")
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// watch prints events for ever. When the daemon ends, it is connected to again.
func watch(cmd *cobra.Command, client *api.Client, query url.Values, output string) error {
	ctx := cmd.Context()
	say := func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
	revision, err := present(ctx, client)
	if err != nil {
		return err
	}
	if query.Get("since") == "" { // so that nothing is missed if the connection breaks before the first event
		query.Set("since", revision)
	}
	for waiting := false; ; {
		resume, err := client.Watch(ctx, query, func(e api.Event) error {
			waiting = false
			return printEvent(cmd, e, output)
		})
		if resume != "" {
			query.Set("since", resume)
		}
		p, refused := errors.AsType[*api.Problem](err)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, api.ErrCompacted), refused && p.Status == http.StatusGone:
			if revision, err = present(ctx, client); err != nil {
				break // and wait for the daemon
			}
			say("some changes after revision %s are not known any more: list again with ofdvr get; going on from revision %s", query.Get("since"), revision)
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

// present returns the revision that there is.
func present(ctx context.Context, client *api.Client) (string, error) {
	s, err := client.Status(ctx)
	return strconv.FormatUint(s.Intent.Revision, 10), err
}

func printEvent(cmd *cobra.Command, e api.Event, output string) error {
	if output == "json" {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
	}
	text := fmt.Sprintf("%d %s/%s %s %s", e.Revision, e.Kind, e.ID, e.Op, e.Object)
	_, err := fmt.Fprintln(cmd.OutOrStdout(), strings.TrimRight(text, " "))
	return err
}
