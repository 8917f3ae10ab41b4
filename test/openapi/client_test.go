// Package openapi_test checks the API's description: a public generator makes a client from it, and
// the client must work with a daemon.
package openapi_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// TestGeneratedClient generates a client with oapi-codegen, from the description that a daemon
// serves, and uses it with that daemon. The version of the generator is in testdata/client/go.mod.
// The first run downloads and builds it.
func TestGeneratedClient(t *testing.T) {
	socket := daemon(t)
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		data, err := os.ReadFile(filepath.Join("testdata/client", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), description(t, socket), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "api"), 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, dir, "go", "tool", "oapi-codegen", "-package", "api", "-generate", "types,client", "-o", "api/client.gen.go", "openapi.json")
	command(t, dir, "go", "build", "-o", "client", ".") // it may download modules, and says so
	if out := command(t, dir, filepath.Join(dir, "client"), socket); out != "ok\n" {
		t.Errorf("the client says %s", out)
	}
}

// command runs a command in dir, and returns its output.
func command(t *testing.T, dir string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// description returns the description in OpenAPI 3.0, which generators understand best.
func description(t *testing.T, socket string) []byte {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	resp, err := client.Get("http://ofdvr/v1/openapi-3.0.json")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", resp.Status, err, text)
	}
	return text
}

// daemon starts a daemon without Open vSwitch that ends with the test, and returns the
// path of its API's socket.
func daemon(t *testing.T) string {
	t.Helper()
	binary, err := lab.Binary()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "openapi-") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "api.sock")
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(binary, "serve", "--ovsdb=", "--metrics=", "--openflow=punix:"+filepath.Join(dir, "openflow.sock"),
		"--state-dir="+filepath.Join(dir, "state"), "--run-dir="+filepath.Join(dir, "run"), "--api=unix:"+socket, "--api-group=")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait() // ignores the exit status of the daemon
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the daemon's log:\n%s", text)
		}
	})
	lab.Eventually(t, time.Minute, "the daemon to serve its API", func() error {
		nc, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		return nc.Close()
	})
	return socket
}
