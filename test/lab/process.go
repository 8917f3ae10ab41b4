package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// A Process is a program that runs on a host or machine until it is stopped or the
// host is closed. Its output goes to a log file. Its methods may be called from
// several goroutines.
type Process struct {
	Name    string // name of the program, with a number if the program was started before
	LogFile string // absolute; standard output and error
	Pid     int    // PID in the bubble

	proc  *os.Process
	done  chan struct{} // closed when the process has ended; state is set before
	state *os.ProcessState
}

// start starts cmd, which has not been started, with a new log file in dir.
func start(cmd *exec.Cmd, dir, name string) (*Process, error) {
	log, err := newLog(dir, name)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{
		Name:    strings.TrimSuffix(filepath.Base(log.Name()), ".log"),
		LogFile: log.Name(),
		Pid:     cmd.Process.Pid,
		proc:    cmd.Process,
		done:    make(chan struct{}),
	}
	go func() { // ends with the process
		cmd.Wait() // the state has its error
		p.state = cmd.ProcessState
		close(p.done)
	}()
	return p, nil
}

// newLog creates name.log in dir. If it exists, newLog creates name-2.log, and so on.
func newLog(dir, name string) (*os.File, error) {
	for n := 1; ; n++ {
		path := filepath.Join(dir, name+".log")
		if n > 1 {
			path = filepath.Join(dir, fmt.Sprintf("%s-%d.log", name, n))
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
		if !os.IsExist(err) {
			return f, err
		}
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the process has ended and returns its exit status. As in a shell, the
// status of a killed process is 128 plus the number of the signal.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return exitCode(p.state.Sys().(syscall.WaitStatus)), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for %s (PID %d) to end: %w", p.Name, p.Pid, context.Cause(ctx))
	}
}

// Signal sends sig to the process.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.proc.Signal(sig); err != nil {
		return fmt.Errorf("send %v to %s (PID %d): %w", sig, p.Name, p.Pid, err)
	}
	return nil
}

// Stop sends SIGTERM, waits until the process has ended and returns its exit status. If ctx is
// done first, the process keeps running.
func (p *Process) Stop(ctx context.Context) (int, error) {
	select {
	case <-p.done: // nothing to signal
	default:
		if err := p.Signal(syscall.SIGTERM); err != nil && p.running() {
			return 0, err
		}
	}
	return p.Wait(ctx)
}

// Kill sends SIGKILL and waits until the process has ended.
func (p *Process) Kill() {
	p.proc.Kill() // an error means that the process has ended
	<-p.done
}

func (p *Process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Log returns the process's output so far, or the error of reading it.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.LogFile)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
