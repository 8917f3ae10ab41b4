package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// marker precedes the guest's own messages in the command's output.
const marker = "ofdvr-guest"

// initScript is the guest's first program. It makes a root file system from this machine's
// files, with a layer for writes above them, and runs the command there.
const initScript = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
while read -r module; do
	insmod "/modules/$module" || echo "cannot load $module"
done </modules/order
mkdir -p /lower /upper /root
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=524288,cache=loose root /lower
mount -t tmpfs -o size=90% tmpfs /upper
mkdir /upper/upper /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/upper,workdir=/upper/work overlay /root
cd /root
mkdir -p lib/modules/$(uname -r)
mount --bind "/lower$(cat /modules/directory)" lib/modules/$(uname -r)
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --move /dev dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
cp /command run/command
umount /proc
exec switch_root /root /bin/sh /run/command
`

// commandScript runs the command, and prints the guest's messages before and after it. It ends
// after all output was printed.
const commandScript = `
stty -F /dev/ttyS1 raw
exec </dev/null >/dev/ttyS1 2>&1
echo "%[1]s up"
modprobe -a tun veth openvswitch
# Open vSwitch 3.1 finds no processors, and starts no threads that handle
# upcalls, until the machine has been up for ten seconds (count_cpu_cores in lib/ovs-thread.c).
while read -r uptime rest </proc/uptime && [ "${uptime%%.*}" -lt 11 ]; do sleep 0.1; done
ulimit -n %[4]d
cd %[2]s && env -i OFDVR_GUEST="$OFDVR_GUEST" %[3]s
echo "%[1]s status $?"
exec >/dev/ttyS0 2>&1 # waits until all output is printed
echo b >/proc/sysrq-trigger
`

// buildInitramfs writes an initramfs for a command into scratch and returns its path.
func buildInitramfs(ctx context.Context, scratch string, k kernel, command []string) (string, error) {
	root := filepath.Join(scratch, "initramfs")
	for _, dir := range []string{"bin", "proc", "dev", "modules"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return "", err
		}
	}
	modules, err := k.load("virtio_pci", "9pnet_virtio", "9p", "overlay")
	if err != nil {
		return "", err
	}
	var order strings.Builder
	for _, file := range modules {
		fmt.Fprintln(&order, filepath.Base(file))
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	copied := map[string]string{"bin/busybox": busybox}
	for _, file := range modules {
		copied["modules/"+filepath.Base(file)] = file
	}
	for to, from := range copied {
		data, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(root, to), data, 0o755); err != nil {
			return "", err
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return "", fmt.Errorf("read the limit of open files: %w", err)
	}
	words := slices.Concat(os.Environ(), command)
	for i, w := range words {
		words[i] = quote(w)
	}
	for name, text := range map[string]string{
		"init":              initScript,
		"command":           fmt.Sprintf(commandScript, marker, quote(dir), strings.Join(words, " "), min(files.Max, 1<<20)),
		"modules/order":     order.String(),
		"modules/directory": k.modules,
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o755); err != nil {
			return "", err
		}
	}
	path := filepath.Join(scratch, "initramfs.cpio")
	cmd := exec.CommandContext(ctx, "sh", "-c", `find . | cpio --quiet -o -H newc >"$0"`, path)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

// quote returns s as one word for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
