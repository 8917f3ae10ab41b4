// Package examples contains examples for users. Its test runs the commands in each
// example's README.md.
package examples

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

func TestReadmes(t *testing.T) {
	for _, tt := range []struct {
		dir  string
		want []string // substrings of the output, in this order
	}{
		{"two-networks", []string{
			"ok: 2 networks, 1 router, 2 ports", "settled  yes", "ttl=63", " 0% packet loss", "removed Bridge rb-r1",
		}},
		{"api", []string{
			"port/vm2 created", "ttl=63", " 0% packet loss", "WHAT IT DOES", `"op":"created"`, `"applied":true`, "vm3   green", "port/vm3 deleted",
			"settled  yes", "Programmed:  yes", "router/r1 deleted", "Open vSwitch has no objects of ofdvr",
		}},
		{"external-bridge", []string{"settled  yes", "ttl=63", " 0% packet loss"}},
		{"mininet", []string{"h1 -> h2: ttl=64", "h1 -> h3: ttl=63", "all 12 pings"}},
	} {
		t.Run(tt.dir, func(t *testing.T) {
			if tt.dir == "mininet" {
				lab.Needs(t, "mn")
			}
			h := lab.Boot(t)
			out := runScript(t, h, readScript(t, tt.dir), "sh", "-exc")
			at := 0
			for _, want := range tt.want {
				i := strings.Index(out[at:], want)
				if i < 0 {
					t.Fatalf("%q is missing or out of order in\n%s", want, out)
				}
				at += i + len(want)
			}
			if got := lab.Run(t, h, "ovs-vsctl", "list-br"); got != "br-int\n" {
				t.Errorf("bridges are left: %q", got)
			}
			if got := lab.Run(t, h, "ovs-vsctl", "list-ports", "br-int"); got != "" {
				t.Errorf("ports are left: %q", got)
			}
			if got := lab.Run(t, h, "ip", "netns"); got != "" {
				t.Errorf("namespaces are left: %q", got)
			}
		})
	}
}

// readScript returns the shell commands in a README.md.
func readScript(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i, part := range strings.Split(string(data), "\n```") {
		if code, ok := strings.CutPrefix(part, "sh\n"); ok && i%2 == 1 {
			b.WriteString(code + "\n")
		}
	}
	if b.Len() == 0 {
		t.Fatalf("%s/README.md has no commands", dir)
	}
	return b.String()
}

// runScript runs script with shell in the top directory of the repository, with ofdvr in PATH, and
// returns its output.
func runScript(t *testing.T, h *lab.Host, script string, shell ...string) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := lab.Binary()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(bin, "ofdvr")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	env := []string{"--chdir=" + root, "PATH=" + bin + ":" + os.Getenv("PATH"), "LC_ALL=C"}
	cmd := h.Command(ctx, "env", slices.Concat(env, shell, []string{script})...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	return string(out)
}

func TestTopologies(t *testing.T) {
	lab.Require(t) // for the program
	h, err := lab.NewHost(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	files, err := filepath.Glob("*/*.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("topology files: %q, %v", files, err)
	}
	for _, name := range files {
		path, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := h.Ofdvr(t.Context(), "check", path); err != nil || !strings.Contains(out, ": ok: ") {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}
