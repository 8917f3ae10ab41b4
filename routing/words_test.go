package routing_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/routing"
)

// A shell parses the result into the same IDs, and no command mistakes an ID for a flag.
func TestArguments(t *testing.T) {
	for want, ids := range map[string][]string{
		"vm1":              {"vm1"},
		"vm1 a/b-c":        {"vm1", "a/b-c"},
		"-- -x":            {"-x"},
		"-- vm1 --all":     {"vm1", "--all"},
		"'a b' 'it'\\''s'": {"a b", "it's"},
		"'$(id)' '' 'ü'":   {"$(id)", "", "ü"},
	} {
		got := routing.Arguments(ids...)
		if got != want {
			t.Errorf("%q: %s, want %s", ids, got, want)
		}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "for a in "+strings.TrimPrefix(got, "-- ")+"; do printf '%s|' \"$a\"; done").Output()
		if err != nil || string(out) != strings.Join(ids, "|")+"|" {
			t.Errorf("a shell parses %q as %q, error %v", ids, out, err)
		}
	}
}
