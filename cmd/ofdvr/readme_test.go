package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// TestReadme compares what README.md lists with what there is.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)

	flags := func(f *pflag.Flag) {
		def := strings.Trim(f.DefValue, "[]") // a list's
		if !regexp.MustCompile("`--" + f.Name + "[ `]").MatchString(readme) {
			t.Errorf("README.md does not mention serve's flag --%s", f.Name)
		} else if def != "" && !strings.Contains(readme, "| `"+def+"` |") {
			t.Errorf("README.md does not have the default of --%s, %s", f.Name, def)
		}
	}
	newServe().Flags().VisitAll(flags)

	for _, state := range controller.RouterStates() {
		if !strings.Contains(readme, "\n| `"+state+"` |") {
			t.Errorf("README.md does not explain the state %s", state)
		}
	}

	topologies := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readme, -1)
	if len(topologies) == 0 {
		t.Error("README.md has no topology")
	}
	for _, m := range topologies {
		if _, _, err := topology.Parse("README.md", []byte(m[1])); err != nil {
			t.Error(err)
		}
	}
}
