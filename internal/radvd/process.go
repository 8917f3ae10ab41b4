package radvd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/ownfile"
)

// Extensions of a router's files in the directory.
const (
	confFile = ".conf"
	pidFile  = ".pid"
	logFile  = ".log"
)

// A process is a running radvd. The pidfd identifies it even if its PID is reused.
type process struct {
	pid int
	fd  int // pidfd_open(2)
}

// findProcess returns the radvd with the given base name, or nil if it is not running. It checks
// that the process is that radvd.
func findProcess(base string) (*process, error) {
	text, err := ownfile.ReadFile(base + pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find radvd: %w", err)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil || pid <= 0 {
		return nil, nil // radvd has not written its PID yet
	}
	p, err := openProcess(pid)
	if err != nil || p == nil {
		return nil, err
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !bytes.Contains(cmdline, []byte("\x00-C\x00"+base+confFile+"\x00")) || p.ended(0) {
		unix.Close(p.fd)
		return nil, nil
	}
	return p, nil
}

// openProcess returns the process with a PID, or nil if it does not exist.
func openProcess(pid int) (*process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &process{pid, fd}, nil
}

// ended waits for the end of p, up to wait, and reports whether p has ended.
func (p *process) ended(wait time.Duration) bool {
	until := time.Now().Add(wait)
	for {
		fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, int(max(0, time.Until(until)).Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return n > 0
		}
	}
}

func (p *process) signal(sig unix.Signal) error {
	if err := unix.PidfdSendSignal(p.fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %v to radvd, process %d: %w", sig, p.pid, err)
	}
	return nil
}

// Time limits for the end of a radvd, which only has to send its final advertisements.
const (
	endPatience  = 2 * time.Second
	killPatience = time.Second
)

// stop stops p. radvd first sends final advertisements with lifetime 0.
func (p *process) stop() error {
	if err := p.signal(unix.SIGTERM); err != nil {
		return err
	}
	if p.ended(endPatience) {
		return nil
	}
	if err := p.signal(unix.SIGKILL); err != nil {
		return err
	}
	if !p.ended(killPatience) {
		return fmt.Errorf("radvd (process %d) did not end", p.pid)
	}
	return nil
}

// reap reaps p if it is a child of this program. It returns the exit status as text, or "" if
// it is unknown.
func (p *process) reap() string {
	var status unix.WaitStatus
	for {
		switch pid, err := unix.Wait4(p.pid, &status, unix.WNOHANG, nil); {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || pid != p.pid:
			return ""
		case status.Signaled():
			return "it was killed by signal " + strconv.Itoa(int(status.Signal()))
		}
		return "status " + strconv.Itoa(status.ExitStatus())
	}
}

// Running returns the PIDs of all radvd processes of a directory.
func Running(dir string) (pids []int, err error) {
	bases, err := basesIn(dir)
	for _, base := range bases {
		p, err := findProcess(base)
		if err != nil {
			return pids, err
		}
		if p != nil {
			pids = append(pids, p.pid)
			unix.Close(p.fd)
		}
	}
	return pids, err
}

// StopAll stops every radvd of a directory, removes their files, and returns their PIDs.
func StopAll(dir string) ([]int, error) {
	bases, err := basesIn(dir)
	if err != nil {
		return nil, err
	}
	var stopped []int
	var errs []error
	for _, base := range bases {
		p, err := findProcess(base)
		if err == nil && p != nil {
			if err = p.stop(); err == nil {
				stopped = append(stopped, p.pid)
			}
			unix.Close(p.fd)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, removeFiles(base))
	}
	return stopped, errors.Join(errs...)
}

// basesIn returns the base names of the files in a directory.
func basesIn(dir string) ([]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = ownfile.CheckDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("list the files of radvd: %w", err)
	}
	var bases []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if ext != confFile && ext != pidFile && ext != logFile {
			continue
		}
		base := filepath.Join(dir, e.Name()[:len(e.Name())-len(ext)])
		if _, err := hex.DecodeString(filepath.Base(base)); err != nil || len(filepath.Base(base)) != baseLen {
			continue // not ours
		}
		if n := len(bases); n == 0 || bases[n-1] != base { // names are sorted
			bases = append(bases, base)
		}
	}
	return bases, nil
}

func removeFiles(base string) error {
	var errs []error
	for _, ext := range []string{confFile, pidFile, logFile} {
		errs = append(errs, ownfile.Remove(base+ext))
	}
	return errors.Join(errs...)
}
