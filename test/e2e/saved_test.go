package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// After a file is saved, status --wait does not return for the previous version, however the file was
// saved.
func TestWaitAfterSave(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	for i := range 12 {
		next := twoNetworks + fmt.Sprintf("  - {id: more%d, network: blue, mac: \"02:00:00:00:01:%02d\", addresses: [10.0.1.%[2]d]}\n", i, 20+i)
		path, err := s.WriteFile("next.yaml", next)
		if err != nil {
			t.Fatal(err)
		}
		save := map[int]string{0: "mv " + path + " " + s.file, 1: "cat " + path + " >" + s.file} // editors rename a new file, and a shell writes in place
		s.sh("", save[i%2])
		s.ofdvr(0, "status", "--wait", "--timeout", "60s")
		if got := s.ofdvr(0, "get", "ports", "-o", "name"); !strings.Contains(got, fmt.Sprintf("more%d", i)) {
			t.Fatalf("after save %d, the ports are %q", i, got)
		}
	}
}
