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
)

// errLocked says that another daemon has the lock.
var errLocked = errors.New("another ofdvr runs")

// takeLock takes the lock in dir, which at most one daemon has, and which the
// kernel takes back when that ends in whatever way. If another one has it, the
// file is returned too, for [awaitLock].
func takeLock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a place for the lock (--run-dir): %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock (--run-dir): %w", err)
	}
	switch holder, err := tryLock(f); {
	case errors.Is(err, errLocked):
		return f, fmt.Errorf("%w as process %s and has the lock %s; stop it first, or start this one with --standby to take over when it ends",
			errLocked, holder, f.Name())
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	signLock(f)
	return f, nil
}

// tryLock takes a lock at once. The error is errLocked if another daemon has it, the
// process holder.
func tryLock(f *os.File) (holder string, err error) {
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid, _ := io.ReadAll(io.LimitReader(f, 20)) // for the message only
		return strings.TrimSpace(string(pid)), errLocked
	}
	return "", err
}

// keepOut keeps daemons away until the file is closed, and fails if one runs. Where no
// daemon has ever run, the file is nil.
func keepOut(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the lock (--run-dir): %w", err)
	}
	holder, err := tryLock(f)
	if err == nil {
		signLock(f)
		return f, nil
	}
	f.Close()
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("ofdvr runs as process %s and has the lock %s: stop it first (systemctl stop ofdvr), or it makes everything again", holder, f.Name())
	}
	return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
}

// awaitLock returns when the lock is taken. Nothing but the end of the process
// ends it before.
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

// signLock writes who has the lock. It is for people: a full disk does not
// matter.
func signLock(f *os.File) {
	f.Truncate(0)
	f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
}
