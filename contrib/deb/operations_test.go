package deb

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

const manual = "../../docs/operations.md"

// The commands of docs/operations.md have the documented effects, one after another. Machines
// reach each other in between.
func TestOperations(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)\n```sh\n(.*?)\n```").FindAllStringSubmatch(string(data), -1)
	s := booted(t)
	// The system has a journal, as on any machine, and the state that the page assumes.
	s.sh("rm -r /etc/systemd/system/service.d; systemctl daemon-reload; systemctl start systemd-journald openvswitch-switch")
	s.bridge()
	vm1, vm2 := s.machines()
	dir := s.Dir()
	for _, version := range []string{"1.0", "1.1"} {
		execute(t, "cp", packaged(t, version), filepath.Join(dir, "ofdvr_"+version+"_amd64.deb")) // for any architecture
	}
	var traffic *stream
	for _, step := range []struct {
		does   string   // text with which a block of commands begins
		says   []string // texts in the output, in this order
		routed bool     // machines reach each other afterwards
	}{
		{"apt-get install -y ./ofdvr_1.0", []string{"\nactive\n"}, false},
		{"cp /usr/share/doc", []string{"ok: 2 networks, 1 router, 2 ports", "+ port vm1", "router/r1 created"}, true},
		{"ofdvr export >/etc", []string{"topology /etc/ofdvr/topology.yaml: 2 networks", "settled  yes"}, true},
		{"ofdvr export >all", []string{"now has 2 networks, 1 router, 2 ports", "store /var/lib/ofdvr/intent.db: 2 networks, 1 router", "settled  yes"}, true},
		{"systemctl status", []string{"1 router, all settled", "r1 ", "WHAT IT DOES", "\nok\n", "\nok\n", "INFO  starting"}, true},
		{"apt-get install -y ./ofdvr_1.1", []string{"settled  yes", "ofdvr 1.1 "}, true},
		{"echo 'standby", []string{"standby: another daemon leads", "settled  yes"}, true},
		{"systemctl disable --now ofdvr-standby", []string{"settled  yes"}, true},
		{"ofdvr export >backup", nil, true},
		{"ofdvr apply --all", nil, true},
		{"systemctl stop ofdvr\nofdvr store check", []string{"intent.db: ok: schema version", "now has 2 networks, 1 router, 2 ports", "settled  yes"}, true},
		{"systemctl stop ofdvr\novs-ofctl", nil, true},
		{"systemctl start ofdvr", []string{"settled  yes"}, true},
		{"ofdvr export >routers", []string{"removed Bridge rb-r1", "net.ipv4.ip_forward = 1"}, false},
		{"systemctl stop ofdvr\nofdvr cleanup\napt-get purge", []string{"Open vSwitch has no objects of ofdvr", "Purging"}, false},
	} {
		if len(blocks) == 0 || !strings.HasPrefix(blocks[0][1], step.does) {
			t.Fatalf("the next commands of %s do not begin with %q:\n%s", manual, step.does, blocks)
		}
		script := blocks[0][1]
		blocks = blocks[1:]
		if strings.HasPrefix(script, "systemctl status") {
			s.says("1 router, all settled")
		}
		cmd := s.Command(t.Context(), "env", "--chdir="+dir, "DEBIAN_FRONTEND=noninteractive", "sh", "-exc", script)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		rest := string(out)
		for _, want := range step.says {
			_, after, found := strings.Cut(rest, want)
			if !found {
				t.Errorf("%q is missing or out of order in\n%s", want, out)
			}
			rest = after
		}
		switch {
		case !step.routed:
			if traffic != nil && strings.HasPrefix(step.does, "ofdvr export") { // the router was replaced
				startStream(t, vm1, vm2.IP())
			}
		case traffic == nil:
			traffic = startStream(t, vm1, vm2.IP())
		default:
			traffic.goesOn()
		}
		if step.routed && s.kernelRoutes(vm1, vm2) != strings.Contains(script, "del-flows") {
			t.Errorf("after\n%s\nthe kernel routes although the switch should, or the switch routes although the kernel should", script)
		}
	}
	if len(blocks) > 0 {
		t.Errorf("%s has more commands: %s", manual, blocks)
	}
}

// kernelRoutes reports whether packets from one machine to another pass the router's
// namespace.
func (s *site) kernelRoutes(from, to *lab.Machine) bool {
	s.t.Helper()
	const pings = 30 // more pings than machines send unsolicited packets
	received := func() (n int) {
		s.t.Helper()
		fmt.Sscan(s.run("nsenter", "--net=/run/netns/qrouter-r1", "awk", "/qr-r1-blue:/ {print $3}", "/proc/self/net/dev"), &n)
		return n
	}
	before := received()
	if r, err := from.Ping(s.t.Context(), to.IP(), lab.PingOptions{Count: pings, Wait: patience}); err != nil || r.Received != pings {
		s.t.Fatalf("got %d of %d replies, error %v", r.Received, pings, err)
	}
	return received() >= before+pings
}

// The program contains the texts of the status and the log that the page quotes. The metrics
// that the page names exist.
func TestManualQuotesTheProgram(t *testing.T) {
	data, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		code.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	// Join string literals that are split in the code.
	said := regexp.MustCompile(`" \+\n\t*"`).ReplaceAllString(code.String(), "")
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := 0
	for _, table := range []string{"| problem | do |", "| the log says | do |"} {
		_, after, found := strings.Cut(string(data), table)
		if !found {
			t.Fatalf("%s has no table %s", manual, table)
		}
		table, _, _ := strings.Cut(after, "\n\n")
		for row := range strings.Lines(table) {
			first, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
			for _, m := range quoted.FindAllStringSubmatch(first, -1) {
				rows++
				if !strings.Contains(said, m[1]) && m[1] != "operation not permitted" && m[1] != "address already in use" { // texts of the kernel
					t.Errorf("the program has no text %q", m[1])
				}
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d quotations", rows)
	}
	for _, metric := range regexp.MustCompile(`ofdvr_[a-z_]+`).FindAllString(string(data), -1) {
		if !strings.Contains(string(metrics), "| `"+metric+"` |") {
			t.Errorf("docs/metrics.md has no metric %s", metric)
		}
	}
}
