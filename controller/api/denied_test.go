package api

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// If a process has no permission for the API's socket, the error names the group that has.
func TestDeniedNamesGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "api.sock")
	check := func(want string) {
		t.Helper()
		if err := denied(file); !errors.Is(err, fs.ErrPermission) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	check("permission denied: be root or join group ofdvr") // the process cannot see the socket, so the error has the default group
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for gid, want := range map[int]string{
		0:     "permission denied: be root, or add group ofdvr, join it and restart the daemon",
		1:     "permission denied: be root or join group daemon",
		54321: "permission denied: be root or join group 54321",
	} {
		if err := os.Chown(file, -1, gid); err != nil {
			t.Fatal(err)
		}
		check(want)
	}
}
