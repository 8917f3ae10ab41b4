package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A writer writes ports by the APIs of a fleet's daemons, which share their intent in etcd. It knows the
// values that each port may have in etcd: the last answered one, and those of later writes without an
// answer. After a write without an answer it leaves the port alone, because the write may happen later.
type writer struct {
	f       *fleet
	rand    *rand.Rand
	count   int // of values so far
	answers int // of writes, so far
	silence int // number of writes that were refused or not answered
	ports   int // of ports so far
	current []string
	may     map[string][]string // values by port; "" if the port does not exist
}

// answerTime is the time limit for an answer of a daemon.
const answerTime = 3 * time.Second

func newWriter(f *fleet) *writer { return &writer{f: f, may: make(map[string][]string)} }

// run writes until ctx is done.
func (w *writer) run(ctx context.Context) error {
	for {
		wait := 20 // packets
		if err := w.write(ctx); err != nil {
			w.silence++
			wait = 100
		}
		if err := w.f.mesh.passes(ctx, wait); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// write writes a port. The error is why there is no answer.
func (w *writer) write(ctx context.Context) error {
	for len(w.current) < 6 {
		w.ports++
		id := fmt.Sprint("w", w.ports)
		w.current, w.may[id] = append(w.current, id), []string{""}
	}
	at := w.rand.IntN(len(w.current))
	id, value, method := w.current[at], "", http.MethodDelete
	var body io.Reader
	if w.may[id][0] == "" || w.rand.IntN(4) > 0 {
		w.count++
		value, method, body = fmt.Sprint("value ", w.count), http.MethodPut, strings.NewReader(w.body(id, fmt.Sprint("value ", w.count)))
	}
	s := w.f.hosts[w.rand.IntN(len(w.f.hosts))]
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, method, "http://ofdvr/v1/ports/"+id, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.HTTPUnix(apiSocket).Do(req)
	if op := new(net.OpError); errors.As(err, &op) && op.Op == "dial" {
		return err // nothing was written
	}
	if err == nil {
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode < 300 {
			w.may[id] = []string{value}
			w.answers++
			return nil
		}
		err = fmt.Errorf("%s %s on host %s: %s: %s", method, id, s.name, resp.Status, text)
	}
	w.may[id] = append(w.may[id], value)
	w.current = slices.Delete(w.current, at, at+1)
	return err
}

// body returns a port without a machine, whose expected host depends on the value.
func (w *writer) body(id, value string) string {
	var n int
	fmt.Sscanf(id, "w%d", &n)
	text, _ := json.Marshal(map[string]any{ // cannot fail
		"id": id, "network": networkID(1 + n%meshNetworks), "mac": fmt.Sprintf("02:00:00:01:%02x:%02x", n>>8, n&0xff),
		"addresses": []string{fmt.Sprintf("10.0.%d.%d", 1+n%meshNetworks, 30+n/meshNetworks)}, "host": hostID(w.count % len(w.f.hosts)), "description": value,
	})
	return string(text)
}

// check returns an error unless etcd has a value of each port that it may have.
func (w *writer) check(ctx context.Context) error {
	m, err := w.f.etcd.intent(ctx)
	if err != nil {
		return err
	}
	has := make(map[string]string)
	for i := range m.Ports {
		if meta := m.Ports[i].Meta; meta != nil {
			has[m.Ports[i].ID] = meta.Description
		}
	}
	for id, may := range w.may {
		if !slices.Contains(may, has[id]) {
			return fmt.Errorf("port %s has %q in etcd, but the answers allow only %q", id, has[id], may)
		}
	}
	return nil
}
