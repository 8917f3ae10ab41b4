package bounded

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const limit = 20 * time.Second // longest wait for a condition

// testLimits returns limits that are so large that no test reaches them, except those that it
// lowers.
func testLimits() Limits {
	return Limits{Answer: 8 << 20, Held: 16 << 20, Patience: limit, Rate: 1 << 10, Refuse: func(w http.ResponseWriter, status int, detail string) { http.Error(w, detail, status) }, Limited: func(string) {}}
}

// tally counts refused and disconnected clients by reason.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *tally) limited(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]int)
	}
	c.n[reason]++
}

// of returns the count for a reason.
func (c *tally) of(reason string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[reason]
}

// serve serves h until the test ends, with a limit of 1000 connections. It returns the address.
func serve(t *testing.T, h http.Handler) string { return serveTo(t, h, &Connections{Most: 1000}) }

// serveTo is serve with the given limits.
func serveTo(t *testing.T, h http.Handler, c *Connections) string {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ConnState = c.State // httptest wraps it
	s.Config.WriteTimeout = limit
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// A client is an HTTP client with one connection.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetReadDeadline(time.Now().Add(limit))
	return &client{nc, t, bufio.NewReader(nc)}
}

func (c *client) ask(path string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads a response. The error is the error of reading its body.
func (c *client) answer() (int, string, error) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// want reads a response, which must have the given status and text.
func (c *client) want(status int, text string) {
	c.t.Helper()
	if s, got, err := c.answer(); s != status || !strings.Contains(got, text) || err != nil {
		c.t.Errorf("got response %d, error %v: %.200s; want %d, %.200s", s, err, got, status, text)
	}
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func (a *Answers) bytes() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held
}

// Requests that arrive while an answer is being written share the next answer. Therefore the
// answer to a request is never older than the request.
func TestSameRequestsShareAnAnswer(t *testing.T) {
	a := New(testLimits())
	var made atomic.Int32
	began, goOn := make(chan struct{}, 1), make(chan struct{})
	l := a.One(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := made.Add(1)
		began <- struct{}{}
		<-goOn
		w.Header().Set("Content-Type", "x/y")
		fmt.Fprintf(w, "%s %d", r.URL.Path, n)
	}), 0).(*line)
	addr := serve(t, l)
	first := dial(t, addr)
	first.ask("/a")
	<-began
	var others []*client
	for range 50 {
		c := dial(t, addr)
		c.ask("/a")
		others = append(others, c)
	}
	until(t, "all requests", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		n := 0
		for _, an := range l.next {
			n += len(an.readers)
		}
		return n == len(others)
	})
	close(goOn)
	first.want(200, "/a 1")
	for _, c := range others {
		c.want(200, "/a 2")
	}
	until(t, "the memory to be freed", func() bool { return a.bytes() == 0 })
}

// If a new answer does not fit into memory, the slow readers of the oldest answer are disconnected.
func TestOldestAnswerMakesRoom(t *testing.T) {
	l := testLimits()
	var count tally
	l.Answer, l.Held, l.Limited = 4<<20, 6<<20, count.limited
	a := New(l)
	body := bytes.Repeat([]byte("x"), 4<<20)
	addr := serve(t, a.One(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }), 0))
	mute := dial(t, addr)
	mute.ask("/")
	until(t, "the answer to be read", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.made) == 1
	})
	c := dial(t, addr)
	c.ask("/")
	c.want(200, string(body[:100]))
	if _, text, err := mute.answer(); err == nil {
		t.Errorf("the slow client got %d bytes", len(text))
	}
	until(t, "the memory to be freed", func() bool { return a.bytes() == 0 })
	if count.of(ReasonResponseMemory) != 1 {
		t.Errorf("counted %v", count.n)
	}
}

// A client that does not read is disconnected.
func TestSlowClient(t *testing.T) {
	l := testLimits()
	var count tally
	l.Patience, l.Limited = 50*time.Millisecond, count.limited
	a := New(l)
	body := bytes.Repeat([]byte("x"), 4<<20)
	write := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) })
	failed := make(chan error, 1)
	for name, h := range map[string]http.Handler{
		"shared": a.One(write, 0),
		"direct": Patient(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := w.Write(body)
			failed <- err
		}), l.Patience, count.limited),
	} {
		c := dial(t, serve(t, h))
		c.ask("/")
		if name == "direct" {
			if err := <-failed; err == nil {
				t.Error("the whole response was written")
			}
		} else {
			until(t, "the answer to begin", func() bool { return a.bytes() > 0 })
			until(t, "the memory to be freed", func() bool { return a.bytes() == 0 })
		}
		if _, text, err := c.answer(); err == nil {
			t.Errorf("%s: the slow client got %d bytes", name, len(text))
		}
	}
	if count.of(ReasonReadTimeout) != 2 {
		t.Errorf("counted %v", count.n)
	}
}

// A request is refused if its response is too large, fails, or does not start in time. A client is
// refused if too many clients wait.
func TestRefusals(t *testing.T) {
	l := testLimits()
	var count tally
	l.Answer, l.Patience, l.Limited = 1<<20, 100*time.Millisecond, count.limited
	a := New(l)
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	defer close(hold)
	mux := http.NewServeMux()
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, l.Answer+1)) })
	mux.HandleFunc("/panic", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/none", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/gone", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusGone) })
	mux.HandleFunc("/hold", func(http.ResponseWriter, *http.Request) { held <- struct{}{}; <-hold })
	addr := serve(t, a.One(mux, 0))
	for path, want := range map[string]string{"/large": "503 larger than the 1 MiB", "/none": "200 ", "/gone": "410 gone", "/nothing": "404 not found"} {
		c := dial(t, addr)
		c.ask(path)
		status, text, _ := strings.Cut(want, " ")
		c.want(map[string]int{"503": 503, "200": 200, "410": 410, "404": 404}[status], text)
	}
	bad := dial(t, addr)
	bad.ask("/panic")
	if _, _, err := bad.answer(); err == nil {
		t.Error("a failed handler sent a response")
	}
	dial(t, addr).ask("/hold")
	<-held
	c := dial(t, addr)
	c.ask("/gone")
	c.want(503, "too many requests are waiting")
	if count.of(ReasonResponseTooLarge) != 1 || count.of(ReasonQueueTimeout) != 1 {
		t.Errorf("counted %v", count.n)
	}
	some := serve(t, a.AtMost(1, mux))
	dial(t, some).ask("/hold")
	<-held // wait until this client holds its place, so that the next client does not get it
	c = dial(t, some)
	c.ask("/gone")
	c.want(503, "too many clients")
}

// A new connection is always served. If there are too many, idle connections are closed first, then
// connections in use, both in order of age.
func TestConnections(t *testing.T) {
	hold, began := make(chan struct{}), make(chan struct{}, 10)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("/hold", func(w http.ResponseWriter, _ *http.Request) {
		began <- struct{}{}
		<-hold
		fmt.Fprint(w, "held")
	})
	var count tally
	c := &Connections{Most: 4, Limited: count.limited}
	addr := serveTo(t, mux, c)
	inUse := func(n int) func() bool {
		return func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			active := 0
			for _, u := range c.open {
				if u.active {
					active++
				}
			}
			return active == n
		}
	}
	closed := func(c *client, what string) {
		t.Helper()
		if _, err := c.r.ReadByte(); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: %v", what, err)
		}
	}
	var busy, idle []*client
	for range 2 {
		c := dial(t, addr)
		c.ask("/hold")
		<-began
		busy = append(busy, c)
	}
	for range 20 {
		c := dial(t, addr)
		c.ask("/")
		c.want(200, "ok")
		until(t, "the connection to be idle", inUse(len(busy)))
		idle = append(idle, c)
	}
	for _, c := range idle[:18] {
		closed(c, "an old idle connection")
	}
	for range 3 {
		c := dial(t, addr)
		c.ask("/hold")
		<-began
		busy = append(busy, c)
	}
	closed(busy[0], "the oldest connection in use")
	if count.of(ReasonTooManyConnections) != 21 {
		t.Errorf("counted %v", count.n)
	}
	close(hold)
	for _, c := range busy[1:] {
		c.want(200, "held")
	}
}

// deadlines is a ResponseWriter that records its read deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	read []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = append(d.read, t)
	return nil
}

// A body must arrive in time. The request itself may take longer.
func TestDeadlineEndsWithTheBody(t *testing.T) {
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	bodies := NewBodies(BodyLimits{Held: 1 << 20, Time: time.Minute, Start: time.Minute, Rate: 1})
	b, err := bodies.Receive(t.Context(), w, httptest.NewRequest("PUT", "/", strings.NewReader("text")), 1<<10)
	if err != nil || string(b.Text()) != "text" {
		t.Fatal(b, err)
	}
	if len(w.read) < 2 || w.read[0].IsZero() || !w.read[len(w.read)-1].IsZero() {
		t.Errorf("the deadlines were %v, want one for the body and none at the end", w.read)
	}
}
