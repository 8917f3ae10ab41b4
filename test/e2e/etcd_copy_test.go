package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// A host that is restarted while etcd does not answer routes with the copy of the intent on its disk,
// and says so. When etcd answers, it has etcd's intent.
func TestHostStartsWithoutEtcd(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, blueAndGreen)
	flags, etcd := f.serveEtcd(2)
	for i, s := range f.hosts {
		s.serve(append([]string{"--host", fmt.Sprint("h", i+1)}, flags...)...)
	}
	h1 := f.hosts[0]
	file, err := h1.WriteFile("fleet.yaml", fleetTopology(2, blueAndGreen, []string{"b11", "g12", "g21"}))
	if err != nil {
		t.Fatal(err)
	}
	h1.ofdvr(0, "apply", file)
	for _, m := range []string{"b11", "g12", "g21"} {
		f.plug(m)
	}
	f.settle()
	h1.eventually("the copy to be on the disk", func() error {
		_, err := h1.Run(t.Context(), "cat", "/var/lib/ofdvr/etcd/origin.json")
		return err
	})
	etcd.Signal(syscall.SIGSTOP)
	if code, err := h1.daemon.Stop(t.Context()); err != nil || code != 0 {
		t.Fatal(code, err)
	}
	h1.Switch().Kill()
	if err := h1.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	h1.serve(h1.flags...)
	for _, to := range []string{"g12", "g21"} {
		for i := range 2 {
			h1.eventually("packets to pass to "+to, func() error {
				_, err := f.machines["b11"].Run(t.Context(), "ping", "-c", "1", "-W", "1", address(f.machines[to].MachineConfig, i))
				return err
			})
		}
	}
	if st := h1.status(); !strings.Contains(strings.Join(st.Problems, "\n"), "in use is the copy on this host's disk") {
		t.Errorf("problems: %q", st.Problems)
	}
	mustHave(t, h1.ofdvr(0, "status"), "in use is the copy on this host's disk")
	h1.metric(0, "ofdvr_etcd_connected")
	h1.metric(1, "ofdvr_etcd_copy_used")
	etcd.Signal(syscall.SIGCONT)
	h1.eventually("etcd to answer", func() error {
		if st := h1.status(); len(st.Problems) > 0 {
			return fmt.Errorf("problems: %q", st.Problems)
		}
		return nil
	})
	h1.metric(1, "ofdvr_etcd_connected")
	h1.metric(0, "ofdvr_etcd_copy_used")
	h1.ofdvr(0, "delete", "port", "g12", "--wait")
	f.settle()
	if out := h1.ofdvr(0, "get", "ports"); strings.Contains(out, "g12") || !strings.Contains(out, "g21") {
		t.Errorf("the ports are\n%s", out)
	}
}
