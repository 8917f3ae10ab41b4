package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/test/lab"
)

var etcdPort atomic.Int32

// A clerk runs commands that work on etcd without a daemon. Its etcd is in the bubble.
type clerk struct {
	t      *testing.T
	etcd   *lab.Etcd
	binary string
	dir    string   // for files
	flags  []string // that follow each command about etcd
}

func newClerk(t *testing.T) *clerk {
	t.Helper()
	lab.Require(t)
	e, err := lab.StartEtcd(t.Context(), t.TempDir(), 1, 21000+int(etcdPort.Add(20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	binary, err := lab.Binary()
	if err != nil {
		t.Fatal(err)
	}
	return &clerk{t, e, binary, t.TempDir(), []string{"--etcd", e.Endpoints[0]}}
}

// file writes a file and returns its path.
func (c *clerk) file(name, text string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// ofdvr runs a command, which must exit with a status.
func (c *clerk) ofdvr(status int, args ...string) (out, errOut string) {
	c.t.Helper()
	var o, e bytes.Buffer
	cmd := exec.CommandContext(c.t.Context(), c.binary, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, &o, &e
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != status {
		c.t.Fatalf("ofdvr %s: %v, want status %d\n%s%s", strings.Join(args, " "), err, status, &o, &e)
	}
	return o.String(), e.String()
}

// run runs a command about etcd.
func (c *clerk) run(status int, args ...string) (out, errOut string) {
	c.t.Helper()
	return c.ofdvr(status, append(args, c.flags...)...)
}

// export returns all objects in etcd.
func (c *clerk) export() string {
	c.t.Helper()
	out, _ := c.run(0, "etcd", "export")
	return out
}

// put writes a key below the prefix, as no ofdvr would.
func (c *clerk) put(key, value string) {
	c.t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: c.etcd.Endpoints, Logger: zap.NewNop()})
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(c.t.Context(), "/ofdvr/1/"+key, value); err != nil {
		c.t.Fatal(err)
	}
}

// says fails the test if text lacks one of the parts.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("want %q in\n%s", p, text)
		}
	}
}

// Objects go from the store of a host to etcd, and back to the store of another host, unchanged. Input
// with mistakes, and a dry run, change nothing.
func TestEtcdImportAndExport(t *testing.T) {
	t.Parallel()
	c := newClerk(t)
	c.ofdvr(0, "store", "import", c.file("two.yaml", twoNetworks), "--state-dir", "one")
	want, _ := c.ofdvr(0, "store", "export", "--state-dir", "one")

	out, _ := c.run(0, "etcd", "import", "two.yaml", "--dry-run")
	says(t, out, "would have 5 objects created, 0 updated, 0 deleted, 0 unchanged\n")
	if out, errOut := c.run(0, "etcd", "export"); strings.Contains(out, "blue") || !strings.Contains(errOut, "the intent in etcd is not complete") {
		t.Errorf("after a dry run, etcd has\n%s%s", out, errOut)
	}
	out, _ = c.run(0, "etcd", "import", "one")
	says(t, out, "5 objects created, 0 updated, 0 deleted, 0 unchanged\n")
	out, _ = c.run(0, "etcd", "import", filepath.Join("one", "intent.db"))
	says(t, out, "0 objects created, 0 updated, 0 deleted, 5 unchanged\n")
	if out, errOut := c.run(0, "etcd", "export"); out != want || errOut != "" {
		t.Errorf("etcd has\n%s, want\n%s%s", out, want, errOut)
	}
	if out, _ := c.run(0, "etcd", "import", "two.yaml"); !strings.Contains(out, "5 unchanged") {
		t.Errorf("the file has the same objects: %s", out)
	}
	c.run(0, "etcd", "export", "--file", "back.yaml")
	c.ofdvr(0, "store", "import", "back.yaml", "--state-dir", "two")
	if got, _ := c.ofdvr(0, "store", "export", "--state-dir", "two"); got != want {
		t.Errorf("the second store has\n%s, want\n%s", got, want)
	}
	before, _ := c.run(0, "etcd", "check")
	says(t, before, ": ok: revision ", "2 networks, 1 router, 2 ports\n")
	for text, why := range map[string]string{
		"networks: [{id: x, vlan: 5000}]":         "bad.yaml:1:26: networks[0].vlan: vlan 5000 is outside 1–4094",
		"networks: [":                             "bad.yaml:1:",
		"ports: [{id: p, network: none}]":         "bad.yaml:1:",
		"networks: [{id: x, vlan: 1}]":            "vlan 1 ",
		"networks: []":                            "nothing is declared",
		"networks: [{id: y}, {id: x}, {id: x}]\n": "bad.yaml:1:",
	} {
		args := []string{"etcd", "import", c.file("bad.yaml", text)}
		if text == "networks: []" {
			args = append(args, "--all")
		}
		_, errOut := c.run(1, args...)
		says(t, errOut, why)
	}
	_, errOut := c.run(1, "etcd", "import", "none.yaml")
	says(t, errOut, "read topology: open none.yaml: no such file or directory")
	_, errOut = c.run(1, "etcd", "import", ".")
	says(t, errOut, "read the store: ", "intent.db: no such file or directory")
	if after, _ := c.run(0, "etcd", "check"); after != before {
		t.Errorf("after imports with mistakes: %s, before: %s", after, before)
	}
	// With --all, other objects are deleted. A VLAN and addresses can change hands.
	out, _ = c.run(0, "etcd", "import", c.file("other.yaml", "networks: [{id: red, vlan: 1}]\nports: [{id: vm9, network: red, mac: \"02:00:00:00:01:10\"}]\n"), "--all")
	says(t, out, "2 objects created, 0 updated, 5 deleted, 0 unchanged\n")
	if got := c.export(); strings.Contains(got, "blue") || !strings.Contains(got, "vm9") {
		t.Errorf("with --all: %s", got)
	}
	c.run(0, "etcd", "import", c.file("empty.yaml", "networks: []\n"), "--all", "--allow-empty")
	if got := c.export(); strings.Contains(got, "red") {
		t.Errorf("with --allow-empty: %s", got)
	}
}

// An import that is larger than a transaction is written in parts. If a part fails, the intent stays
// incomplete, so that no host removes anything. After a repair, the same command goes on.
func TestEtcdImportInParts(t *testing.T) {
	t.Parallel()
	const ports = 300
	c := newClerk(t)
	var b strings.Builder
	b.WriteString("networks: [{id: blue, vlan: 1}, {id: green, vlan: 2}]\nports:\n")
	for i := range ports {
		fmt.Fprintf(&b, "  - {id: p%d, network: blue, mac: \"02:00:00:00:%02x:%02x\", addresses: [10.0.%d.%d]}\n", i, i>>8, i&0xff, 1+i/200, 1+i%200)
	}
	c.file("many.yaml", b.String())
	c.put("own/mac/blue/02:00:00:00:00:fa", "port lost") // of port p250
	c.put("meta", `{"schema": 1, "complete": true}`)     // as a new host declares while there are no objects
	out, errOut := c.run(1, "etcd", "import", "many.yaml")
	says(t, errOut, "302 objects are too many for one transaction of etcd: they are written in parts, and hosts use each part at once\n",
		"already used by port lost", "Run the same command again to go on")
	if out != "" {
		t.Errorf("a failed import prints %q", out)
	}
	if _, errOut = c.run(0, "etcd", "export"); !strings.Contains(errOut, "the intent in etcd is not complete") {
		t.Errorf("after a failed import: %s", errOut)
	}
	_, errOut = c.run(1, "etcd", "check")
	says(t, errOut, `key /ofdvr/1/own/mac/blue/02:00:00:00:00:fa: it names "port lost", which does not exist`)
	out, _ = c.run(0, "etcd", "check", "--repair")
	says(t, out, "repaired: key /ofdvr/1/own/mac/blue/02:00:00:00:00:fa: ", "not complete: hosts remove nothing\n")
	out, errOut = c.run(0, "etcd", "import", "many.yaml", "--incomplete")
	says(t, out, "objects created, 0 updated, 0 deleted, ")
	says(t, errOut, "are written in parts")
	out, _ = c.run(0, "etcd", "check")
	says(t, out, "2 networks, 0 routers, 300 ports, not complete: hosts remove nothing\n")
	out, _ = c.run(0, "etcd", "import", "many.yaml")
	says(t, out, "0 objects created, 0 updated, 0 deleted, 302 unchanged\n")
	out, _ = c.run(0, "etcd", "check")
	says(t, out, "2 networks, 0 routers, 300 ports\n")
	// All ports give their addresses to others, the networks exchange their VLANs, and a port leaves.
	swapped := strings.NewReplacer("{id: p", "{id: q", "vlan: 1", "vlan: 2", "vlan: 2", "vlan: 1").Replace(b.String())
	swapped = strings.Replace(swapped, "  - {id: q0,", "  # {id: q0,", 1)
	out, _ = c.run(0, "etcd", "import", c.file("swapped.yaml", swapped), "--all")
	says(t, out, "299 objects created, 2 updated, 300 deleted")
	if got := c.export(); strings.Count(got, "id: q") != 299 || strings.Contains(got, "id: p") {
		t.Errorf("with --all, etcd has\n%s", got)
	}
	c.run(0, "etcd", "check")
}
