package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const goodTopology = `networks:
  - {id: blue, vlan: 1}
  - {id: green, vlan: 2}
routers:
  - id: r1
    interfaces:
      - {id: r1-blue, network: blue, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24]}
      - {id: r1-green, network: green, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24]}
ports:
  - {id: vm1, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10]}
  - {id: vm2, network: green, mac: "02:00:00:00:02:10", addresses: [10.0.2.10]}
`

// inDir makes a directory with files and enters it.
func inDir(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range files {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRun(t *testing.T) {
	inDir(t, map[string]string{
		"good.yaml":    goodTopology,
		"bad.yaml":     "networks:\n  - {id: blue, vlan: 5000}\n  - {id: blue, mtu: 1}\n",
		"warn.yaml":    "networks: [{id: blue}]\n",
		"config.yaml":  "topology: good.yaml\nlog-level: loud\n",
		"config2.yaml": "topologie: x\nmetrics: [1]\nconfig: again\n",
		"config3.yaml": "- a list\n",
	})
	tests := []struct {
		args     string
		status   int
		out, err string // substrings
	}{
		{"", 0, "Available Commands", ""},
		{"version", 0, "ofdvr ", ""},
		{"--version", 0, "ofdvr ", ""},
		{"-v", 0, "ofdvr ", ""},
		{"nonsense", 64, "", "unknown command"},
		{"check", 64, "", "requires at least 1 arg"},
		{"check good.yaml", 0, "good.yaml: ok: 2 networks, 1 router, 2 ports", ""},
		{"check warn.yaml", 0, "ok", "warn.yaml:1:"},
		{"check bad.yaml good.yaml", 1, "good.yaml: ok", "bad.yaml:2:22: networks[0].vlan: "},
		{"check bad.yaml", 1, "", "bad.yaml:3:"},
		{"check none.yaml", 1, "", "no such file"},
		{"compile good.yaml", 0, "# bridge rb-r1, router r1\n", ""},
		{"compile good.yaml --ports pr-r1-blue=7", 0, "in_port=7,", ""},
		{"compile good.yaml --ports pr-r1-blue=x", 1, "", "want a port number"},
		{"compile bad.yaml", 1, "", "bad.yaml:2:22"},
		{"completion bash", 0, "bash completion", ""},
		{"status --api unix:" + filepath.Join(t.TempDir(), "none"), 1, "", "does the daemon run"},
		{"status --api tcp:1", 1, "", "want unix:PATH"},
		{"status -o xml", 64, "", "want table or json"},
		{"serve --state-dir=", 64, "", "use --topology FILE"},
		{"serve --topology good.yaml --log-level loud", 1, "", "want debug, info"},
		{"serve --topology good.yaml --log-format xml", 1, "", "want console or json"},
		{"serve --state-dir . --run-dir . --topology good.yaml --openflow 6653", 1, "", "want tcp:ADDRESS:PORT"},
		{"serve --state-dir . --run-dir . --topology good.yaml --openflow ssl:127.0.0.1:0", 1, "", "needs --private-key"},
		{"serve --state-dir . --run-dir . --topology good.yaml --ovsdb /run/db.sock", 1, "", "invalid OVSDB endpoint"},
		{"serve --config config.yaml", 1, "", "want debug, info"},
		{"serve --config config.yaml --log-level info --log-format xml", 1, "", "want console or json"},
		{"serve --config config2.yaml", 1, "", "config2.yaml:1:1: topologie: unknown key"},
		{"serve --config config2.yaml", 1, "", "config2.yaml:2:1: metrics: want a single value"},
		{"serve --config config2.yaml", 1, "", "config2.yaml:3:1: config: unknown key"},
		{"serve --config config3.yaml", 1, "", "want a mapping"},
		{"serve --config none.yaml", 1, "", "read configuration"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var out, errOut strings.Builder
			status := run(t.Context(), strings.Fields(tt.args), &out, &errOut)
			if status != tt.status || !strings.Contains(out.String(), tt.out) || !strings.Contains(errOut.String(), tt.err) {
				t.Errorf("run = %d, want %d\nout: %s\nwant %q in it\nerr: %s\nwant %q in it",
					status, tt.status, out.String(), tt.out, errOut.String(), tt.err)
			}
		})
	}
}
