package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// errNotUp means that the guest did not start the command.
var errNotUp = errors.New("the guest did not come up")

// An accelerator is a method of running the guest's processors.
type accelerator struct {
	name, text string // name is the value of OFDVR_GUEST
	args       []string
	up         time.Duration // time limit until the command runs
}

// accelerators returns the accelerators in the order in which to try them.
func accelerators() []accelerator {
	var out []accelerator
	if _, err := os.Stat("/dev/kvm"); err == nil {
		out = append(out, accelerator{"kvm", "with KVM", []string{"-accel", "kvm", "-cpu", "host"}, 10 * time.Second})
	}
	return append(out, accelerator{"emulated", "emulated", []string{"-accel", "tcg,thread=multi,tb-size=1024", "-cpu", "Nehalem"}, 2 * time.Minute})
}

// A machine is a guest to boot.
type machine struct {
	kernel          kernel
	initrd, scratch string
	out             io.Writer     // receives the command's output
	limit           time.Duration // time limit of the command
	verbose         bool
}

// boot runs the guest and returns the command's status. If the error is errNotUp, the command was not
// started.
func (m machine) boot(ctx context.Context, a accelerator) (int, error) {
	begun := time.Now()
	console := filepath.Join(m.scratch, "console")
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	up := time.AfterFunc(a.up, func() { kill(errNotUp) })
	defer up.Stop()
	runtime.LockOSThread() // the kernel sends Pdeathsig when this thread ends
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", append([]string{
		"-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot",
		"-smp", strconv.Itoa(runtime.NumCPU()), "-m", "4G",
		"-kernel", m.kernel.image, "-initrd", m.initrd,
		// The last argument becomes part of init's environment. Without no_timer_check, the
		// kernel's check of the timer can fail in an emulated guest on a busy machine, and the
		// kernel panics.
		"-append", "console=ttyS0 quiet no_timer_check norandmaps tsc=reliable clocksource=tsc mitigations=off panic=-1 random.trust_cpu=on OFDVR_GUEST=" + a.name,
		"-serial", "file:" + console, "-serial", "stdio",
		"-virtfs", "local,path=/,mount_tag=root,security_model=passthrough,readonly=on,multidevs=remap",
	}, a.args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	printed, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(os.Stderr, "guest: booting Linux %s, %s\n", m.kernel.version, a.text)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	running, status := false, -1
	var end *time.Timer // timer of the command's time limit
	read := demultiplex(printed, m.out, func(word string) {
		switch n, err := strconv.Atoi(strings.TrimPrefix(word, "status ")); {
		case word == "up":
			running = up.Stop()
			end = time.AfterFunc(m.limit, func() { kill(fmt.Errorf("killed after the time limit of %v", m.limit)) })
			fmt.Fprintf(os.Stderr, "guest: up after %.1f s\n", time.Since(begun).Seconds())
		case err == nil:
			status = n
		}
	})
	waitErr := cmd.Wait()
	if end != nil {
		end.Stop()
	}
	said, _ := os.ReadFile(console) // may be missing
	if m.verbose {
		os.Stderr.Write(said)
	}
	if read == nil && status >= 0 {
		return status, nil
	}
	why := context.Cause(ctx)
	if why == nil {
		why = cmp.Or(errors.Join(read, waitErr), errors.New("QEMU exited"))
	}
	if !running && errors.Is(why, errNotUp) {
		return 0, fmt.Errorf("%w within %v %s\n%s%s", why, a.up, a.text, complaints.Bytes(), lastLines(said, 10))
	}
	if !running {
		return 0, fmt.Errorf("%w %s: %v\n%s%s", errNotUp, a.text, why, complaints.Bytes(), lastLines(said, 10))
	}
	return 0, fmt.Errorf("the guest ended without a status: %w\n%s%s", why, complaints.Bytes(), lastLines(said, 30))
}

// demultiplex copies the command's output to out, and calls mark with the text after each marker.
func demultiplex(r io.Reader, out io.Writer, mark func(string)) error {
	for b := bufio.NewReader(r); ; {
		line, err := b.ReadString('\n')
		text, word, marked := strings.Cut(line, marker+" ")
		if _, err := io.WriteString(out, text); err != nil {
			return err
		}
		if marked {
			mark(strings.TrimSpace(word))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// lastLines returns the last n lines of text.
func lastLines(text []byte, n int) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-n-1):], nil)
}
