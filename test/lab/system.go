package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A System is a host with systemd, like a complete machine. It has the files of this machine, but
// discards changes of them. PID 1 is systemd, which has started no service yet. Commands run in the
// system's PID namespace. Programs started with [Host.Start] run in this machine's PID namespace,
// and the system's /proc does not show them.
type System struct{ *Host }

// cgroups is the directory where the bubble mounts control groups.
const cgroups = scratch + "/cgroup"

var mountCgroups = sync.OnceValue(func() error {
	if err := os.MkdirAll(cgroups, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("cgroup2", cgroups, "cgroup2", 0, ""); err != nil {
		return fmt.Errorf("mount control groups: %w", err)
	}
	return nil
})

// systemScript sets up a system in new namespaces. Its arguments are the host's directory ($1)
// and control group ($2).
const systemScript = `
echo 0 >"$2/cgroup.procs"
exec unshare --cgroup sh -ec '
	cd "$1"
	mkdir upper work root
	mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay root
	cd root

	mount -t proc proc proc
	mount --bind proc/sys proc/sys # or systemd would set global sysctls of this machine
	mount -o remount,bind,ro proc/sys
	mount --bind proc/sys/net proc/sys/net
	mount -o remount,bind,rw proc/sys/net
	mount -t sysfs sysfs sys
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	mount -t tmpfs -o mode=755 tmpfs dev
	mkdir dev/pts dev/shm dev/net
	for d in null zero full random urandom tty net/tun; do
		: >dev/$d
		mount --bind /dev/$d dev/$d
	done
	mount -t devpts -o newinstance devpts dev/pts
	mount -t tmpfs tmpfs dev/shm
	mount -t tmpfs -o mode=1777 tmpfs tmp
	mount -t tmpfs -o mode=755 tmpfs run
	mkdir run/lab run/machine run/netns run/openvswitch
	mount --rbind ` + scratch + ` run/lab

	# No service of this machine starts by itself. The output of services goes to a file.
	rm -rf etc/systemd/system lib/systemd/system/*.target.wants lib/systemd/system-generators etc/fstab usr/sbin/policy-rc.d
	mkdir -p etc/systemd/system/service.d
	printf "[Service]\nStandardOutput=append:%s/services.log\nStandardError=inherit\n" "$1" >etc/systemd/system/service.d/lab.conf

	rm -f var/lib/man-db/auto-update # do not index all manual pages after each package

	rm -rf etc/ofdvr var/lib/ofdvr # files of an ofdvr on this machine

	# Open vSwitch has an empty database, runs in userspace, and loads no kernel module.
	rm -rf var/lib/openvswitch/* etc/openvswitch/conf.db etc/openvswitch/.conf.db* var/log/openvswitch/*
	printf "OVS_MISSING_KMOD_OK=yes\nOVS_CTL_OPTS=--no-mlockall\n" >etc/default/openvswitch-switch
	printf "#!/bin/sh\nexit 1\n" >usr/sbin/modprobe.new
	chmod 755 usr/sbin/modprobe.new
	mv usr/sbin/modprobe.new usr/sbin/modprobe

	mkdir run/machine/old
	pivot_root . run/machine/old
	cd /
	umount -l run/machine/old
	echo 0 >/proc/sys/net/ipv4/ip_forward
	ip link set lo up
	export container=lab
	echo ready
	exec /lib/systemd/systemd --system --unit=basic.target --log-target=console >"$1/systemd.log" 2>&1
' sh "$1"
`

// NewSystem makes a system that keeps its files and logs in dir, like [NewHost],
// and returns when systemd is ready. The caller must close it.
func NewSystem(ctx context.Context, dir string) (*System, error) {
	if err := mountCgroups(); err != nil {
		return nil, fmt.Errorf("make a system: %w", err)
	}
	group, err := os.MkdirTemp(cgroups, "ofdvr-lab-")
	if err != nil {
		return nil, fmt.Errorf("make a control group for a system: %w", err)
	}
	h, _, err := newHost(ctx, dir, unix.CLONE_NEWPID|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS, systemScript, group)
	if err != nil {
		return nil, errors.Join(err, removeCgroup(group))
	}
	h.pids = true
	h.release = func() error {
		h.holder.Process.Kill()
		h.holder.Wait() // it was killed
		return removeCgroup(group)
	}
	s := &System{h}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err = Await(ctx, "systemd to be ready", func() error {
		_, err := s.Run(ctx, "systemctl", "is-active", "--quiet", "basic.target")
		return err
	})
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(h.dir, "systemd.log"))
		h.Close()
		return nil, fmt.Errorf("%w\n%s", err, log)
	}
	return s, nil
}

// removeCgroup removes a control group without processes, and the control groups below it.
func removeCgroup(group string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return Await(ctx, "control groups to be removed", func() error {
		var groups []string
		filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
		var last error
		for i := len(groups) - 1; i >= 0; i-- { // children come after their parents
			if err := os.Remove(groups[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
				last = err
			}
		}
		return last
	})
}

// BootSystem returns a system that is closed when the test ends, like [Bare].
func BootSystem(t testing.TB) *System {
	t.Helper()
	Require(t)
	Needs(t, "/lib/systemd/systemd")
	s, err := NewSystem(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	closeWith(t, s.Host)
	return s
}
