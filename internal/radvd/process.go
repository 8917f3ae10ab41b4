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

// Files of a router, in the directory.
const (
	confFile = ".conf"
	pidFile  = ".pid"
	logFile  = ".log"
)

// A process is a radvd. The file descriptor stands for it, whoever gets its PID
// after its end.
type process struct {
	pid int
	fd  int // pidfd_open(2)
}

// findProcess returns the radvd whose files are base and an ending, nil if it
// does not run. Somebody else's process is not taken for it.
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
		return nil, nil // it is about to write it
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

// openProcess returns the process with a PID, nil if there is none.
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

// ended waits for the end of p and reports whether it has come.
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

// How long a radvd that is told to end may take: it has but to send an
// advertisement.
const (
	endPatience  = 2 * time.Second
	killPatience = time.Second
)

// stop ends p. It tells the machines first that it is a router no longer.
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
		return fmt.Errorf("radvd, process %d, does not end", p.pid)
	}
	return nil
}

// reap takes note of the end of p if it is a child of this program, and returns
// how it ended, "" if that is not known.
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

// StopAll ends every radvd of a directory, removes their files, and returns the
// PIDs that they had.
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

// basesIn returns what the files in a directory are called without endings.
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
		return nil, fmt.Errorf("list what radvd has been told: %w", err)
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
		if n := len(bases); n == 0 || bases[n-1] != base { // they are sorted
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
