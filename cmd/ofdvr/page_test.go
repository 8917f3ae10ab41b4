package main

import (
	"slices"
	"testing"
)

// Without --page, the page is served on loopback addresses only.
func TestOnLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:9476": true, "127.1.2.3:1": true, "[::1]:9476": true, "localhost:9476": true,
		":9476": false, "0.0.0.0:9476": false, "[::]:9476": false, "10.0.0.1:9476": false, "host1:9476": false, "localhost.example:9476": false, "": false, "127.0.0.1": false,
	} {
		if onLoopback(addr) != want {
			t.Errorf("%q: %v", addr, !want)
		}
	}
	if names := pageNames("Host1:9476"); !slices.Contains(names, "host1") {
		t.Errorf("the host name of the address is not one of %q", names)
	}
}
