package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// serveEtcd starts etcd on a host, with TLS, and returns the flags of daemons that use it.
func (f *fleet) serveEtcd(host int) (flags []string, etcd *lab.Process) {
	f.t.Helper()
	s, address := f.hosts[host-1], f.links[host-1].IPv4
	dir := filepath.Join(s.Dir(), "etcd")
	lab.Run(f.t, s.Host, "sh", "-ec", `mkdir `+dir+`; cd `+dir+`
		openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem 2>/dev/null
		for name in server client; do
			openssl req -newkey rsa:2048 -nodes -subj /CN=$name -keyout $name.key -out $name.csr 2>/dev/null
			echo subjectAltName=IP:`+address+` > ext
			openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $name.pem 2>/dev/null
		done`)
	url := "https://" + address + ":2379"
	etcd, err := s.StartEtcd(f.t.Context(), "--name", "m1", "--data-dir", filepath.Join(dir, "data"), "--log-level", "warn",
		"--listen-client-urls", url, "--advertise-client-urls", url, "--client-cert-auth", "--trusted-ca-file", filepath.Join(dir, "ca.pem"),
		"--cert-file", filepath.Join(dir, "server.pem"), "--key-file", filepath.Join(dir, "server.key"))
	if err != nil {
		f.t.Fatal(err)
	}
	return []string{"--etcd", url, "--etcd-ca-cert", filepath.Join(dir, "ca.pem"), "--etcd-certificate", filepath.Join(dir, "client.pem"), "--etcd-private-key", filepath.Join(dir, "client.key")}, etcd
}

// Hosts share their intent in etcd: what is applied on one, all have. When etcd is gone, they go on,
// and say so.
func TestEtcd(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, blueAndGreen)
	flags, etcd := f.serveEtcd(1)
	for i, s := range f.hosts {
		s.serve(append([]string{"--host", fmt.Sprint("h", i+1)}, flags...)...)
	}
	machines := strings.Fields("b11 g21 b22")
	file, err := f.hosts[1].WriteFile("fleet.yaml", fleetTopology(2, blueAndGreen, machines))
	if err != nil {
		t.Fatal(err)
	}
	f.hosts[1].ofdvr(0, "apply", file)
	var many strings.Builder
	many.WriteString("ports:\n")
	for i := range 100 {
		fmt.Fprintf(&many, "  - {id: extra%d, network: blue, mac: \"02:00:00:00:99:%02x\", addresses: [10.0.1.%d]}\n", i, i, 100+i)
	}
	if file, err = f.hosts[0].WriteFile("many.yaml", many.String()); err != nil {
		t.Fatal(err)
	}
	f.hosts[0].ofdvr(0, "apply", file)
	f.hosts[1].eventually("all ports to be on the other host", func() error {
		if out := f.hosts[1].ofdvr(0, "get", "ports"); strings.Count(out, "extra") < 100 {
			return fmt.Errorf("there are %d", strings.Count(out, "extra"))
		}
		return nil
	})
	for _, m := range machines {
		f.plug(m)
	}
	f.settle()
	pings := func() {
		t.Helper()
		for _, to := range []string{"g21", "b22"} {
			ping(t, f.machines["b11"], address(f.machines[to].MachineConfig, 0), lab.PingOptions{Count: 3, Wait: patience})
		}
	}
	pings()
	etcd.Kill()
	for _, s := range f.hosts {
		s.eventually("the status to say that etcd is away", func() error {
			st, err := s.readStatus()
			if err == nil && !strings.Contains(strings.Join(st.Problems, "\n"), "etcd") {
				err = fmt.Errorf("problems: %q", st.Problems)
			}
			return err
		})
	}
	pings()
	f.hosts[1].daemon.Kill()
	f.hosts[1].serve(f.hosts[1].flags...)
	pings()
}
