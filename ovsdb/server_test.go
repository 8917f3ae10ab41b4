package ovsdb_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ofdvr/ofdvr/ovsdb"
)

const schemaFile = "/usr/share/openvswitch/vswitch.ovsschema"

// A server is a real ovsdb-server with its own database.
type server struct {
	t      *testing.T
	dir    string
	socket string
	proc   *exec.Cmd
}

// startServer starts ovsdb-server with an empty database for the duration of the test. The
// test fails if a goroutine remains at its end.
func startServer(t *testing.T) *server {
	t.Helper()
	for _, p := range []string{"ovsdb-server", "ovsdb-tool", "ovsdb-client", "ovs-vsctl"} {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, "%s is not installed", p)
		}
	}
	if _, err := os.Stat(schemaFile); err != nil {
		missing(t, "the schema of Open vSwitch: %v", err)
	}
	t.Cleanup(func() { goleak.VerifyNone(t, goleak.IgnoreCurrent()) })
	dir := t.TempDir()
	s := &server{t: t, dir: dir, socket: filepath.Join(dir, "db.sock")}
	if len(s.socket) > 100 { // a socket's path has at most 107 bytes (unix(7), sun_path)
		d, err := os.MkdirTemp("", "ovsdb")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(d) })
		s.socket = filepath.Join(d, "db.sock")
	}
	s.reset()
	t.Cleanup(s.stop)
	s.start()
	s.vsctl("init")
	return s
}

func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func (s *server) db() string { return filepath.Join(s.dir, "conf.db") }

// reset replaces the database by an empty one. The server must not be running.
func (s *server) reset() {
	s.t.Helper()
	os.Remove(s.db())
	s.run("ovsdb-tool", "create", s.db(), schemaFile)
}

func (s *server) start() {
	s.t.Helper()
	os.Remove(s.socket)
	s.proc = exec.Command("ovsdb-server", "--remote=punix:"+s.socket, "--unixctl="+filepath.Join(filepath.Dir(s.socket), "ctl"),
		"--no-chdir", "-vconsole:err", "-vsyslog:off", s.db())
	s.proc.Stderr = os.Stderr
	if err := s.proc.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "ovsdb-server listens", func() bool {
		c, err := net.Dial("unix", s.socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *server) stop() {
	if s.proc != nil {
		s.proc.Process.Kill()
		s.proc.Wait()
		s.proc = nil
	}
}

func (s *server) run(name string, args ...string) string {
	s.t.Helper()
	out, err := s.try(name, args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *server) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", errors.New(strings.Join(cmd.Args, " ") + ": " + err.Error() + ": " + errs.String())
	}
	return out.String(), nil
}

func (s *server) vsctl(args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(s.run("ovs-vsctl", append([]string{"--db=unix:" + s.socket, "--no-wait", "--timeout=10"}, args...)...))
}

// dump returns the whole contents of the database.
func (s *server) dump() string {
	s.t.Helper()
	return s.run("ovsdb-client", "dump", "unix:"+s.socket)
}

// transactions returns the number of transactions in the server's log.
func (s *server) transactions() int {
	s.t.Helper()
	data, err := os.ReadFile(s.db())
	if err != nil {
		s.t.Fatal(err)
	}
	return bytes.Count(data, []byte("OVSDB JSON "))
}

// foreign returns the rows that we do not own, as sorted lines of JSON. It leaves out the
// ports column of the integration bridge, because that column also has our ports.
func (s *server) foreign() string {
	s.t.Helper()
	var lines []string
	for _, table := range []string{"Bridge", "Port", "Interface", "Controller", "Mirror"} {
		out := s.run("ovs-vsctl", "--db=unix:"+s.socket, "--no-wait", "--format=json", "list", table)
		var v struct {
			Headings []string
			Data     [][]any
		}
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			s.t.Fatal(err)
		}
		for _, row := range v.Data {
			line, _ := json.Marshal(row)
			if strings.Contains(string(line), ovsdb.KeyOwner) {
				continue
			}
			if strings.Contains(string(line), `"br-int"`) && table == "Bridge" {
				for i, h := range v.Headings {
					if h == "ports" {
						row[i] = nil
					}
				}
				line, _ = json.Marshal(row)
			}
			lines = append(lines, table+" "+string(line)+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// client runs a client of s for the duration of the test.
func (s *server) client() *ovsdb.Client {
	s.t.Helper()
	c, err := ovsdb.NewClient(ovsdb.Config{Endpoint: "unix:" + s.socket, Timeout: 10 * time.Second, Retry: 20 * time.Millisecond, Probe: 50 * time.Millisecond})
	if err != nil {
		s.t.Fatal(err)
	}
	runClient(s.t, c)
	wait(s.t, c)
	return c
}

func runClient(t *testing.T, c *ovsdb.Client) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v, want the cause of the context", err)
		}
	})
}

func wait(t *testing.T, c *ovsdb.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

// eventually polls until cond is true.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// until waits until the client's state satisfies cond. It checks after each change.
func until(t *testing.T, c *ovsdb.Client, what string, cond func(ovsdb.State, error) bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for !cond(c.State(t.Context())) {
		select {
		case <-c.Changed():
		case <-deadline:
			s, err := c.State(t.Context())
			t.Fatalf("not within a minute: %s; state %+v, error %v", what, s, err)
		}
	}
}

func apply(t *testing.T, c *ovsdb.Client, d ovsdb.Desired) ovsdb.Result {
	t.Helper()
	r, err := c.Apply(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
