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

// TestManyHosts runs the commands of docs/many-hosts.md on three hosts with an underlay, except those
// with etcd: the blocks in their order, and the commands in the text. The first line of a block says on
// which hosts it runs. The topology is that of examples/three-hosts.
func TestManyHosts(t *testing.T) {
	g := startGuide(t, func(block string) bool { return !inEtcd(block) })
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
	g.inline()
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
	if n, err := g.hosts[2].MovedAddresses(t.Context(), lab.IntegrationBridge); err != nil || n != 0 { // of h3: no machine came there from another host
		t.Errorf("MAC addresses have moved %d times in the table of the integration bridge (%v)", n, err)
	}
	if len(g.blocks) > 0 {
		t.Errorf("%d blocks are not run, the first is %q", len(g.blocks), g.blocks[0][0])
	}
}

// TestManyHostsInEtcd runs the commands of docs/many-hosts.md for hosts whose intent is in etcd.
// Each host has a member of etcd.
func TestManyHostsInEtcd(t *testing.T) {
	g := startGuide(t, func(block string) bool {
		return inEtcd(block) || strings.Contains(block, "--may-exist") || strings.Contains(block, "plug()") || strings.Contains(block, "\nplug ")
	})
	g.startEtcd()
	g.next("--may-exist")
	g.next("br-phy")
	g.next("plug()")
	for range 3 {
		g.next("plug ")
	}
	g.blocks = g.blocks[1:] // which moves b1
	if out := g.next("ofdvr etcd init"); !strings.Contains(out, "On h3 (") {
		t.Errorf("init printed\n%s", out)
	}
	g.next("ofdvr serve")
	g.next("ofdvr apply")
	for host := range g.hosts {
		g.await(host+1, "ofdvr status --wait", "settled +yes")
	}
	g.await(1, "ip netns exec b1 ping -c 1 -W 1 10.0.1.12", "ttl=64")
	g.await(1, "ip netns exec b1 ping -c 1 -W 1 10.0.2.13", "ttl=63")
	g.next("ofdvr etcd export")
	out := g.next("--all-hosts")
	for _, want := range []string{`\nh1 +ready `, `\nh2 +ready `, `\nh3 +ready `} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%q does not match\n%s", want, out)
		}
	}
	if len(g.blocks) > 0 {
		t.Errorf("%d blocks are not run, the first is %q", len(g.blocks), g.blocks[0][0])
	}
}

// inEtcd is true for a block that needs etcd.
func inEtcd(block string) bool {
	return strings.Contains(block, "--etcd") || strings.Contains(block, "--all-hosts") || strings.Contains(block, "ofdvr apply")
}

// startEtcd starts a member of etcd on each host, which the hosts call e1, e2 and e3, and makes the
// files that the page names.
func (g *guide) startEtcd() {
	g.t.Helper()
	const certificates = `
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem 2>/dev/null
		for name in e1 e2 e3 h1 h2 h3 root admin; do
			openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name.key -out $name.csr 2>/dev/null
			echo subjectAltName=DNS:$name >ext
			openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $name.pem 2>/dev/null
		done`
	shared := g.t.TempDir()
	lab.Run(g.t, g.hosts[0], "sh", "-ec", "cd "+shared+certificates)
	names, cluster := "127.0.0.1 localhost\n", []string{}
	for i := range g.hosts {
		names += fmt.Sprintf("192.168.77.%d e%d\n", i+1, i+1)
		cluster = append(cluster, fmt.Sprintf("e%d=http://e%d:2380", i+1, i+1))
	}
	for i, h := range g.hosts {
		file, err := h.WriteFile("hosts", names)
		if err != nil {
			g.t.Fatal(err)
		}
		g.shells[i].run(fmt.Sprintf("mount --bind %s /etc/hosts\ncp %s/*.pem %s/*.key .", file, shared, shared))
	}
	for i, h := range g.hosts {
		name, address := fmt.Sprint("e", i+1), fmt.Sprintf("192.168.77.%d", i+1)
		if _, err := h.StartEtcd(g.t.Context(), "--name", name, "--data-dir", filepath.Join(h.Dir(), "etcd"), "--log-level", "warn",
			"--listen-client-urls", "https://"+address+":2379", "--advertise-client-urls", "https://"+name+":2379", "--client-cert-auth",
			"--trusted-ca-file", filepath.Join(shared, "ca.pem"), "--cert-file", filepath.Join(shared, name+".pem"), "--key-file", filepath.Join(shared, name+".key"),
			"--listen-peer-urls", "http://"+address+":2380", "--initial-advertise-peer-urls", "http://"+name+":2380", "--initial-cluster", strings.Join(cluster, ",")); err != nil {
			g.t.Fatal(err)
		}
	}
}

// inline runs the commands in the text of the page that are in no block, on h1.
func (g *guide) inline() {
	g.t.Helper()
	// Each command in the text, and how to run it; "" if a block runs it.
	commands := map[string]string{
		"ofdvr apply":             "",
		"ofdvr apply --all":       "",
		"ofdvr check":             "",
		"ofdvr cleanup":           "",
		"ofdvr doctor":            "",
		"ofdvr etcd check":        "",
		"ofdvr etcd export":       "",
		"ofdvr etcd import":       "",
		"ofdvr get hosts":         "ofdvr get hosts",
		"ofdvr get ports -o wide": "ofdvr get ports -o wide",
		"ofdvr trace":             "",
		"ofdvr get hosts -o wide": "",
		"ofdvr status --wait":     "",
		"ofdvr status":            "ofdvr status",
		"ofdvr describe host h2":  "ofdvr describe host h2",
		"ofdvr events --host h2":  "ofdvr events --host h2",
		"ofdvr plan new.yaml":     "cp topology.yaml new.yaml; ofdvr plan new.yaml",
		"ethtool -K eth0 tx off":  "ip netns exec b1 ethtool -K eth0 tx off",
		"ovs-vsctl set port NAME tag=N -- clear port NAME vlan_mode trunks": `
			ovs-vsctl add-port br-int other tag=4095 vlan_mode=trunk trunks=4095 -- set interface other type=internal
			ovs-vsctl set port other tag=7 -- clear port other vlan_mode trunks
			ovs-vsctl get port other tag vlan_mode trunks
			ovs-vsctl del-port br-int other`,
	}
	text := regexp.MustCompile("(?s)\n```.*?\n```").ReplaceAllString(g.page, "")
	found := make(map[string]bool)
	for _, m := range regexp.MustCompile("`((?:ofdvr|ovs-vsctl|ethtool) [^`]+)`").FindAllStringSubmatch(text, -1) {
		command, known := commands[m[1]]
		if !known {
			g.t.Errorf("the test does not know the command %q", m[1])
		}
		if !found[m[1]] && command != "" {
			g.t.Logf("%s\n%s", m[1], g.shells[0].run(command))
		}
		found[m[1]] = true
	}
	for command := range commands {
		if !found[command] {
			g.t.Errorf("the page has no command %q", command)
		}
	}
}

// startGuide returns a guide for the blocks of docs/many-hosts.md that match, and for three hosts.
func startGuide(t *testing.T, match func(block string) bool) *guide {
	t.Helper()
	data, err := os.ReadFile("../docs/many-hosts.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("three-hosts/topology.yaml")
	if err != nil {
		t.Fatal(err)
	}
	g := &guide{t: t, page: string(data)}
	topology := regexp.MustCompile("(?s)\n```yaml\n(.*?)```").FindStringSubmatch(g.page)
	if topology == nil || topology[1] != string(example) {
		t.Fatalf("docs/many-hosts.md has another topology than examples/three-hosts: %q", topology)
	}
	for range 3 {
		g.hosts = append(g.hosts, lab.Boot(t))
	}
	lab.Connect(t, 0, g.hosts...)
	for i, h := range g.hosts {
		g.shells = append(g.shells, startShell(t, h, i+1, topology[1]))
	}
	all := regexp.MustCompile("(?s)\n```sh\n# on (each host|h[123]).*?\n(.*?)```").FindAllStringSubmatch(g.page, -1)
	if n := strings.Count(g.page, "\n```sh\n"); n != len(all) {
		t.Fatalf("%d of %d blocks say on which hosts to run them", len(all), n)
	}
	for _, b := range all {
		if match(b[0]) {
			g.blocks = append(g.blocks, b)
		}
	}
	return g
}

// A guide runs the commands of a page.
type guide struct {
	t      *testing.T
	page   string
	hosts  []*lab.Host
	shells []*shell
	blocks [][]string // whole text, hosts and commands of each block
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
