package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller/api"
)

// A watcher reads a stream of events.
type watcher struct {
	t    *testing.T
	body io.ReadCloser
	r    *bufio.Reader
}

func (s *server) watch(t *testing.T, query string) *watcher {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/watch?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	return &watcher{t, resp.Body, bufio.NewReader(resp.Body)}
}

// next returns the lines of the next event, without comments.
func (w *watcher) next() string {
	w.t.Helper()
	var lines []string
	for {
		line, err := w.r.ReadString('\n')
		if err != nil {
			w.t.Fatal(err)
		}
		switch line = strings.TrimSuffix(line, "\n"); {
		case strings.HasPrefix(line, ":"):
		case line != "":
			lines = append(lines, line)
		case lines != nil:
			return strings.Join(lines, "\n")
		}
	}
}

// The stream has every change once and in order. A client that continues from the id of an event
// misses no event and sees none twice.
func TestWatch(t *testing.T) {
	s := filled(t)
	w := s.watch(t, "since=2")
	want := []string{
		"event: router-created\ndata: {\"revision\":3,\"kind\":\"router\",\"id\":\"r1\",\"op\":\"created\",\"object\":{\"id\":\"r1\"," + r1[1:] + "}\nid: 3",
		"event: port-created\ndata: {\"revision\":4,\"kind\":\"port\",\"id\":\"vm1\",\"op\":\"created\",\"object\":{\"id\":\"vm1\"," + vm1[1:] + "}\nid: 4",
	}
	for _, e := range want {
		if got := w.next(); got != e {
			t.Errorf("got  %s\nwant %s", got, e)
		}
	}
	now := s.watch(t, "")
	ports := s.watch(t, "since=4&kind=port")
	s.must(200, "DELETE", "/v1/networks/blue?cascade=true", "")
	s.must(201, "PUT", "/v1/networks/blue", `{}`)
	for i, w := range []*watcher{w, now} {
		for _, e := range []string{
			"event: port-deleted\ndata: {\"revision\":5,\"kind\":\"port\",\"id\":\"vm1\",\"op\":\"deleted\"}",
			"event: router-updated\n", "event: network-deleted\ndata: {\"revision\":5,\"kind\":\"network\",\"id\":\"blue\",\"op\":\"deleted\"}\nid: 5",
			"event: network-created\n",
		} {
			if got := w.next(); !strings.HasPrefix(got, e) {
				t.Errorf("watcher %d: got %s\nwant %s", i, got, e)
			}
		}
	}
	for _, e := range []string{"event: port-deleted\n", "id: 5", "id: 6"} {
		if got := ports.next(); !strings.HasPrefix(got, e) {
			t.Errorf("got %s\nwant %s", got, e)
		}
	}
	for query, status := range map[string]int{"since=99": 410, "since=x": 422, "kind=house": 422} {
		s.must(status, "GET", "/v1/watch?"+query, "").problem(t)
	}
	again := s.ask("GET", "/v1/watch?since=1", "", "Last-Event-ID", "99")
	if again.status != 410 {
		t.Errorf("Last-Event-ID counts for nothing: %d", again.status)
	}
}

// Client.Watch passes the events of the stream to its caller. It returns an error if events were
// missed.
func TestClientWatches(t *testing.T) {
	s := filled(t)
	path := s.listenUnix()
	c, err := api.NewClient(api.Endpoint("unix:"+path), api.Access{})
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	var got []string
	resume, err := c.Watch(t.Context(), url.Values{"since": {"1"}}, func(e api.Event) error {
		if got = append(got, fmt.Sprint(e.Revision, e.Kind, e.ID, e.Op)); len(got) == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || resume != "3" || fmt.Sprint(got) != "[2networkgreencreated 3routerr1created 4portvm1created]" {
		t.Errorf("%v, %v", got, err)
	}
	var p *api.Problem
	if _, err := c.Watch(t.Context(), url.Values{"since": {"99"}}, nil); !errors.As(err, &p) || p.Status != 410 {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Watch(ctx, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Watchers that read slowly or not at all delay neither writers nor other watchers. A
// watcher that falls behind gets the event compacted.
func TestStuckWatchers(t *testing.T) {
	api.SetWatchWrite(t, time.Hour) // a writer blocked by a watcher would wait for the whole test
	s := fill(serveWith(t, nil, 4_000))
	path := s.listenUnix() // a Unix socket has small buffers
	dial := func() net.Conn {
		nc, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		fmt.Fprintf(nc, "GET /v1/watch?since=4 HTTP/1.1\r\nHost: x\r\n\r\n")
		return nc
	}
	for range 50 {
		dial() // and read nothing
	}
	late := dial()
	quick := s.watch(t, "since=4")
	const rounds, ports = 10, 1_000 // together more changes than the history keeps
	body := func(round int) string {
		var b strings.Builder
		b.WriteString(`{"put":{"ports":[`)
		for i := range ports {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"id":"p%d","network":"blue","mac":"02:00:00:%02x:%02x:%02x"}`, i, round+16, i>>8, i&0xff)
		}
		b.WriteString(`]}}`)
		return b.String()
	}
	for round := range rounds {
		s.must(200, "PATCH", "/v1/topology", body(round))
		for n := range ports {
			if e := quick.next(); strings.HasPrefix(e, "event: compacted") {
				t.Fatalf("a watcher that reads everything missed an event after %d events of round %d: %s", n, round, e)
			}
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(late), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	slow := &watcher{t, resp.Body, bufio.NewReader(resp.Body)}
	for n := 0; ; n++ {
		if e := slow.next(); strings.HasPrefix(e, "event: compacted") {
			if n == 0 || n >= rounds*ports {
				t.Errorf("compacted after %d events", n)
			}
			return
		}
	}
}
