package api

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// A process without permission for the API's socket gets an error that names the group with
// permission.
func TestDeniedNamesGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "api.sock")
	check := func(want string) {
		t.Helper()
		if err := denied(file); !errors.Is(err, fs.ErrPermission) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	check("permission denied: be root or join group ofdvr") // where the socket cannot be seen
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
