// Command guest runs a command on another kernel. It boots a kernel of a Debian package in
// QEMU, on this machine's own root file system. The command has the same arguments,
// environment, working directory and limit of open files as outside, and runs as root. Its
// changes are discarded with the guest, which has no network. This program prints the
// command's output and exits with its status.
//
//	guest [-timeout 30m] [-v] COMMAND [ARGUMENT]...
//	guest -check
//
// Therefore go test -exec guest runs tests in the guest. Guest prints the steps of the boot on
// standard error, and with -v also the output of the guest's kernel. It uses the newest kernel on
// this machine that has an openvswitch module. Without such a kernel, it uses the kernel from an
// extracted package in the directory kernel next to this program. scripts/setup.sh --kernel
// provides everything. With -check, guest only checks the requirements. It prints the missing ones
// and fails if there are any.
//
// Guest tries KVM first. If KVM hangs, is refused or is missing, the guest's processors are
// emulated. OFDVR_GUEST in the command's environment is "kvm" or "emulated".
package main

import (
	"context"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

func main() { os.Exit(run(os.Args[1:])) }

// failed is the exit status if the guest did not return a status. env(1) uses the same status
// for its own failures.
const failed = 125

// run is main with an exit status.
func run(args []string) int {
	flags := flag.NewFlagSet("guest", flag.ExitOnError)
	timeout := flags.Duration("timeout", 30*time.Minute, "kill the guest after the command has run for this long")
	verbose := flags.Bool("v", false, "show the output of the guest's kernel")
	check := flags.Bool("check", false, "do not boot, only print what is missing")
	flags.Parse(args)
	if *check {
		if _, err := missing(); err != nil {
			fmt.Fprintf(os.Stderr, "guest: cannot boot another kernel on this machine: %v\n", err)
			return 1
		}
		return 0
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return failed
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	status, err := runInGuest(ctx, flags.Args(), *timeout, *verbose)
	if err != nil {
		fmt.Fprintf(os.Stderr, "guest: run %s on another kernel: %v\n", flags.Arg(0), err)
		return failed
	}
	return status
}

// missing returns the kernel to boot, or an error that lists all missing requirements.
func missing() (kernel, error) {
	program, err := os.Executable()
	if err != nil {
		return kernel{}, err
	}
	k, err := findKernel("/", filepath.Join(filepath.Dir(program), "kernel"))
	errs := []error{err}
	if runtime.GOARCH != "amd64" {
		errs = append(errs, fmt.Errorf("this machine is %s, and guests need amd64", runtime.GOARCH))
	}
	for _, name := range []string{"qemu-system-x86_64", "busybox", "cpio"} {
		_, err := exec.LookPath(name)
		errs = append(errs, err)
	}
	errs = append(errs, static("busybox"))
	if err := errors.Join(errs...); err != nil {
		return kernel{}, fmt.Errorf("something is missing; scripts/setup.sh --kernel installs it:\n%w", err)
	}
	return k, nil
}

// static returns an error if a command exists and needs shared libraries.
func static(name string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil
	}
	file, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer file.Close()
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s needs libraries; Debian's package busybox-static has one that does not", path)
		}
	}
	return nil
}

// runInGuest boots a guest for a command, which may run for limit, and returns the command's
// status.
func runInGuest(ctx context.Context, command []string, limit time.Duration, verbose bool) (int, error) {
	k, err := missing()
	if err != nil {
		return 0, err
	}
	scratch, err := os.MkdirTemp("", "ofdvr-guest-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(scratch)
	initrd, err := buildInitramfs(ctx, scratch, k, command)
	if err != nil {
		return 0, fmt.Errorf("make an initramfs: %w", err)
	}
	m := machine{kernel: k, initrd: initrd, scratch: scratch, out: os.Stdout, limit: limit, verbose: verbose}
	for _, a := range accelerators() {
		var status int
		status, err = m.boot(ctx, a)
		if !errors.Is(err, errNotUp) {
			return status, err
		}
		fmt.Fprintf(os.Stderr, "guest: %v\n", err)
	}
	return 0, err
}
