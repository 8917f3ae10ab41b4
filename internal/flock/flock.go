// Package flock takes file locks (flock(2)) without waiting for them.
package flock

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A HeldError means that another open file has the lock.
type HeldError struct {
	File    string
	PID     int    // process that took the lock; 0 if unknown
	Command string // command of that process, "" if unknown
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%s holds the lock of %s", e.Holder(), e.File)
}

// Holder describes the process that holds the lock.
func (e *HeldError) Holder() string {
	switch {
	case e.PID == 0:
		return "another process"
	case e.Command == "":
		return fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("process %d (%s)", e.PID, e.Command)
}

// Try locks f. It returns a [*HeldError] if another open file has the lock.
func Try(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return holder(f)
		case err != nil:
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		default:
			return nil
		}
	}
}

// holder finds the process that holds the lock of f (proc_locks(5)).
func holder(f *os.File) *HeldError {
	e := &HeldError{File: f.Name()}
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return e
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	locks, _ := os.ReadFile("/proc/locks") // after an error the holder is unknown
	for line := range strings.Lines(string(locks)) {
		field := strings.Fields(line) // such as 1: FLOCK ADVISORY WRITE PID FILE 0 EOF; with -> for a waiting process
		if len(field) < 6 || field[1] != "FLOCK" || field[5] != file {
			continue
		}
		if _, err := fmt.Sscan(field[4], &e.PID); err != nil || e.PID <= 0 {
			e.PID = 0 // a process in another PID namespace
			continue
		}
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", e.PID))
		e.Command = strings.TrimSpace(string(command))
		break
	}
	return e
}
