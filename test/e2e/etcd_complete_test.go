package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// Objects that were applied before the first daemon starts are complete: the daemon declares it, as it
// does for an empty intent.
func TestAppliedBeforeHostsStart(t *testing.T) {
	t.Parallel()
	f, flags, file := unstarted(t)
	f.hosts[0].ofdvr(0, append([]string{"apply", file}, flags...)...)
	f.startAll(flags)
	f.awaitNew(false)
}

// While an import has not ended, a daemon that starts does not declare the intent complete.
func TestHostsStartDuringImport(t *testing.T) {
	t.Parallel()
	f, flags, file := unstarted(t)
	s := f.hosts[0]
	s.ofdvr(0, append([]string{"etcd", "import", file, "--incomplete"}, flags...)...)
	f.startAll(flags)
	f.awaitNew(true)
	s.ofdvr(0, append([]string{"etcd", "import", file}, flags...)...)
	f.awaitNew(false)
}

// unstarted returns hosts without daemons, the flags of etcd, which is empty, and a topology file.
func unstarted(t *testing.T) (f *fleet, flags []string, file string) {
	t.Helper()
	f = newFleet(t, 2, blueAndGreen)
	flags, _ = f.serveEtcd(1)
	file, err := f.hosts[0].WriteFile("fleet.yaml", fleetTopology(2, blueAndGreen, strings.Fields("b11 g22")))
	if err != nil {
		t.Fatal(err)
	}
	return f, flags, file
}

func (f *fleet) startAll(flags []string) {
	f.t.Helper()
	for i, s := range f.hosts {
		s.serve(append([]string{"--host", fmt.Sprint("h", i+1)}, flags...)...)
	}
}

// awaitNew waits until the daemons have the intent and count its store as new, or not.
func (f *fleet) awaitNew(is bool) {
	f.t.Helper()
	for _, s := range f.hosts {
		s.eventually(fmt.Sprintf("the store to be new: %v", is), func() error {
			st, err := s.readStatus()
			if err != nil {
				return err
			}
			if len(st.Hosts) != len(f.hosts) || strings.Contains(strings.Join(st.Problems, "\n"), "the store is new") != is {
				return fmt.Errorf("%d hosts, problems: %q", len(st.Hosts), st.Problems)
			}
			return nil
		})
	}
}
