// Package page serves the web page that shows networks, routers, machines and the traffic
// between them. The page's files are embedded in the program, and it loads nothing from
// other servers. It reads its data from the API on the same address.
package page

import (
	"bytes"
	"embed"
	"html"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed site
var site embed.FS

// policy lets the page load from its own server only, and connect to no other. No other page may
// frame it or inject scripts.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// types are the media types of the files, independent of the MIME configuration of this
// computer.
var types = map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}

// Handler serves the page of a host at / and its files below /page/. Handler rest serves all other
// requests.
func Handler(rest http.Handler, host string) http.Handler {
	files, err := fs.Sub(site, "site")
	if err != nil {
		panic(err) // cannot happen: the directory's name is valid
	}
	index, err := fs.ReadFile(files, "index.html")
	if err != nil {
		panic(err) // cannot happen: the file is part of the program
	}
	index = bytes.ReplaceAll(index, []byte("{{host}}"), []byte(html.EscapeString(host)))
	own := headed(http.StripPrefix("/page", http.FileServerFS(files)))
	first := headed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "index.html", time.Time{}, bytes.NewReader(index))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case reads && (r.URL.Path == "/" || r.URL.Path == "/page/"):
			first.ServeHTTP(w, r)
		case reads && strings.HasPrefix(r.URL.Path, "/page/"):
			own.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
}

// headed adds the page's HTTP headers. Browsers must request the page again each time, so
// that it matches the daemon after an upgrade.
func headed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Cache-Control", "no-cache")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		if kind := types[path.Ext(r.URL.Path)]; kind != "" {
			header.Set("Content-Type", kind)
		}
		secure(header)
		h.ServeHTTP(w, r)
	})
}

// secure adds the security headers of every answer to a browser.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}
