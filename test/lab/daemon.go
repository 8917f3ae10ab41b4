package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

const (
	daemonPackage = "github.com/ofdvr/ofdvr/cmd/ofdvr"

	// binaryEnv names a binary to use instead of building one.
	binaryEnv = "OFDVR_BINARY"
)

// Binary returns the path of the program under test. It is built when first
// asked for, with the race detector if the calling program has it, unless
// OFDVR_BINARY in the environment names one. The working directory must be
// inside the module, and the module's dependencies downloaded, as there is no
// network in a bubble.
var Binary = sync.OnceValues(func() (string, error) { return build(RaceDetector) })

// plainBinary is the same without the race detector.
var plainBinary = sync.OnceValues(func() (string, error) { return build(false) })

func build(race bool) (string, error) {
	if path := os.Getenv(binaryEnv); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "ofdvr-bin-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "ofdvr")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path) // git may refuse a checkout that is not root's
	if race {
		cmd.Args = append(cmd.Args, "-race")
	} else { // as in a package, which has the same compiled files in Go's cache
		cmd.Args = append(cmd.Args, "-trimpath")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	cmd.Args = append(cmd.Args, daemonPackage)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build %s (missing modules cannot be fetched here; run go mod download before): %w\n%s",
			daemonPackage, err, out)
	}
	return path, nil
}

// StartDaemon starts the program under test on the host with the given
// arguments, such as "serve", "--topology", FILE. It does not wait until the
// daemon is ready. Its log is ofdvr.log in the host's directory.
func (h *Host) StartDaemon(args ...string) (*Process, error) {
	return h.startDaemon(Binary, args)
}

// StartPlainDaemon is like [Host.StartDaemon] without the race detector, which needs several
// times as much memory.
func (h *Host) StartPlainDaemon(args ...string) (*Process, error) {
	return h.startDaemon(plainBinary, args)
}

func (h *Host) startDaemon(binary func() (string, error), args []string) (*Process, error) {
	path, err := binary()
	if err != nil {
		return nil, err
	}
	return h.startIn("", "ofdvr", path, args...)
}

// Ofdvr runs another command of the program under test on the host, such as
// "status", and returns its standard output.
func (h *Host) Ofdvr(ctx context.Context, args ...string) (string, error) {
	path, err := Binary()
	if err != nil {
		return "", err
	}
	return run(h.Command(ctx, path, args...), "", "ofdvr", args)
}
