package namespace

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// An ovs is a real Open vSwitch in the namespaces of the tests.
type ovs struct {
	t        *testing.T
	vswitchd *exec.Cmd
}

func startOVS(t *testing.T) *ovs {
	t.Helper()
	for _, p := range []string{"ovsdb-server", "ovsdb-tool", "ovs-vswitchd", "ovs-vsctl"} {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed", p)
			}
			t.Skipf("%s is not installed", p)
		}
	}
	if err := os.MkdirAll("/run/openvswitch", 0o755); err != nil {
		t.Fatal(err)
	}
	o := &ovs{t: t}
	run(t, "ovsdb-tool", "create", "/run/openvswitch/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
	server := o.start("ovsdb-server", "--remote=punix:/run/openvswitch/db.sock", "/run/openvswitch/conf.db")
	t.Cleanup(func() { kill(server) })
	eventually(t, "ovsdb-server runs", func() bool {
		return exec.Command("ovs-vsctl", "--no-wait", "--timeout=5", "init").Run() == nil
	})
	o.restart()
	t.Cleanup(func() { kill(o.vswitchd); os.RemoveAll("/run/openvswitch") })
	return o
}

func (o *ovs) start(name string, args ...string) *exec.Cmd {
	o.t.Helper()
	cmd := exec.Command(name, append(args, "--no-chdir", "-vconsole:off", "-vsyslog:off")...)
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	return cmd
}

func kill(cmd *exec.Cmd) {
	cmd.Process.Kill() // SIGKILL: no chance to clean up
	cmd.Wait()
}

func (o *ovs) restart() {
	if o.vswitchd != nil {
		kill(o.vswitchd)
	}
	args := []string{"--pidfile", "unix:/run/openvswitch/db.sock"}
	if lab.Datapath() == lab.Userspace {
		args = append(args, "--disable-system")
	}
	o.vswitchd = o.start("ovs-vswitchd", args...)
}

// TestOpenVSwitch uses a tap of ovs-vswitchd with the userspace datapath. ovs-vswitchd crashes, and
// recreates the tap when it restarts.
func TestOpenVSwitch(t *testing.T) {
	d := fresh(t)
	o := startOVS(t)
	w := NewWatcher()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	defer func() { cancel(); <-done }()
	if err := w.Follow(ctx, d.Name); err != nil {
		t.Fatal(err)
	}
	// converge calls Ensure whenever the Watcher reports a change.
	converge := func() (changed []string) {
		t.Helper()
		deadline := time.After(30 * time.Second)
		for {
			r, err := Ensure(t.Context(), d, nil)
			if err != nil {
				t.Fatal(err)
			}
			if changed = append(changed, r.Changed...); len(r.Missing) == 0 {
				return changed
			}
			select {
			case <-w.Changed():
			case <-deadline:
				t.Fatalf("not within 30 s: %q", r.Missing)
			}
		}
	}
	check := func() {
		t.Helper()
		got := describe(t, d.Name)
		for line := range strings.Lines(right) {
			if !strings.Contains(got, line) {
				t.Errorf("tap is\n%swant %s", got, line)
			}
		}
		settled(t, d)
	}
	run(t, "ovs-vsctl", "--timeout=20", "add-br", "rb-1", "--", "set", "bridge", "rb-1", "datapath_type="+lab.Datapath(),
		"--", "add-port", "rb-1", "qr-a", "--", "set", "interface", "qr-a", "type=internal")
	converge()
	check()
	stays := lab.OnKernel(t, "the tap is left where it is: it stays in its namespace when ovs-vswitchd restarts")
	for range 3 {
		o.restart()
		if !stays {
			eventually(t, "the tap was moved again", func() bool {
				return strings.Contains(strings.Join(converge(), ", "), "moved tap qr-a")
			})
		}
		run(t, "ovs-vsctl", "--timeout=20", "add-port", "rb-1", "p", "--", "del-port", "p") // returns when ovs-vswitchd has configured everything
		if c := converge(); len(c) > 0 {
			t.Errorf("undone by ovs-vswitchd: %q", c)
		}
		check()
	}
	run(t, "ovs-vsctl", "--timeout=20", "del-br", "rb-1")
	eventually(t, "the tap has gone", func() bool {
		r, err := Ensure(t.Context(), d, nil)
		return err == nil && len(r.Missing) == 1
	})
	if err := Remove(d.Name, d.Instance); err != nil {
		t.Error(err)
	}
}
