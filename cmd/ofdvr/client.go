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

// envAPI is the environment variable with the endpoint of the daemon's API. The flag --api
// overrides it.
const envAPI = "OFDVR_API"

// clientFlags are the flags that select a daemon and authenticate to it.
type clientFlags struct {
	endpoint string // "" for the endpoint in envAPI
	access   api.Access
	etcd     etcdOptions // instead of a daemon
}

// add adds the flags to cmd.
func (c *clientFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.endpoint, "api", "", "`ENDPOINT` of the daemon's API, unix:PATH or ssl:ADDRESS:PORT (default: $"+envAPI+", or else "+defaultAPI+")")
	f.StringVar(&c.access.TLS.CACert, "api-ca-cert", "", "PEM `FILE` with the CA that signs the daemon's certificate, for ssl:")
	f.StringVar(&c.access.TLS.Certificate, "api-certificate", "", "PEM `FILE` with the client's certificate, for ssl:")
	f.StringVar(&c.access.TLS.PrivateKey, "api-private-key", "", "PEM `FILE` with the client's private key, for ssl:")
	f.StringVar(&c.access.TokenFile, "api-token-file", "", "`FILE` with the bearer token, for ssl:")
}

// addEtcd adds the flags of commands that also work without a daemon.
func (c *clientFlags) addEtcd(cmd *cobra.Command) {
	c.etcd.flags(cmd.Flags(), ": read and write the intent there, without a daemon")
}

// straight reports whether the command works on etcd without a daemon.
func (c *clientFlags) straight() bool { return len(c.etcd.endpoints) > 0 }

// open returns the client of a command. It ends with the command at the latest.
func (c *clientFlags) open(cmd *cobra.Command) (*api.Client, error) {
	if c.straight() && c.endpoint != "" {
		return nil, misuse("--api and --etcd cannot be used together")
	}
	if err := c.etcd.check(); err != nil {
		return nil, err
	}
	if c.straight() {
		return straight(cmd, &c.etcd)
	}
	endpoint := cmp.Or(c.endpoint, os.Getenv(envAPI), defaultAPI)
	if err := api.Endpoint(endpoint).Check(); err != nil {
		return nil, misuse("%v", err)
	}
	return api.NewClient(api.Endpoint(endpoint), c.access)
}

// write sends a request that changes objects or plans a change. On a terminal it shows the
// progress.
func write(cmd *cobra.Command, client *api.Client, w *waitFlags, method, path string, query url.Values, body []byte) (*api.Written, error) {
	done := new(api.Written)
	dryRun := query.Get("dry_run") != ""
	stop := w.showProgress(cmd, client, dryRun)
	defer stop()
	_, err := client.Do(cmd.Context(), method, path+"?"+query.Encode(), body, done)
	if err != nil && cmd.Context().Err() != nil && !dryRun {
		err = errors.New("interrupted before ofdvr answered: the change may have been made; see 'ofdvr plan' or 'ofdvr get'")
		return nil, reported(cmd, err)
	}
	if p, ok := errors.AsType[*api.Problem](err); ok {
		p.Detail = inFlags.Replace(p.Detail)
	}
	return done, err
}

// inFlags replaces the API's parameters by the flags that set them.
var inFlags = strings.NewReplacer("cascade=true", "--cascade", "allow_empty=true", "--allow-empty")

// path returns the path of an object in the API. Dots are escaped, because "." and ".." have a
// special meaning in paths.
func (k kindWord) path(id string) string {
	return "/v1/" + k.plural + "/" + strings.ReplaceAll(url.PathEscape(id), ".", "%2E")
}

// fetch returns the objects with the given IDs or names as a model. If ids is empty, it
// returns the objects that match the filters.
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
		return nil, fmt.Errorf("read the answer of ofdvr: %w", err)
	}
	return &change.Put, nil
}

// completionTimeout is the time limit of a completion.
const completionTimeout = time.Second

// complete completes a kind, and after the kind, IDs and names of objects. The kinds are those of
// kindWords, and the words in more. If kind is not "", complete completes only IDs and names of
// that kind.
func (c *clientFlags) complete(kind string, more ...string) func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		word := kind
		if word == "" {
			if len(args) == 0 {
				return kindPlurals(more...), cobra.ShellCompDirectiveNoFileComp
			}
			word, args = args[0], args[1:]
		}
		k, err := kindOf(word)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
		defer cancel()
		if c.straight() {
			return nil, cobra.ShellCompDirectiveNoFileComp // reading all of etcd takes too long
		}
		client, err := c.open(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		m, err := k.fetch(ctx, client, nil, nil)
		if err != nil { // a completion cannot report errors
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var words []string // IDs, and unique names
		names := shown(m, k.kind)
		for _, id := range idsOf(m) {
			name := names.of(id)
			if slices.Contains(args, id) || slices.Contains(args, name) {
				continue
			}
			for _, word := range slices.Compact([]string{id, name}) {
				if strings.HasPrefix(word, prefix) {
					words = append(words, word)
				}
			}
		}
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeOne is like complete, for a single object.
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
	for i := range m.Hosts {
		ids = append(ids, m.Hosts[i].ID)
	}
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

// outputFlag adds the flag -o to cmd. The first format is the default.
func outputFlag(cmd *cobra.Command, output *string, formats ...string) {
	cmd.Flags().StringVarP(output, "output", "o", formats[0], "`FORMAT`: "+words(formats))
	cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// checkOutput returns an error if output is not one of the formats.
func checkOutput(output string, formats ...string) error {
	if slices.Contains(formats, output) {
		return nil
	}
	return misuse("-o %s: want %s%s", output, words(formats), didYouMean(output, formats))
}

// words joins words with commas and "or".
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

// isNotFound reports whether err is the answer of the daemon that an object does not exist.
func isNotFound(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Status == http.StatusNotFound
}
