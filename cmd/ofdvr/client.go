package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// envAPI names the environment variable that says where the daemon is, unless
// --api does.
const envAPI = "OFDVR_API"

// clientFlags say which daemon to ask, and how to get in.
type clientFlags struct {
	endpoint string // "" for that of the environment
	access   api.Access
}

// add gives cmd the flags.
func (c *clientFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.endpoint, "api", "", "where the daemon's API is: `ENDPOINT` unix:PATH or ssl:ADDRESS:PORT (default: $"+envAPI+", or else "+defaultAPI+")")
	f.StringVar(&c.access.TLS.CACert, "api-ca-cert", "", "PEM `FILE` that signs the daemon's certificate, for ssl:")
	f.StringVar(&c.access.TLS.Certificate, "api-certificate", "", "PEM `FILE` of the client, for ssl:")
	f.StringVar(&c.access.TLS.PrivateKey, "api-private-key", "", "PEM `FILE` of the client, for ssl:")
	f.StringVar(&c.access.TokenFile, "api-token-file", "", "`FILE` with the bearer token, for ssl:")
}

func (c *clientFlags) open() (*api.Client, error) {
	endpoint := cmp.Or(c.endpoint, os.Getenv(envAPI), defaultAPI)
	return api.NewClient(api.Endpoint(endpoint), c.access)
}

// write sends a request that changes something, or plans to, and shows on a
// terminal how far it is.
func write(cmd *cobra.Command, client *api.Client, w *waitFlags, method, path string, query url.Values, body []byte) (*api.Written, error) {
	done := new(api.Written)
	dryRun := query.Get("dry_run") != ""
	stop := w.showProgress(cmd, client, dryRun)
	defer stop()
	_, err := client.Do(cmd.Context(), method, path+"?"+query.Encode(), body, done)
	if err != nil && cmd.Context().Err() != nil && !dryRun {
		err = errors.New("interrupted before ofdvr answered: what was asked for may have been done; see 'ofdvr plan' or 'ofdvr get'")
		return nil, reported(cmd, err)
	}
	if p, ok := errors.AsType[*api.Problem](err); ok {
		p.Detail = inFlags.Replace(p.Detail)
	}
	return done, err
}

// inFlags says of the API's parameters which flags set them.
var inFlags = strings.NewReplacer("cascade=true", "--cascade", "allow_empty=true", "--allow-empty")

// A kindWord is a kind of objects in the words of the command line.
type kindWord struct {
	kind                    routing.Kind
	singular, plural, short string
}

var kindWords = []kindWord{
	{routing.KindNetwork, "network", "networks", "net"},
	{routing.KindRouter, "router", "routers", "r"},
	{routing.KindPort, "port", "ports", "p"},
}

// kindOf returns the kind that a word means.
func kindOf(word string) (kindWord, error) {
	for _, k := range kindWords {
		if slices.Contains([]string{k.singular, k.plural, k.short}, word) {
			return k, nil
		}
	}
	return kindWord{}, usageError(fmt.Sprintf("%q is no kind of object: want networks, routers or ports", word))
}

// path returns the path of an object in the API. A dot would be taken for a part
// of the path.
func (k kindWord) path(id string) string {
	return "/v1/" + k.plural + "/" + strings.ReplaceAll(url.PathEscape(id), ".", "%2E")
}

// fetch returns the objects of a kind that have IDs or names or, if none are given,
// that pass the filters, as a model.
func (k kindWord) fetch(ctx context.Context, c *api.Client, ids []string, filter url.Values) (*routing.Model, error) {
	var items []json.RawMessage
	for _, id := range ids {
		item, err := k.object(ctx, c, id)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	query := url.Values{"limit": {"1000"}}
	for key, v := range filter {
		query[key] = v
	}
	for more := len(ids) == 0; more; {
		var page api.Page[json.RawMessage]
		if _, err := c.Do(ctx, http.MethodGet, "/v1/"+k.plural+"?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		query.Set("after", page.Next)
		more = page.Next != ""
	}
	text, err := json.Marshal(map[string]any{k.plural: items})
	if err != nil {
		return nil, err
	}
	change, err := topology.DecodeTopology(text, nil)
	if err != nil {
		return nil, fmt.Errorf("read what ofdvr answered: %w", err)
	}
	return &change.Put, nil
}

// completionTimeout is how long a person may wait for a completion.
const completionTimeout = time.Second

// complete completes a kind, unless kind says which, and then IDs of it.
func (c *clientFlags) complete(kind string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		word := kind
		if word == "" {
			if len(args) == 0 {
				var words []string
				for _, k := range kindWords {
					words = append(words, k.plural)
				}
				return words, cobra.ShellCompDirectiveNoFileComp
			}
			word, args = args[0], args[1:]
		}
		k, err := kindOf(word)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
		defer cancel()
		client, err := c.open()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		m, err := k.fetch(ctx, client, nil, nil)
		if err != nil { // nothing can be said here
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var ids []string
		for _, id := range idsOf(m) {
			if strings.HasPrefix(id, prefix) && !slices.Contains(args, id) {
				ids = append(ids, id)
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeOne is complete for a single ID.
func (c *clientFlags) completeOne(kind string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	ids := c.complete(kind)
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return ids(cmd, args, prefix)
	}
}

// idsOf returns the IDs of all objects of m.
func idsOf(m *routing.Model) (ids []string) {
	for i := range m.Networks {
		ids = append(ids, m.Networks[i].ID)
	}
	for i := range m.Routers {
		ids = append(ids, m.Routers[i].ID)
	}
	for i := range m.Ports {
		ids = append(ids, m.Ports[i].ID)
	}
	return ids
}

// outputFlag gives cmd the flag -o with the formats that there are.
func outputFlag(cmd *cobra.Command, output *string, formats ...string) {
	cmd.Flags().StringVarP(output, "output", "o", formats[0], "`FORMAT`: "+words(formats))
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// checkOutput returns an error if output is none of the formats.
func checkOutput(output string, formats ...string) error {
	if slices.Contains(formats, output) {
		return nil
	}
	return usageError(fmt.Sprintf("-o %s: want %s", output, words(formats)))
}

// words joins words as a sentence does.
func words(ws []string) string {
	if len(ws) < 2 {
		return strings.Join(ws, "")
	}
	return strings.Join(ws[:len(ws)-1], ", ") + " or " + ws[len(ws)-1]
}

// printModel writes m as a topology file.
func printModel(w io.Writer, m *routing.Model, format string) error {
	if format == "json" {
		return topology.WriteJSON(w, m)
	}
	return topology.WriteYAML(w, m)
}

// isNotFound reports whether err is the daemon's, that there is no such thing.
func isNotFound(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Status == http.StatusNotFound
}
