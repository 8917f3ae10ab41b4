package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

const (
	daemonPackage = "github.com/ofdvr/ofdvr/cmd/ofdvr"

	// binaryEnv is the environment variable with the path of a binary. If it is set, the
	// program is not built.
	binaryEnv = "OFDVR_BINARY"
)

// Binary returns the path of the program under test. The first call builds it, unless
// OFDVR_BINARY in the environment names a binary. It uses the race detector if the calling
// program does. The working directory must be inside the module. The module's dependencies
// must have been downloaded, because a bubble has no network.
var Binary = sync.OnceValues(func() (string, error) { return build(RaceDetector) })

// plainBinary is Binary without the race detector.
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
	if err := buildShared(race, path); err != nil {
		return "", fmt.Errorf("build %s (missing modules cannot be downloaded here; run go mod download before): %w", daemonPackage, err)
	}
	return path, nil
}

// buildShared builds the program in the module's directory bin/test, and copies it to path. The
// tests of all packages share that directory. If the existing program is up to date, the go command
// does not link it again. If the module cannot be written to, the program is built at path.
func buildShared(race bool, path string) error {
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return err
	}
	dir := filepath.Join(filepath.Dir(string(gomod)), "bin", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return goBuild(race, path)
	}
	shared := filepath.Join(dir, "ofdvr")
	if race {
		shared += "-race"
	}
	lock, err := os.OpenFile(shared+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return goBuild(race, path)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if err := goBuild(race, shared); err != nil {
		return err
	}
	program, err := os.ReadFile(shared)
	if err != nil {
		return err
	}
	return os.WriteFile(path, program, 0o755)
}

func goBuild(race bool, path string) error {
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", path) // git may refuse a checkout of another user
	if race {
		cmd.Args = append(cmd.Args, "-race")
	} else { // the flags are those of the Debian package, so that Go's cache already has the compiled files
		cmd.Args = append(cmd.Args, "-trimpath")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	cmd.Args = append(cmd.Args, daemonPackage)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// StartDaemon starts the program under test on the host with the given
// arguments, such as "serve", "--topology", FILE. It does not wait until the
// daemon is ready. Its log is ofdvr.log in the host's directory.
func (h *Host) StartDaemon(args ...string) (*Process, error) {
	return h.startDaemon(Binary, args)
}

// StartPlainDaemon is like [Host.StartDaemon], but without the race detector. With the race
// detector the daemon needs several times as much memory.
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
