package examples

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// patience is the time limit of each wait.
const patience = time.Minute

// TestManyHosts runs the blocks of commands of docs/many-hosts.md, in their order, on three hosts
// with an underlay. The first line of a block says on which hosts it runs. The topology is that of
// examples/three-hosts.
func TestManyHosts(t *testing.T) {
	data, err := os.ReadFile("../docs/many-hosts.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("three-hosts/topology.yaml")
	if err != nil {
		t.Fatal(err)
	}
	topology := regexp.MustCompile("(?s)\n```yaml\n(.*?)```").FindStringSubmatch(string(data))
	if topology == nil || topology[1] != string(example) {
		t.Fatalf("docs/many-hosts.md has another topology than examples/three-hosts: %q", topology)
	}
	var bare []*lab.Host
	for range 3 {
		bare = append(bare, lab.Boot(t))
	}
	lab.Connect(t, 0, bare...)
	g := &guide{t: t}
	for i, h := range bare {
		g.shells = append(g.shells, startShell(t, h, i+1, topology[1]))
	}

	g.blocks = regexp.MustCompile("(?s)\n```sh\n# on (each host|h[123]).*?\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	if all := strings.Count(string(data), "\n```sh\n"); all != len(g.blocks) {
		t.Fatalf("%d of %d blocks say on which hosts to run them", len(g.blocks), all)
	}
	g.next("--may-exist")
	g.next("br-phy")
	out := g.next("ofdvr serve")
	if n := strings.Count(out, "ok: 3 hosts, 2 networks, 1 router, 3 ports"); n != 3 || strings.Count(out, "settled  yes") < 3 {
		t.Errorf("the daemons printed\n%s", out)
	}
	g.next("plug()")
	for range 3 {
		g.next("plug ")
	}
	g.await(1, "ofdvr get hosts -o wide", `\nh2 .* alive +1 `, `\nh3 .* alive +1 `)
	g.await(1, "ofdvr trace b1 g3", "h3")
	out = g.next("ofdvr get hosts")
	for _, want := range []string{"h3", "ttl=64", "ttl=63", " 0% packet loss"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	g.next("ip netns add b1") // on h2
	g.await(1, "ofdvr status", "the machine of port b1 is plugged in on hosts h2 and h1: h2, where it was plugged in last, has it")
	g.next("del-port br-int b1") // on h1
	g.await(3, "ofdvr get hosts -o wide", `\nh1 .* alive +0 `, `\nh2 .* alive +2 `)
	g.await(3, "ip netns exec g3 ping -c 1 -W 1 10.0.1.11", "ttl=63")
	g.next("del-port br-int g3") // on h3
	g.next("sed -i")
	if out = g.next("ofdvr cleanup"); !strings.Contains(out, "removed Bridge br-fabric") {
		t.Errorf("the removed host printed\n%s", out)
	}
	g.await(1, "ofdvr get hosts -o wide", `\AHOST .*\nh1 .*\nh2 .*\n\z`)
	g.next("sed -i")
	g.next("ofdvr serve")
	g.await(1, "ofdvr get hosts -o wide", `\nh3 .* alive +0 `)
	g.await(3, "ofdvr get hosts -o wide", `\nh2 .* alive +2 `)
	if len(g.blocks) > 0 {
		t.Errorf("%d blocks are not run, the first is %q", len(g.blocks), g.blocks[0][0])
	}
}

// A guide runs the blocks of a page.
type guide struct {
	t      *testing.T
	shells []*shell
	blocks [][]string // for each block: the whole text, the hosts, the commands
}

// next runs the next block, which must contain want, and returns its output.
func (g *guide) next(want string) (out string) {
	g.t.Helper()
	if len(g.blocks) == 0 || !strings.Contains(g.blocks[0][2], want) {
		g.t.Fatalf("want a block with %q, have %q", want, g.blocks)
	}
	b := g.blocks[0]
	g.blocks = g.blocks[1:]
	if n := strings.IndexByte("123", b[1][1]); n >= 0 {
		out = g.shells[n].run(b[2])
		g.t.Logf("%s\n%s", b[0], out)
		return out
	}
	parts := make([]string, len(g.shells))
	var all sync.WaitGroup
	for i, s := range g.shells {
		all.Go(func() { parts[i] = s.run(b[2]) })
	}
	all.Wait()
	out = strings.Join(parts, "")
	g.t.Logf("%s\n%s", b[0], out)
	return out
}

// await repeats a command on a host until its output matches.
func (g *guide) await(host int, command string, patterns ...string) {
	g.t.Helper()
	lab.Eventually(g.t, patience, command, func() error {
		out := g.shells[host-1].run("(" + command + ") || true\n")
		for _, p := range patterns {
			if !regexp.MustCompile(p).MatchString(out) {
				return fmt.Errorf("h%d: %q is not in\n%s", host, p, out)
			}
		}
		return nil
	})
}

// A shell runs commands on a host. It ends with the first command that fails.
type shell struct {
	t    *testing.T
	host int
	in   io.Writer
	out  *bufio.Reader
}

// startShell returns a shell with ofdvr in its PATH, the host's number in N, and topology.yaml in
// its directory.
func startShell(t *testing.T, h *lab.Host, number int, topology string) *shell {
	t.Helper()
	file, err := h.WriteFile("topology.yaml", topology)
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
	cmd := h.Command(t.Context(), "env", "--chdir="+filepath.Dir(file), "PATH="+bin+":"+os.Getenv("PATH"), "LC_ALL=C", fmt.Sprint("N=", number), "sh", "-e")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
		out.Close()
	})
	return &shell{t, number, in, bufio.NewReader(out)}
}

// run runs commands and returns their output.
func (s *shell) run(commands string) string {
	const end = "=== done ==="
	var b strings.Builder
	fmt.Fprintf(s.in, "{\n%s\n} </dev/null\necho '%s'\n", commands, end)
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			s.t.Errorf("h%d: a command of\n%s\nfailed:\n%s", s.host, commands, b.String())
			return b.String()
		}
		if strings.HasSuffix(line, end+"\n") {
			return b.String()
		}
		b.WriteString(line)
	}
}
