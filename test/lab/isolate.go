package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// StageEnv is the environment variable with the stage of making a bubble. To run a command
	// in another kernel, a program in a bubble removes this variable and TMPDIR from the
	// command's environment. Then the command makes its own bubble.
	StageEnv    = "OFDVR_LAB_STAGE"
	stageInit   = "init"   // PID 1 of new namespaces, which sets them up and starts the program
	stageInside = "inside" // the program itself

	// scratch is the bubble's own temporary directory, on a tmpfs. Hosts see
	// it under the same path.
	scratch = "/run/lab"

	// grace is the time that a program has to clean up after a signal to end.
	grace = 10 * time.Second
)

// Isolated reports whether the program runs inside a bubble.
func Isolated() bool { return os.Getenv(StageEnv) == stageInside }

// Isolate runs the program in a bubble, which is a set of new PID, mount and network namespaces.
// Outside of a bubble, it runs the program again inside, with the same arguments and standard streams,
// and exits with its status. Inside, it returns nil. Call it at the start of main or TestMain. The
// error is the reason why a bubble is impossible on this machine.
//
// The bubble has /proc, an empty /run, a TMPDIR in memory and only a loopback interface, which is
// up. PID 1 there is not the program but a small init, which reaps orphans. The outer process
// passes SIGINT, SIGTERM, SIGHUP and SIGQUIT on to the program. The program has 10 seconds to end.
// Then all processes inside are killed. A second signal kills them at once. If the outer process
// dies, even by SIGKILL, they are killed at once.
func Isolate() error {
	switch os.Getenv(StageEnv) {
	case stageInside:
		// make test sets GOGC and GOMEMLIMIT for the tests themselves. The daemon uses Go's defaults,
		// because its memory is measured.
		return errors.Join(os.Unsetenv("GOGC"), os.Unsetenv("GOMEMLIMIT"))
	case stageInit:
		return initBubble()
	}
	if err := Missing(); err != nil {
		return err
	}
	return enterBubble()
}

func forwarded() chan os.Signal {
	c := make(chan os.Signal, 16) // enough for a burst; further signals may be dropped
	signal.Notify(c, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	return c
}

// enterBubble is the outer process. It returns only if the bubble could not be
// made.
func enterBubble() error {
	runtime.LockOSThread() // the kernel sends Pdeathsig when this thread dies, not when the process dies
	signals := forwarded()
	ready, report, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe to the bubble: %w", err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), StageEnv+"="+stageInit)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{report}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET,
		Pdeathsig:  unix.SIGKILL,
		Setpgid:    true, // so that Ctrl-C on a terminal reaches the program only once, through the outer process
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("make PID, mount and network namespaces: %w", err)
	}
	report.Close()
	ended := make(chan struct{})
	go relay(signals, cmd.Process, ended)
	problem, err := io.ReadAll(ready)
	waitErr := cmd.Wait()
	close(ended)
	switch {
	case err != nil:
		return fmt.Errorf("read the bubble's report: %w", err)
	case len(problem) > 0:
		return errors.New(string(problem))
	case cmd.ProcessState == nil:
		return fmt.Errorf("wait for the bubble: %w", waitErr)
	}
	// os.Exit is not used, because it takes a second under the race detector.
	unix.Exit(exitCode(cmd.ProcessState.Sys().(syscall.WaitStatus)))
	panic("unreachable")
}

// relay passes signals on to p until ended is closed. It kills p if p does not end soon after
// the first signal.
func relay(signals <-chan os.Signal, p *os.Process, ended <-chan struct{}) {
	var deadline <-chan time.Time
	for {
		select {
		case <-ended:
			return
		case <-deadline:
			p.Kill()
		case s := <-signals:
			if deadline != nil {
				p.Kill()
				continue
			}
			p.Signal(s)
			deadline = time.After(grace)
		}
	}
}

// initBubble is the code of PID 1 of the bubble. It sets up the namespaces, reports the result on
// file descriptor 3, starts the program and reaps orphans. It exits with the program's status. Its
// exit ends all other processes in the bubble.
func initBubble() error {
	if os.Getpid() != 1 {
		return fmt.Errorf("%s=%s is set, but this is not the first process of a bubble", StageEnv, stageInit)
	}
	signals := forwarded()
	report := os.NewFile(3, "report")
	p, err := startInside()
	if err != nil {
		fmt.Fprintf(report, "set up the bubble: %v", err)
		os.Exit(1)
	}
	report.Close()
	go func() {
		for s := range signals {
			p.Signal(s) // fails only after p has ended
		}
	}()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for the bubble's processes: %w", err)
		case pid == p.Pid:
			unix.Exit(exitCode(syscall.WaitStatus(ws)))
		}
	}
}

// startInside sets up the bubble's namespaces and starts the program in them.
func startInside() (*os.Process, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return nil, fmt.Errorf("mount /run: %w", err)
	}
	// mount(8) keeps its state in /run/mount and prints a warning if it cannot.
	for _, dir := range []string{scratch, "/run/mount", "/run/netns", "/run/openvswitch", "/run/lock"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ip link set lo up: %w: %s", err, strings.TrimSpace(string(out)))
	}
	os.Setenv(StageEnv, stageInside)
	os.Setenv("TMPDIR", scratch)
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=50") // the default is a second for each program that ends
	}
	p, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return nil, fmt.Errorf("start the program: %w", err)
	}
	return p, nil
}

// exitCode returns the status that a shell would report.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}
