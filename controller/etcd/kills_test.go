package etcd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A killable is a daemon of a host without Open vSwitch.
type killable struct {
	args   []string
	client *http.Client

	mu  sync.Mutex
	cmd *exec.Cmd
}

// newKillable starts a daemon.
func newKillable(t *testing.T, binary, host string, endpoints []string) *killable {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "api.sock")
	d := &killable{args: []string{binary, "serve", "--host", host, "--etcd", strings.Join(endpoints, ","), "--ovsdb", "", "--openflow", "punix:" + filepath.Join(dir, "of.sock"),
		"--api", "unix:" + socket, "--metrics", "", "--state-dir", filepath.Join(dir, "state"), "--run-dir", filepath.Join(dir, "run")}}
	d.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	d.start(t)
	t.Cleanup(d.kill)
	return d
}

func (d *killable) start(t *testing.T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cmd = exec.Command(d.args[0], d.args[1:]...)
	d.cmd.Stderr = os.Stderr
	if !testing.Verbose() {
		d.cmd.Stderr = nil
	}
	if err := d.cmd.Start(); err != nil {
		t.Error(err)
	}
}

// kill kills the daemon at once.
func (d *killable) kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cmd.Process.Kill()
	d.cmd.Wait()
}

// ask returns the status and the text of an answer. The status is 0 without an answer.
func (d *killable) ask(method, path, body string) (int, string) {
	req, err := http.NewRequest(method, "http://ofdvr"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, err.Error()
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// Daemons are killed while their clients write through them. Each answered write is there, and none is
// half there: a write changes two ports. make test-full makes 10,000 writes. The seed selects the times and the daemons.
func TestKills(t *testing.T) {
	t.Parallel()
	const daemons, writers, pairs = 3, 6, 5
	writes, every := 400, 40 // a daemon is killed after this number of writes
	if lab.Full() {
		writes, every = 10_000, 250
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("OFDVR_SEED"); text != "" {
		fmt.Sscan(text, &seed)
	}
	t.Logf("seed %d", seed)
	e := cluster(t, 3)
	binary, err := lab.Binary()
	if err != nil {
		t.Fatal(err)
	}
	var all []*killable
	for i := range daemons {
		all = append(all, newKillable(t, binary, fmt.Sprint("h", i+1), e.Endpoints))
	}
	lab.Eventually(t, 2*time.Minute, "the network to be written", func() error {
		if status, text := all[0].ask("PATCH", "/v1/topology", `{"put": {"networks": [{"id": "blue", "vlan": 1}]}}`); status/100 != 2 {
			return fmt.Errorf("%d: %s", status, text)
		}
		return nil
	})
	for _, d := range all {
		lab.Eventually(t, 2*time.Minute, "each daemon to have the network", func() error {
			if status, text := d.ask("GET", "/v1/networks/blue", ""); status != http.StatusOK {
				return fmt.Errorf("%d: %s", status, text)
			}
			return nil
		})
	}

	var wait sync.WaitGroup
	var done, answered atomic.Int64
	kill := make(chan struct{}, writes)
	tried, sure := make([][pairs]int, writers), make([][pairs]int, writers) // numbers of the last writes
	for w := range writers {
		wait.Go(func() {
			for n := 1; done.Add(1) <= int64(writes); n++ {
				pair := n % pairs
				var ports []string
				for half := range 2 {
					octet := (w*pairs+pair)*2 + half
					ports = append(ports, fmt.Sprintf(`{"id": "w%d-%d-%d", "network": "blue", "mac": "02:00:00:00:00:%02x", "addresses": ["10.0.%d.%d"], "description": "%d"}`, w, pair, half, octet, n%200, octet+1, n))
				}
				tried[w][pair] = n
				switch status, _ := all[w%daemons].ask("PATCH", "/v1/topology", `{"put": {"ports": [`+strings.Join(ports, ",")+`]}}`); {
				case status/100 == 2:
					sure[w][pair] = n
					answered.Add(1)
				case status != 0 && status != http.StatusServiceUnavailable && status != http.StatusGatewayTimeout:
					t.Errorf("write %d of writer %d was answered with %d", n, w, status)
				default: // the daemon was killed; it starts again
					lab.Eventually(t, 2*time.Minute, "the daemon to have the network", func() error {
						if status, text := all[w%daemons].ask("GET", "/v1/networks/blue", ""); status != http.StatusOK {
							return fmt.Errorf("%d: %s", status, text)
						}
						return nil
					})
				}
				if done.Load()%int64(every) == 0 {
					kill <- struct{}{}
				}
			}
		})
	}
	killed := make(chan int)
	go func() {
		random, kills := rand.New(rand.NewPCG(seed, 0)), 0
		for range kill {
			d := all[random.IntN(daemons)]
			d.kill()
			d.start(t)
			kills++
		}
		killed <- kills
	}()
	wait.Wait()
	close(kill)
	kills := <-killed
	t.Logf("%d writes, %d answered, %d kills", writes, answered.Load(), kills)
	if kills == 0 || answered.Load() < int64(writes/2) {
		t.Errorf("%d kills, and %d of %d writes were answered", kills, answered.Load(), writes)
	}
	for i, d := range all {
		lab.Eventually(t, 2*time.Minute, fmt.Sprintf("daemon %d to have all answered writes", i+1), func() error {
			status, text := d.ask("GET", "/v1/topology", "")
			var m struct {
				Ports []struct{ ID, Description string }
			}
			if err := json.Unmarshal([]byte(text), &m); status != http.StatusOK || err != nil {
				return fmt.Errorf("%d: %s", status, text)
			}
			has := make(map[string]int)
			for _, p := range m.Ports {
				var n int
				fmt.Sscan(p.Description, &n)
				has[p.ID] = n
			}
			for w := range writers {
				for pair := range pairs {
					a, b := has[fmt.Sprintf("w%d-%d-0", w, pair)], has[fmt.Sprintf("w%d-%d-1", w, pair)]
					if a != b || a < sure[w][pair] || a > tried[w][pair] {
						return fmt.Errorf("writer %d, pair %d: the ports have writes %d and %d; answered up to %d, tried up to %d", w, pair, a, b, sure[w][pair], tried[w][pair])
					}
				}
			}
			return nil
		})
	}
}
