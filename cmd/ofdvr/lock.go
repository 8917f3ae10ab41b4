package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/flock"
	"github.com/ofdvr/ofdvr/internal/ownfile"
)

// errLocked reports that another daemon has the lock.
var errLocked = errors.New("another ofdvr runs")

// takeLock takes the lock in dir. At most one daemon has it. The kernel releases the lock when the
// process ends. If another daemon has the lock, takeLock returns an error, and the file for
// [awaitLock].
func takeLock(dir string) (*os.File, error) {
	if err := ownfile.Dir(dir); err != nil {
		return nil, fmt.Errorf("use the directory of the lock (--run-dir): %w", err)
	}
	f, err := openLock(dir, os.O_CREATE)
	if err != nil {
		return nil, err
	}
	switch holder, err := tryLock(f); {
	case errors.Is(err, errLocked):
		return f, fmt.Errorf("%w as %s and has the lock %s; stop it first, or start this one with --standby to take over when it ends",
			errLocked, holder, f.Name())
	case err != nil:
		f.Close()
		return nil, err
	}
	signLock(f)
	return f, nil
}

// openLock opens the lock file. It makes the file accessible only to its owner, because a process
// that can read a file can lock it. Earlier versions have left files with other modes.
func openLock(dir string, create int) (*os.File, error) {
	f, err := ownfile.Open(filepath.Join(dir, "lock"), os.O_RDWR|create, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock (--run-dir): %w", err)
	}
	if err := f.Chmod(0o600); err != nil {
		f.Close()
		return nil, fmt.Errorf("change the mode of the lock (--run-dir): %w", err)
	}
	return f, nil
}

// tryLock takes a lock without waiting. If another process has the lock, the error is
// errLocked and holder describes that process.
func tryLock(f *os.File) (holder string, err error) {
	err = flock.Try(f)
	held := (*flock.HeldError)(nil)
	if !errors.As(err, &held) {
		return "", err
	}
	if held.PID != 0 {
		return held.Holder(), errLocked
	}
	pid, _ := io.ReadAll(io.LimitReader(f, 20)) // for the message only
	return "process " + strings.TrimSpace(string(pid)), errLocked
}

// keepOut takes the lock, so that no daemon starts until the returned file is closed. It fails if a
// daemon runs. If no daemon has ever run, it returns nil.
func keepOut(dir string) (*os.File, error) {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err := ownfile.Dir(dir); err != nil {
		return nil, fmt.Errorf("use the directory of the lock (--run-dir): %w", err)
	}
	f, err := openLock(dir, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	holder, err := tryLock(f)
	if err == nil {
		signLock(f)
		return f, nil
	}
	f.Close()
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("ofdvr runs as %s and has the lock %s: stop it first (systemctl stop ofdvr), because it would create everything again", holder, f.Name())
	}
	return nil, err
}

// awaitLock waits until it has taken the lock. It cannot be canceled.
func awaitLock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX); {
		case err == nil:
			signLock(f)
			return nil
		case !errors.Is(err, unix.EINTR):
			return fmt.Errorf("wait for the lock %s: %w", f.Name(), err)
		}
	}
}

// signLock writes the PID of this process into the lock. It is for messages only, so errors
// are ignored.
func signLock(f *os.File) {
	f.Truncate(0)
	f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
}
