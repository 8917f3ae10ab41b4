package main

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/metrics"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/intent"
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

	reg := prometheus.NewRegistry()
	events := metrics.New(reg, "v")
	events.SwitchError("r", ofproto.ErrTableFull) // no series before the first
	events.Disconnected("closed")
	reg.MustRegister(metrics.NewState(func(context.Context) (metrics.State, error) {
		return metrics.State{
			Objects:    map[string]int{"network": 1},
			States:     controller.RouterStates(),
			Routers:    []metrics.Router{{ID: "r"}},
			Interfaces: []metrics.Interface{{Router: "r", ID: "i", Fallback: map[string]uint64{"ttl": 0}}},
		}, nil
	}))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	listed := regexp.MustCompile("(?m)^\\| `(ofdvr_[a-z_]+)` \\|").FindAllStringSubmatch(readme, -1)
	missing := make(map[string]bool)
	for _, m := range listed {
		missing[m[1]] = true
	}
	for _, f := range families {
		name := f.GetName()
		if !missing[name] && strings.HasPrefix(name, "ofdvr_") {
			t.Errorf("README.md does not list the metric %s", name)
		}
		delete(missing, name)
	}
	for name := range missing {
		t.Errorf("README.md lists %s, which is no metric", name)
	}

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
		if _, _, err := intent.Parse("README.md", []byte(m[1])); err != nil {
			t.Error(err)
		}
	}
}
