package ovsdb_test

import (
	"flag"
	"os"
	"testing"

	_ "pgregory.net/rapid" // defines its flags

	"github.com/ofdvr/ofdvr/test/lab"
)

// TestMain runs more than rapid's default of 100 checks, unless the command line overrides it,
// because a check takes only a few milliseconds.
func TestMain(m *testing.M) {
	checks := "500"
	if lab.Full() {
		checks = "3000"
	}
	for name, v := range map[string]string{"rapid.checks": checks, "rapid.nofailfile": "true"} {
		if err := flag.Set(name, v); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	os.Exit(m.Run())
}
