//go:build neutron

package neutron

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// The extension's own tests pass with Neutron's test tools. They include Neutron's tests of
// distributed routers, run with the extension's router instead of Neutron's.
func TestExtension(t *testing.T) {
	lab.Needs(t, "neutron-l3-agent")
	// Each file runs in its own process: Neutron's unit tests turn all threads into green
	// threads, in which a server of the standard library does not run.
	const dir = "../../contrib/neutron"
	files, err := filepath.Glob(dir + "/ofdvr_neutron/tests/test_*.py")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no tests", err)
	}
	for _, f := range files {
		module := strings.TrimSuffix(filepath.Base(f), ".py")
		t.Run(module, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-W", "ignore", "-m", "unittest", "ofdvr_neutron.tests."+module)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
			out, err := cmd.CombinedOutput()
			if err != nil || !regexp.MustCompile(`Ran [1-9]\d* tests`).Match(out) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
