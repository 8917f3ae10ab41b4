package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// If a limit has refused or ended a request or connection, the status and the doctor name the limit
// and a remedy. This is no problem of the routers, which stay ready.
func TestStatusNamesLimits(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks, "--state-dir", t.TempDir(), "--max-unidentified", "4")
	for range 8 {
		s.peer()
	}
	for range 130 {
		nc, err := s.Dial(t.Context(), "tcp", "127.0.0.1:9476")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		fmt.Fprint(nc, "GET /v1/watch HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://localhost/v1/ports/p", bytes.NewReader(make([]byte, 2<<20)))
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := s.client("unix", "/run/ofdvr/api.sock").Do(req); err == nil { // an error means that the request was cut off
		resp.Body.Close()
	}
	for _, limit := range []struct{ says, by, remedy string }{
		{"closed the oldest of too many connections that have not completed the OpenFlow handshake: ", "(peer 127.0.0.1)", "see what connects"},
		{"a watcher was refused, because there are too many: 2 times since ", "(a client of 127.0.0.1:9476)", "close pages"},
		{"a request with a body that is too long was refused: once, at ", "(a client of /run/ofdvr/api.sock)", "send fewer objects"},
	} {
		named := func(out, before, between string) error {
			for line := range strings.Lines(strings.ReplaceAll(out, "\n         → ", between)) {
				if strings.HasPrefix(line, before+limit.says) && strings.Contains(line, limit.by+between+limit.remedy) {
					return nil
				}
			}
			return fmt.Errorf("no line has %q and %q:\n%s", limit.says, limit.remedy, out)
		}
		s.eventually("the status to name the limit", func() error { return named(s.ofdvr(0, "status"), "warning: ", "; ") })
		s.eventually("the doctor to name the limit", func() error { return named(s.ofdvr(0, "doctor"), "note     limits: ", " → ") })
	}
	if st := s.status(); !st.Settled || len(st.Problems) > 0 {
		t.Errorf("the status is %+v", st)
	}
}
