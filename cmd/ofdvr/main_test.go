package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/api"
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

// inDir creates a directory with files and changes to it.
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
		"config5.yaml": "audit-interval: -5s\n",
		"config6.yaml": "integration-bridge: \"\"\n",
		"config2.yaml": "topologie: x\nmetrics: [1]\nconfig: again\n",
		"config3.yaml": "- a list\n",
		"config4.yaml": "page: maybe\nmax-answer: lots\naudit-interval: soon\n",
		"bad.json":     `{"networks": [}`,
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
		{"nonsense", 64, "", "See 'ofdvr --help'.\n"},
		{"help chekc", 64, "", "ofdvr: unknown command \"chekc\"; did you mean check?\n"},
		{"help store export", 0, "Export prints all", ""},
		{"chekc good.yaml", 64, "", "ofdvr: unknown command \"chekc\"; did you mean check?\nSee 'ofdvr --help'.\n"},
		{"show ports", 64, "", "did you mean describe?"},
		{"ls", 64, "", "did you mean get?"},
		{"store exprt", 64, "", "unknown command \"exprt\"; did you mean export?\nUsage: ofdvr store\nSee 'ofdvr store --help'.\n"},
		{"etcd", 0, "Available Commands", ""},
		{"etcd init", 64, "", "missing --etcd URL,...\n"},
		{"etcd init --etcd http://192.0.2.1:2379", 64, "", "has no TLS, which is possible only on loopback"},
		{"etcd init --etcd http://127.0.0.1:1 --hosts h1 --remove h1", 64, "", "h1 is also one of --hosts or --writers"},
		{"etcd init --etcd http://127.0.0.1:1", 1, "", "no server of etcd answers: http://127.0.0.1:1: "},
		{"apply good.yaml --etcd http://192.0.2.1:2379", 64, "", "has no TLS, which is possible only on loopback"},
		{"get all --etcd http://127.0.0.1:1 --api unix:/x", 64, "", "--api and --etcd cannot be used together"},
		{"delete port x --etcd http://127.0.0.1:1", 1, "", "no server of etcd answers: http://127.0.0.1:1: "},
		{"plan good.yaml --etcd-ca-cert x", 64, "", "need --etcd"},
		{"etcd import", 64, "", "missing argument FILE\n"},
		{"etcd import bad.yaml --etcd http://127.0.0.1:1", 1, "", "bad.yaml:"},
		{"etcd import good.yaml --etcd http://127.0.0.1:1", 1, "", "no server of etcd answers: http://127.0.0.1:1: "},
		{"etcd export -o xml --etcd http://127.0.0.1:1", 64, "", "-o xml: want yaml or json"},
		{"etcd check", 64, "", "missing --etcd URL,...\n"},
		{"check", 64, "", "ofdvr: missing argument FILE\nUsage: ofdvr check FILE... [flags]\nSee 'ofdvr check --help'.\n"},
		{"compile", 64, "", "missing argument FILE\n"},
		{"compile a b", 64, "", "unexpected argument \"b\"\n"},
		{"status now", 64, "", "unexpected argument \"now\"\n"},
		{"status --wiat", 64, "", "unknown flag --wiat; did you mean --wait?\n"},
		{"status -wait", 64, "", "unknown flag -wait; did you mean --wait?\n"},
		{"status -x", 64, "", "unknown flag -x\n"},
		{"status --api", 64, "", "missing value of --api: ENDPOINT\n"},
		{"status --timeout soon", 64, "", "--timeout \"soon\": want a duration such as 500ms, 30s or 5m\n"},
		{"status --wait=perhaps", 64, "", "--wait \"perhaps\": want true or false\n"},
		{"trace a b --sport x", 64, "", "--sport \"x\": want a number from 0 to 65535\n"},
		{"trace a b --ttl 256", 64, "", "--ttl \"256\": want a number from 0 to 255\n"},
		{"trace", 64, "", "missing argument FROM: the ID or name of a port, or an address\nUsage: ofdvr trace FROM TO [flags]\n"},
		{"trace a", 64, "", "missing argument TO: "},
		{"trace a --from b c", 64, "", "unexpected argument \"c\""},
		{"events -n x", 64, "", "--last \"x\": want a whole number\n"},
		{"log-level lod", 64, "", "unknown level \"lod\": want debug, info, warn or error\n"},
		{"log-level wran", 64, "", "did you mean warn?\n"},
		{"get prots", 64, "", "unknown kind of object \"prots\": want networks, routers, ports, hosts or interfaces; did you mean ports?\n"},
		{"top prots", 64, "", "want routers, interfaces or ports; did you mean ports?\n"},
		{"get ports vm1 -w --mac 1", 64, "", "a filter cannot be used with IDs"},
		{"get interface/a port/b -o yaml", 64, "", "-o yaml: interfaces are parts of routers: get them without other objects\n"},
		{"get vm1", 64, "", "unknown kind of object \"vm1\": want networks, routers, ports, hosts or interfaces; an ID or a name comes after its kind, as in: port vm1\n"},
		{"describe web", 64, "", "; an ID or a name comes after its kind, as in: port web\n"},
		{"delete web", 64, "", "; an ID or a name comes after its kind, as in: port web\n"},
		{"logs --tail 5", 64, "", "unknown flag --tail; -n N shows the latest N events\n"},
		{"events --since -5m", 64, "", "--since -5m0s: want a duration of more than 0s\n"},
		{"events --until 5m", 64, "", "unknown flag --until; --since TIME and -n N select events"},
		{"events --since yesterday", 64, "", "--since \"yesterday\": want a duration such as"},
		{"events -w", 64, "", "unknown flag -w; -f continues with new events\n"},
		{"check -f good.yaml", 64, "", "unknown flag -f; the file is an argument: ofdvr check FILE\n"},
		{"compile --file good.yaml", 64, "", "unknown flag --file; the file is an argument: ofdvr compile FILE\n"},
		{"store import -f x", 64, "", "unknown flag -f; the file is an argument: ofdvr store import FILE\n"},
		{"get ports --show-labels", 64, "", "unknown flag --show-labels; -o yaml shows labels, and -l selects by them\n"},
		{"status --exit", 64, "", "unknown flag --exit; did you mean --exit-code?\n"},
		{"apply --prune x", 64, "", "unknown flag --prune; --all deletes what is not in the files\n"},
		{"trace a b --tcp", 64, "", "unknown flag --tcp; --proto tcp\n"},
		{"create -f x", 64, "", "did you mean apply?"},
		{"rm port x", 64, "", "did you mean delete?"},
		{"ping a b", 64, "", "did you mean trace?"},
		{"get ports --mac zz", 64, "", "--mac zz: \"zz\" is not a MAC address"},
		{"get ports --address zz", 64, "", "--address zz: want an IP address\n"},
		{"get networks --vlan 5000", 64, "", "--vlan 5000: want a number from 1 to 4094\n"},
		{"watch --since abc", 64, "", "--since abc: want a revision, which is a number; "},
		{"apply x --timeout 1h", 64, "", "--timeout 1h0m0s: want a time from 0s to 5m0s\n"},
		{"delete port x --timeout -1s", 64, "", "--timeout -1s: want a time"},
		{"complete --timeout 6m", 64, "", "--timeout 6m0s: want a time"},
		{"status --wait --timeout -1s", 64, "", "--timeout -1s: want a time from 0s\n"},
		{"cleanup --ovsdb foo", 64, "", "--ovsdb: invalid OVSDB endpoint \"foo\""},
		{"serve --ovsdb foo", 64, "", "--ovsdb: invalid OVSDB endpoint \"foo\""},
		{"serve --openflow foo", 64, "", "--openflow: invalid OpenFlow endpoint \"foo\""},
		{"serve --api foo", 64, "", "--api: \"foo\" is not an API endpoint"},
		{"serve --etcd e1:2379", 64, "", "--etcd: \"e1:2379\" is not the URL of an etcd server, such as https://e1:2379"},
		{"serve --etcd https://root:secret@e1:2379", 64, "", "--etcd: a URL has a user name or a password. Leave them out"},
		{"serve --etcd https://e1:2379?x=y", 64, "", "--etcd: a URL has a query or a fragment"},
		{"serve --etcd http://0.0.0.0:2379", 64, "", "has no TLS, which is possible only on loopback"},
		{"serve --etcd http://[2001:db8::1]:2379", 64, "", "has no TLS, which is possible only on loopback"},
		{"serve --etcd http://localhost.example:2379", 64, "", "has no TLS, which is possible only on loopback"},
		{"serve --etcd http://127.0.0.1:2379,http://e1:2379", 64, "", "has no TLS, which is possible only on loopback"},
		{"serve --etcd https://e1", 64, "", "--etcd: \"https://e1\" has no port"},
		{"serve --etcd http://e1:2379", 64, "", "has no TLS, which is possible only on loopback"},
		{"serve --etcd https://e1:2379 --etcd-certificate c.pem", 64, "", "--etcd-certificate and --etcd-private-key are needed together"},
		{"serve --etcd-ca-cert ca.pem", 64, "", "need --etcd"},
		{"serve --etcd https://e1:2379 --etcd-prefix ofdvr", 64, "", "--etcd-prefix: \"ofdvr\" does not begin and end with a slash"},
		{"serve --tunnel-address 192.0.2.1", 64, "", "--tunnel-address needs --etcd"},
		{"serve --etcd https://e1:2379 --tunnel-address foo", 64, "", "--tunnel-address foo: "},
		{"serve --etcd https://e1:2379 --tunnel-address fe80::1", 64, "", "is a link-local address"},
		{"serve --etcd https://e1:2379 --tunnel-type vxlan", 64, "", "--tunnel-type needs --tunnel-address"},
		{"serve --etcd https://e1:2379 --tunnel-address 192.0.2.1 --tunnel-type gre", 64, "", "--tunnel-type gre: want geneve or vxlan"},
		{"serve --log-level foo", 64, "", "log level \"foo\": want debug"},
		{"top -n -1", 64, "", "--rounds -1: want 0 or more\n"},
		{"get interfaces -w", 64, "", "use 'ofdvr get routers -w'"},
		{"get ports -w -o json", 64, "", "use 'ofdvr watch -o json'"},
		{"get all blue", 64, "", "get all takes no IDs"},
		{"describe", 64, "", "missing argument KIND\n"},
		{"describe ports", 64, "", "missing argument ID of a port\n"},
		{"delete net", 64, "", "missing argument ID of a network\n"},
		{"delete port/vm1 vm2", 64, "", "\"vm2\" is not a name such as port/vm1\n"},
		{"check good.yaml", 0, "good.yaml: ok: 2 networks, 1 router, 2 ports", ""},
		{"check warn.yaml", 0, "ok", "warn.yaml:1:"},
		{"check bad.yaml good.yaml", 1, "good.yaml: ok", "bad.yaml:2:22: networks[0].vlan: "},
		{"check bad.yaml", 1, "", "bad.yaml:3:"},
		{"check none.yaml", 1, "", "no such file"},
		{"compile good.yaml", 0, "# bridge rb-r1, router r1\n", ""},
		{"compile good.yaml --ports pr-r1-blue=7", 0, "in_port=7,", ""},
		{"compile good.yaml --ports pr-r1-blue=x", 64, "", "want a port number"},
		{"compile good.yaml --ports x", 64, "", "--ports \"x\": want NAME=NUMBER, or several with commas between them\n"},
		{"compile bad.yaml", 1, "", "bad.yaml:2:22"},
		{"completion bash", 0, "bash completion", ""},
		{"status --api unix:" + filepath.Join(t.TempDir(), "none"), 1, "", "does the daemon run"},
		{"status --api tcp:1", 64, "", "want unix:PATH"},
		{"status -o xml", 64, "", "want table or json"},
		{"get ports -o yml", 64, "", "-o yml: want table, wide, name, json or yaml; did you mean yaml?\n"},
		{"events --level wran", 64, "", "--level wran: want info, warn or error; did you mean warn?\n"},
		{"trace a b --proto foo", 64, "", "--proto foo: unknown IP protocol \"foo\": want icmp, tcp, udp, sctp or a number up to 255\n"},
		{"trace a b --dport 80", 64, "", "--sport and --dport: packets of protocol icmp have no ports: add --proto tcp, udp or sctp\n"},
		{"trace a b --proto 47 --sport 80", 64, "", "packets of protocol 47 have no ports"},
		{"trace a b --size 5", 64, "", "--size 5: want a number from 20 to 65535\n"},
		{"trace a b --size 70000", 64, "", "--size 70000: want"},
		{"trace a b --ttl 256", 64, "", "--ttl \"256\": want a number from 0 to 255\n"},
		{"events -n 5000", 64, "", "--last 5000: want a number from 1 to 1000\n"},
		{"serve --state-dir=", 64, "", "no source of intent configured: give --topology FILE"},
		{"serve --topology good.yaml --log-level loud", 64, "", "want debug, info"},
		{"serve --topology good.yaml --log-format xml", 64, "", "want console or json"},
		{"serve --state-dir . --run-dir . --topology good.yaml --openflow 6653", 64, "", "want tcp:ADDRESS:PORT"},
		{"serve --state-dir . --run-dir . --topology good.yaml --openflow ssl:127.0.0.1:0", 1, "", "needs --private-key"},
		{"serve --state-dir . --run-dir . --topology good.yaml --ovsdb /run/db.sock", 64, "", "invalid OVSDB endpoint"},
		{"serve --config config.yaml", 64, "", "config.yaml: log-level, log-format: log level \"loud\": want debug, info"},
		{"serve --config config.yaml --log-level info --log-format xml", 64, "", "want console or json"},
		{"serve --config config2.yaml", 64, "", "config2.yaml:1:1: topologie: unknown key"},
		{"serve --config config2.yaml", 64, "", "config2.yaml:2:1: metrics: want a single value"},
		{"serve --config config2.yaml", 64, "", "config2.yaml:3:1: config: unknown key"},
		{"serve --config config3.yaml", 64, "", "want a mapping"},
		{"serve --config config4.yaml", 64, "", "config4.yaml:1:1: page: \"maybe\": want true or false\nconfig4.yaml:2:1: max-answer: \"lots\": want a whole number\nconfig4.yaml:3:1: audit-interval: \"soon\": want a duration such as"},
		{"serve --port-metrics some", 64, "", "--port-metrics \"some\": want off, all or a number of ports\n"},
		{"check bad.json", 1, "", "bad.json:1:15: not JSON: unexpected '}' where a value should begin\n"},
		{"serve --integration-bridge=", 64, "", "--integration-bridge: \"\": want the name of a bridge, of 1 to 15 characters\n"},
		{"serve --openflow=", 64, "", "--openflow: no endpoint is given, and no switch could connect: want one such as tcp:127.0.0.1:6653\n"},
		{"serve --integration-bridge a-bridge-with-a-name", 64, "", "want the name of a bridge"},
		{"serve --audit-interval -1s", 64, "", "--audit-interval: -1s: want a time of more than 0s\n"},
		{"serve --audit-interval 0", 64, "", "--audit-interval: 0s: want a time of more than 0s\n"},
		{"serve --max-answer 0", 64, "", "--max-answer: 0: want a number of bytes from 1\n"},
		{"serve --max-unsolicited -1", 64, "", "--max-unsolicited: -1: want a number of messages a second from 1\n"},
		{"serve --max-unidentified 0", 64, "", "--max-unidentified: 0: want a number of connections from 1\n"},
		{"serve --run-dir=", 64, "", "--run-dir: want a directory\n"},
		{"serve --metrics 9476", 64, "", "--metrics: \"9476\": want ADDRESS:PORT, such as 127.0.0.1:9476, or \"\" for none\n"},
		{"serve --metrics 127.0.0.1:70000", 64, "", "want ADDRESS:PORT"},
		{"serve --config config5.yaml", 64, "", "config5.yaml: audit-interval: -5s: want a time of more than 0s\n"},
		{"serve --config config6.yaml", 64, "", "config6.yaml: integration-bridge: \"\": want the name of a bridge"},
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

// If a command needs root and lacks the permission, its error names root.
func TestRootHint(t *testing.T) {
	denied := fmt.Errorf("open the lock: %w", fs.ErrPermission)
	for args, want := range map[string]string{
		"cleanup":     "; ofdvr cleanup has to be run by root",
		"store check": "; ofdvr store has to be run by root",
		"check":       "",
	} {
		cmd, _, err := newRoot().Find(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := rootHint(cmd, denied, 1000); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
		if got := rootHint(cmd, denied, 0) + rootHint(cmd, errors.New("no space"), 1000); got != "" {
			t.Errorf("%s: %q for root, or for another error", args, got)
		}
	}
}

// status --wait ends at once if the daemon or its socket refuses the user. After other errors it
// waits.
func TestRefusedDoesNotWait(t *testing.T) {
	for err, want := range map[error]bool{
		fmt.Errorf("connect to ofdvr: %w", fs.ErrPermission): true,
		&api.Problem{Status: http.StatusUnauthorized}:        true,
		&api.Problem{Status: http.StatusForbidden}:           true,
		fmt.Errorf("connect: %w", tls.AlertError(116)):       true, // certificate required
		&tls.CertificateVerificationError{}:                  true,
		&api.Problem{Status: http.StatusServiceUnavailable}:  false,
		fmt.Errorf("connect to ofdvr: %w", fs.ErrNotExist):   false,
	} {
		if got := refused(err); got != want {
			t.Errorf("%v: %t, want %t", err, got, want)
		}
	}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	socket := filepath.Join(t.TempDir(), "api.sock")
	var err error
	if web.Listener, err = net.Listen("unix", socket); err != nil {
		t.Fatal(err)
	}
	web.Start()
	defer web.Close()
	var out, errOut strings.Builder
	if got := run(t.Context(), []string{"status", "--wait", "--timeout", "10m", "--api", "unix:" + socket}, &out, &errOut); got != exitFailure || !strings.Contains(errOut.String(), "403") {
		t.Errorf("%d: %s", got, &errOut)
	}
}
