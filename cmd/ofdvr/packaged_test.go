package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// The configuration file of the package has every key as a comment, with its default. It does
// not set any key.
func TestPackagedConfiguration(t *testing.T) {
	const packaged = "../../contrib/deb/ofdvr.yaml"
	data, err := os.ReadFile(packaged)
	if err != nil {
		t.Fatal(err)
	}
	asInstalled := newServe().Flags()
	if err := readConfig(t.Context(), packaged, asInstalled); err != nil {
		t.Error(err)
	}
	// This is the file with all keys uncommented.
	key := regexp.MustCompile(`(?m)^# ([a-z-]+: .+)$`)
	var all strings.Builder
	keys := make(map[string]bool)
	for _, m := range key.FindAllStringSubmatch(string(data), -1) {
		name, _, _ := strings.Cut(m[1], ":")
		if asInstalled.Lookup(name) != nil {
			all.WriteString(m[1] + "\n")
			keys[name] = true
		}
	}
	file := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(file, []byte(all.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	read := newServe().Flags()
	if err := readConfig(t.Context(), file, read); err != nil {
		t.Error(err)
	}
	newServe().Flags().VisitAll(func(f *pflag.Flag) {
		if !keys[f.Name] && f.Name != "config" {
			t.Errorf("%s lacks the key %s", packaged, f.Name)
		}
		for _, flags := range []*pflag.FlagSet{asInstalled, read} {
			if got := flags.Lookup(f.Name).Value.String(); got != f.DefValue {
				t.Errorf("%s: %s is %s, want its default %s", packaged, f.Name, got, f.DefValue)
			}
		}
	})
}
