package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Without a daemon, doctor reports whether the switch still routes, judging by the existing
// bridges. If the permission is missing, it says so.
func TestDoctorWithoutDaemon(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "db.sock")
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	for script, want := range map[string]string{
		`case "$*" in *ovs_version*) echo '"3.1.0"';; *find*) echo rb-r1; echo rb-r2;; esac`:            "note     routing: 2 bridges of ofdvr in Open vSwitch: routing goes on without the daemon",
		`case "$*" in *ovs_version*) echo '"3.1.0"';; *find*) ;; esac`:                                  "note     routing: ofdvr has no bridges in Open vSwitch, so nothing is routed",
		`echo 'ovs-vsctl: unix:/x/db.sock: database connection failed (Permission denied)' >&2; exit 1`: "PROBLEM  Open vSwitch: ovs-vsctl has no permission for " + socket + "\n         → run doctor as root\n",
		`exit 1`: "PROBLEM  Open vSwitch: ovs-vsctl cannot read its version: exit status 1",
	} {
		if err := os.WriteFile(filepath.Join(dir, "ovs-vsctl"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		printFindings(&out, withoutDaemon(t.Context(), errors.New("connection refused"), socket), nil)
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "goes on") != strings.Contains(want, "goes on") {
			t.Errorf("with %s:\n%s\nwant %s", script, &out, want)
		}
	}
}
