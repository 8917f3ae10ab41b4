package ovsdb_test

import (
	"flag"
	"os"
	"testing"

	_ "pgregory.net/rapid" // defines its flags
)

// TestMain has the properties checked more often than rapid's 100 times,
// unless the command line says otherwise: a check takes a fraction of a
// millisecond.
func TestMain(m *testing.M) {
	for name, v := range map[string]string{"rapid.checks": "3000", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, v); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	os.Exit(m.Run())
}
