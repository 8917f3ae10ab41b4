package credentials

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A secret that all users can read causes a warning. A secret that only its owner and group
// can read causes no warning.
func TestReadableSecretWarning(t *testing.T) {
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o640: 0, 0o644: 1, 0o604: 1, 0o666: 1} {
		file := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(file, []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		core, logs := observer.New(zap.WarnLevel)
		WarnIfReadable("token", file, zap.New(core))
		if got := logs.Len(); got != want {
			t.Errorf("mode %v: %d warnings, want %d", mode, got, want)
		}
	}
}
