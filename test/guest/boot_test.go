//go:build kernel

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// build builds this program in the directory of the kernel and returns its path.
func build(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/guest")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// A command in a guest has the same arguments, environment, files and working directory as outside,
// and runs as root, on another kernel with an openvswitch module. Its output and status are
// returned. Its writes are discarded.
func TestCommandEnvironment(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("of the host\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(build(t), "sh", "-c", `
		printf '%s|' "$@"; echo "$VARIABLE"; id -u; ulimit -Hn; pwd; cat file; echo of the guest >file; cat file
		case $OFDVR_GUEST in kvm | emulated) echo OFDVR_GUEST is set;; esac
		ls -d /sys/module/openvswitch; uname -r; echo an error >&2; printf 'no newline'; exit 42`,
		"sh", "two words", "", `it's "quoted" $HOME \`)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "VARIABLE=two\nlines")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 42 {
		t.Fatalf("%v, want status 42\n%s\n%s", err, out, exit.Stderr)
	}
	k, err := findKernel("/", "../../bin/kernel")
	if err != nil {
		t.Fatal(err)
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	want := `two words||it's "quoted" $HOME \|two` + "\nlines\n0\n" + fmt.Sprint(min(files.Max, 1<<20)) + "\n" + dir + "\nof the host\nof the guest\nOFDVR_GUEST is set\n/sys/module/openvswitch\n" +
		k.version + "\nan error\nno newline"
	if string(out) != want {
		t.Errorf("the output is\n%s\nwant\n%s", out, want)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(data) != "of the host\n" {
		t.Errorf("the guest changed the file outside: %q, %v", data, err)
	}
}

// A guest is killed if it hangs, or if its command ignores a signal to end. The reason is
// reported, and no process or file remains.
func TestHungGuestIsKilled(t *testing.T) {
	program := build(t)
	for _, c := range []struct {
		name, timeout string
		signal        os.Signal
		want          string
	}{
		{"after its time", "10s", nil, "killed after the time limit of 10s"},
		{"at a signal", "10m", syscall.SIGTERM, "terminated signal received"},
	} {
		t.Run(c.name, func(t *testing.T) {
			temp := t.TempDir()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "-timeout", c.timeout, "sh", "-c", "echo begun; trap '' TERM; sleep 1000")
			cmd.Env = append(os.Environ(), "TMPDIR="+temp)
			var complaints strings.Builder
			cmd.Stderr = &complaints
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			begun := make([]byte, len("begun"))
			if _, err := out.Read(begun); err != nil || string(begun) != "begun" {
				t.Fatalf("%q, %v", begun, err)
			}
			if c.signal != nil {
				cmd.Process.Signal(c.signal)
			}
			err = cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != failed || !strings.Contains(complaints.String(), c.want) {
				t.Errorf("%v, want status %d and %q\n%s", err, failed, c.want, complaints.String())
			}
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("%v are left, %v", left, err)
			}
			if out, err := exec.Command("pgrep", "-f", "qemu.*"+temp).Output(); err == nil {
				t.Errorf("QEMU still runs: %s", out)
			}
		})
	}
}

// If the guest does not boot with an accelerator, for example because KVM hangs, the attempt
// ends in time. The error shows that the command was not started, so the next accelerator can
// be tried.
func TestHungAcceleratorTimesOut(t *testing.T) {
	k, err := findKernel("/", "../../bin/kernel")
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	initrd, err := buildInitramfs(t.Context(), scratch, k, []string{"true"})
	if err != nil {
		t.Fatal(err)
	}
	m := machine{kernel: k, initrd: initrd, scratch: scratch, out: t.Output(), limit: time.Minute}
	halted := accelerator{"halted", "with processors that do not start", []string{"-accel", "tcg", "-S"}, time.Second}
	if _, err := m.boot(t.Context(), halted); !errors.Is(err, errNotUp) || !strings.Contains(err.Error(), "within 1s with processors that do not start") {
		t.Errorf("%v", err)
	}
	if out, err := exec.Command("pgrep", "-f", "qemu.*"+scratch).Output(); err == nil {
		t.Errorf("QEMU still runs: %s", out)
	}
}
