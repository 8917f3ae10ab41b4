package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/internal/logging"
)

// Errors of HTTP servers are in the daemon's log, in its format. Failed handshakes are warnings,
// and panics are errors. A client that causes many of them does not fill the log.
func TestErrorsOfHTTPServersAreLogged(t *testing.T) {
	log, err := logging.New("error", "json")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	signed := httptest.NewTLSServer(nil) // this server has a certificate and a client that trusts it
	defer signed.Close()
	ctx, stop := context.WithCancel(t.Context())
	var g errgroup.Group
	defer g.Wait()
	defer stop()
	d := daemon{log: log}
	d.serveHTTP(ctx, &g, tls.NewListener(tcp, signed.TLS), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		panic("on purpose: " + r.URL.Path)
	}), bounds{time.Minute, 100, func(string) {}})

	const attempts = 100
	for range attempts { // a line is logged before the connection is closed
		nc, err := net.Dial("tcp", tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc.Write([]byte("\xff\xffthis is not TLS"))
		io.Copy(io.Discard, nc)
		nc.Close()
	}
	client := signed.Client()
	client.Transport.(*http.Transport).DisableKeepAlives = true
	for range attempts {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+tcp.Addr().String()+"/x", nil) // POST, because the client does not repeat a failed POST
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := client.Do(req); err == nil {
			t.Fatalf("the handler panicked, but the client got the answer %v", resp)
		}
	}
	entries, _ := log.Since(0)
	found := make(map[string]int)
	for _, e := range entries {
		text, _ := e.Fields["error"].(string)
		if e.Fields["address"] != tcp.Addr().String() {
			t.Errorf("a log entry has another address: %+v", e)
		}
		switch {
		case strings.HasPrefix(text, "TLS handshake error from 127.0.0.1:") && strings.Contains(text, "tls: first record does not look like a TLS handshake"):
			found["handshake, "+e.Level]++
		case strings.HasPrefix(text, "panic serving 127.0.0.1:") && strings.Contains(text, "on purpose: /x\ngoroutine "):
			found["panic, "+e.Level]++
		default:
			t.Errorf("another entry: %+v", e)
		}
	}
	for _, kind := range []string{"handshake, warn", "panic, error"} {
		// Ten entries a minute are logged. If the test takes minutes, more are logged.
		if n := found[kind]; n < 10 || n > attempts/2 {
			t.Errorf("%s: %d of %d events were logged", kind, n, attempts)
		}
	}
}
