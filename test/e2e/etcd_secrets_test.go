package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The log of a daemon at level debug, its status, and messages about wrong flags have no key, token or
// password.
func TestNoSecretsInLogs(t *testing.T) {
	t.Parallel()
	c := newClerk(t)
	ca, err := lab.NewAuthority(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	e, err := lab.StartSecureEtcd(t.Context(), t.TempDir(), 3, 21000+int(etcdPort.Add(20)), ca, "--client-cert-auth", "--trusted-ca-file", ca.CA)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	for _, name := range []string{"h1", "api"} {
		if _, _, err := ca.Issue(name); err != nil {
			t.Fatal(err)
		}
	}
	const token, password = "a-secret-token-of-the-api", "a-secret-password"
	c.file("token", token)
	if err := os.Chmod(filepath.Join(c.dir, "token"), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets := []string{token, password}
	for _, name := range []string{"h1.key", "api.key"} {
		text, err := os.ReadFile(filepath.Join(c.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); len(line) > 16 && !strings.HasPrefix(line, "-----") {
				secrets = append(secrets, line)
			}
		}
	}
	clean := func(what, text string) {
		t.Helper()
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%s has the secret %q", what, s)
			}
		}
	}
	flags := []string{"--etcd", strings.Join(e.Endpoints, ","), "--etcd-ca-cert", ca.CA, "--etcd-certificate", "h1.pem", "--etcd-private-key", "h1.key"}
	socket := "unix:" + filepath.Join(c.dir, "api.sock")
	log, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	daemon := exec.Command(c.binary, append([]string{"serve", "--log-level", "debug", "--host", "h1", "--ovsdb", "", "--openflow", "punix:" + filepath.Join(c.dir, "of.sock"),
		"--metrics", "", "--run-dir", filepath.Join(c.dir, "run"), "--state-dir", filepath.Join(c.dir, "state"), "--api", socket + ",ssl:127.0.0.1:" + fmt.Sprint(21000+etcdPort.Add(20)),
		"--api-certificate", "api.pem", "--api-private-key", "api.key", "--api-token-file", "token"}, flags...)...)
	daemon.Dir, daemon.Stdout, daemon.Stderr = c.dir, log, log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	status := func(has string) {
		t.Helper()
		lab.Eventually(t, patience, "the status to have "+has, func() error {
			cmd := exec.CommandContext(t.Context(), c.binary, "status", "-o", "json", "--api", socket)
			out, err := cmd.CombinedOutput()
			clean("the status", string(out))
			if err == nil && !strings.Contains(string(out), has) {
				err = errors.New("it has not")
			}
			if err != nil {
				logged, _ := os.ReadFile(log.Name())
				return fmt.Errorf("%w: %s\n%s", err, out, logged)
			}
			return nil
		})
	}
	status("revision")
	c.ofdvr(0, "apply", c.file("two.yaml", twoNetworks), "--wait=false", "--api", socket)
	for i := range e.Endpoints {
		e.Kill(i)
	}
	status("does not answer")
	out, errOut := c.ofdvr(1, "apply", "two.yaml", "--all", c.file("more.yaml", "networks: [{id: red}]"), "--wait=false", "--api", socket)
	clean("a refused write", out+errOut)
	out, _ = c.ofdvr(0, "events", "--api", socket)
	clean("events", out)
	daemon.Process.Signal(os.Interrupt)
	daemon.Wait()
	text, err := os.ReadFile(log.Name())
	if err != nil || !strings.Contains(string(text), "stopped, the switch goes on forwarding") {
		t.Errorf("the log: %v\n%s", err, text)
	}
	clean("the log", string(text))

	// A password in a URL is refused, and not repeated.
	for _, args := range [][]string{{"serve"}, {"etcd", "check"}, {"get", "all"}} {
		for _, url := range []string{"https://root:" + password + "@127.0.0.1:2379", "https://root:" + password + "@127.0.0.1:2379/x", "https://root:" + password + "@127.0.0.1", "http://root:" + password + "@e1:2379", "root:" + password + "@e1:2379", "https://e1:2379?password=" + password} {
			_, errOut := c.ofdvr(64, append(args, "--etcd", url)...)
			clean("the message about "+url, errOut)
			says(t, errOut, "--etcd: ")
		}
	}
	c.file("h1.key", "-----BEGIN EC PRIVATE KEY-----\n"+password+"\n-----END EC PRIVATE KEY-----\n")
	_, errOut = c.ofdvr(1, append([]string{"etcd", "check"}, flags...)...)
	clean("the message about a wrong key", errOut)
	says(t, errOut, "h1.key")
}
