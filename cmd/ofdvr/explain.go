package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/compile"
)

func newExplain() *cobra.Command {
	var c clientFlags
	var output string
	cmd := &cobra.Command{
		Use:   "explain COOKIE|FLOW",
		Short: "Show the purpose of a flow, and the object that it belongs to",
		Long: `Explain takes the cookie of a flow, or a line of ovs-ofctl dump-flows, and shows
the purpose of the flow, and the router, interface, port or route that it
serves.`,
		Example: `  ofdvr explain 0xfd09ec5ef62282fc
  ofdvr explain "cookie=0xfd09ec5ef62282fc, duration=9s, table=3, ..."`,
		Args: arguments("COOKIE..."),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "text", "json"); err != nil {
				return err
			}
			cookie, err := cookieOf(strings.Join(args, " "))
			if err != nil {
				return err
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			var e api.ExplanationDocument
			if _, err := client.Do(cmd.Context(), http.MethodGet, fmt.Sprintf("/v1/explain/%#x", uint64(cookie)), nil, &e); err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			if output == "json" {
				enc := json.NewEncoder(w)
				enc.SetIndent("", "  ")
				return enc.Encode(e)
			}
			switch {
			case !e.Ours:
				fmt.Fprintf(w, "%s is not of ofdvr\n", e.Cookie)
			case e.Kind == "":
				role, _ := compile.RoleOf(cookie)
				fmt.Fprintf(w, "%s is a cookie of ofdvr (role %d), and its object no longer exists\n", e.Cookie, role)
			default:
				fmt.Fprintf(w, "%s, router %s: %s\n", e.Cookie, e.Router, e.Does)
			}
			return nil
		},
	}
	c.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// cookieOf returns the cookie in s, which is a cookie or the text of a flow.
func cookieOf(s string) (ofproto.Cookie, error) {
	text := strings.TrimSpace(s)
	if i := strings.Index(text, "cookie"); i >= 0 { // the cookie of a flow, also in the form of ofproto/trace's output
		text = strings.TrimLeft(text[i+len("cookie"):], "= ")
		text, _, _ = strings.Cut(text, ",")
	}
	var n uint64
	if _, err := fmt.Sscan(text, &n); err != nil || strings.ContainsAny(text, " =") {
		return 0, misuse("%q is neither a cookie, such as 0xfd09ec5ef62282fc, nor a flow with a cookie", s)
	}
	return ofproto.Cookie(n), nil
}
