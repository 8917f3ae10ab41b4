package main

import (
	"os"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/store"
)

// An export has the objects of the import. An empty import, or an import with errors, changes
// nothing.
func TestStoreCommands(t *testing.T) {
	inDir(t, map[string]string{
		"good.yaml":  goodTopology,
		"empty.yaml": "networks: []\n",
		"bad.yaml":   "networks: [{id: blue, vlan: 5000}]\n",
	})
	ofdvr := func(status int, args ...string) (string, string) {
		t.Helper()
		var out, errOut strings.Builder
		if got := run(t.Context(), append([]string{"store"}, append(args, "--state-dir", "state")...), &out, &errOut); got != status {
			t.Fatalf("ofdvr store %v exited with status %d, want %d\n%s%s", args, got, status, &out, &errOut)
		}
		return out.String(), errOut.String()
	}
	same := func() {
		t.Helper()
		if out, _ := ofdvr(0, "export"); out != goodTopology {
			t.Errorf("the store has\n%s", out)
		}
	}
	if out, _ := ofdvr(0, "import", "good.yaml"); !strings.HasSuffix(out, "intent.db: now has 2 networks, 1 router, 2 ports\n") {
		t.Errorf("import prints %q", out)
	}
	same()
	for name, says := range map[string]string{
		"empty.yaml": "ofdvr: import empty.yaml: nothing is declared, so everything would be deleted; use --allow-empty if that is meant\n",
		"bad.yaml":   "bad.yaml:1:29: networks[0].vlan: vlan 5000 is outside 1–4094\n",
		"none.yaml":  "read topology: open none.yaml: no such file or directory\n",
	} {
		if _, errOut := ofdvr(1, "import", name); !strings.HasSuffix(errOut, says) {
			t.Errorf("import %s printed %q, want %q", name, errOut, says)
		}
		same()
	}
	if out, _ := ofdvr(0, "check"); !strings.Contains(out, "intent.db: ok: schema version ") || !strings.HasSuffix(out, ", 2 networks, 1 router, 2 ports\n") {
		t.Errorf("check prints %q", out)
	}

	// While a daemon has the store open, the commands fail, and name the commands to use instead.
	s, err := store.Open("state")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"export"}, {"check"}, {"import", "good.yaml"}} {
		if _, errOut := ofdvr(1, args...); !strings.Contains(errOut, "the store is in use") || !strings.Contains(errOut, "end the process that uses it") {
			t.Errorf("%v prints %q", args, errOut)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	same()

	ofdvr(0, "import", "empty.yaml", "--allow-empty")
	if out, _ := ofdvr(0, "export"); strings.Contains(out, "blue") {
		t.Errorf("the store has\n%s", out)
	}
	if err := os.WriteFile("state/intent.db", []byte("this is not a store"), 0o600); err != nil {
		t.Fatal(err)
	}
	ofdvr(1, "check")
	ofdvr(1, "import", "good.yaml")
	if data, err := os.ReadFile("state/intent.db"); err != nil || string(data) != "this is not a store" {
		t.Errorf("the foreign file was overwritten: %q, %v", data, err)
	}
}
