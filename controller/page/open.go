package page

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// reads are the requests of the API that the page makes. They change nothing.
var reads = []string{
	"GET /v1/status",
	"GET /v1/counters",
	"GET /v1/history",
	"GET /v1/events",
	"GET /v1/examination",
	"GET /v1/machines",
	"GET /v1/machines/counts",
	"GET /v1/topology",
	"GET /v1/watch",
	"GET /v1/trace",
	"GET /v1/networks/{id}/status",
	"GET /v1/routers/{id}/status",
	"GET /v1/ports/{id}/status",
	"GET /v1/routers/{id}/flows",
}

// Open serves the page and the requests of the API that the page makes, without authentication.
// Handler rest serves all other requests. Open refuses cross-site requests of browsers. It also
// refuses requests under foreign host names, which prevents DNS rebinding. host is the name of this
// computer. Valid host names are names, localhost and any IP address.
func Open(api, rest http.Handler, host string, names ...string) http.Handler {
	some := http.NewServeMux()
	for _, pattern := range reads {
		some.Handle(pattern, api)
	}
	answers := onlyOwn(names, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		_, pattern := some.Handler(r)
		switch {
		case pattern == "":
			refuse(w, http.StatusForbidden, fmt.Sprintf("this address serves only the requests of the page, not %s %s; use the API at the address that --api names", r.Method, r.URL.Path))
		case r.URL.Query().Has("wait"):
			refuse(w, http.StatusForbidden, "this address does not serve requests with wait, because they would delay others; use ofdvr events -f, or the API at the address that --api names")
		case r.URL.Query().Has("verify"):
			refuse(w, http.StatusForbidden, "this address does not serve requests with verify, because they put load on Open vSwitch; use ofdvr trace --verify, or the API at the address that --api names")
		case r.URL.Query().Has("all_hosts"):
			refuse(w, http.StatusForbidden, "this address does not serve requests with all_hosts, because they put load on other hosts; use ofdvr trace, or the API at the address that --api names")
		case crossSite(r):
			refuse(w, http.StatusForbidden, "the page of another site asks; open the page of ofdvr itself")
		default:
			some.ServeHTTP(w, r)
		}
	}))
	own := onlyOwn(names, Handler(rest, host))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/v1/"):
			answers.ServeHTTP(w, r)
		case r.URL.Path == "/", strings.HasPrefix(r.URL.Path, "/page/"):
			own.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
}

// crossSite reports whether a request comes from a page of another site.
func crossSite(r *http.Request) bool {
	return slices.Contains([]string{"cross-site", "same-site"}, r.Header.Get("Sec-Fetch-Site"))
}

// onlyOwn answers only requests for the server's own names. In a DNS rebinding attack, the
// browser requests the attacker's name, which resolves to our address.
func onlyOwn(names []string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		host = strings.ToLower(strings.Trim(host, "[]"))
		_, err := netip.ParseAddr(host)
		if err != nil && host != "localhost" && !slices.Contains(names, host) {
			secure(w.Header())
			refuse(w, http.StatusMisdirectedRequest, fmt.Sprintf("requests to the name %q are refused, because another web site could use this name for the address: use the address itself, or localhost", host))
			return
		}
		h.ServeHTTP(w, r)
	})
}

// refuse answers with a problem, as the API does (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail}) // an error means that the client has gone
}
