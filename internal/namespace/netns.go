package namespace

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/flock"
	"github.com/ofdvr/ofdvr/internal/ownfile"
)

// dir is the directory of ip-netns(8) namespaces.
const dir = "/run/netns"

func path(name string) string { return filepath.Join(dir, name) }

// checkName returns an error if name is not a valid name of a namespace.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q cannot be the name of a network namespace", name)
	}
	return nil
}

// errNotNamespace means that a file in dir is not a namespace.
var errNotNamespace = errors.New("the file is not a network namespace")

// A HostError means that a file in dir is the machine's own namespace. It is not configured
// and not deleted.
type HostError struct{ Name string }

func (e *HostError) Error() string {
	return fmt.Sprintf("%s is the network namespace of the machine itself or of ofdvr, so nothing is changed in it; "+
		"remove that name (umount %[1]s; rm %[1]s), or give the router another namespace", path(e.Name))
}

// openNS opens a namespace. If the namespace does not exist, the error wraps fs.ErrNotExist. If
// only an ordinary file with that name exists, it wraps errNotNamespace. Such a file remains if its
// creator was killed. If the namespace is the machine's own, the error is a [*HostError].
func openNS(name string) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	info, err := os.Stat(path(name))
	if err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open namespace %s: %s is %s: %w", name, path(name), ownfile.Kind(info.Mode()), errNotNamespace)
	}
	f, err := os.OpenFile(path(name), os.O_RDONLY|unix.O_NONBLOCK, 0) // O_NONBLOCK, because another program may have replaced the file by a named pipe
	if err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", name, err)
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, fmt.Errorf("open namespace %s: statfs %s: %w", name, f.Name(), err)
	}
	if st.Type != unix.NSFS_MAGIC {
		f.Close()
		return nil, fmt.Errorf("open namespace %s: %s: %w", name, f.Name(), errNotNamespace)
	}
	if isHost(f) {
		f.Close()
		return nil, &HostError{name}
	}
	return f, nil
}

// isHost reports whether a namespace is the namespace of this process or of process 1.
func isHost(ns *os.File) bool {
	info, err := ns.Stat()
	for _, process := range []string{"self", "1"} {
		if host, hostErr := os.Stat("/proc/" + process + "/ns/net"); err == nil && hostErr == nil && os.SameFile(info, host) {
			return true
		}
	}
	return false
}

// createNS creates a namespace with a mark. If another process has just created it, the error wraps
// fs.ErrExist. If leftover is true, createNS uses an existing empty file with that name, which
// remains after an interrupted attempt.
func createNS(name string, m mark, leftover bool) error {
	if err := prepareDir(); err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	if leftover {
		if err := checkLeftover(name); err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
	} else {
		f, err := os.OpenFile(path(name), os.O_RDONLY|os.O_CREATE|os.O_EXCL, 0)
		if err != nil {
			return fmt.Errorf("create namespace %s: %w", name, err)
		}
		f.Close()
	}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w; this needs CAP_SYS_ADMIN", err)
		}
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open a netlink socket: %w", err)
		}
		defer h.Close()
		lo, err := h.LinkByName("lo")
		if err != nil {
			return fmt.Errorf("find lo: %w", err)
		}
		if err := h.LinkSetAlias(lo, m.String()); err != nil {
			return fmt.Errorf("set its mark: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path(name), "none", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount it at %s: %w", path(name), err)
		}
		return nil
	})
	if err != nil {
		os.Remove(path(name))
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// checkLeftover checks that the file of a namespace is empty, because its creator makes an
// empty file before it mounts the namespace.
func checkLeftover(name string) error {
	info, err := os.Lstat(path(name))
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() > 0 {
		return fmt.Errorf("%s is %s, not a network namespace, and was left unchanged: remove it, or give the router another namespace",
			path(name), ownfile.Kind(info.Mode()))
	}
	return nil
}

// deleteNS removes a namespace from dir. The namespace itself exists as long as a process is in it.
func deleteNS(name string) error {
	if err := unix.Unmount(path(name), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("delete namespace %s: unmount %s: %w", name, path(name), err)
	}
	if err := os.Remove(path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete namespace %s: %w", name, err)
	}
	return nil
}

// preparing ensures that only one goroutine at a time takes the lock. Otherwise a goroutine could
// mistake the lock of another goroutine for another program's lock.
var preparing sync.Mutex

// prepareDir makes dir a shared mount, as `ip netns add` does, so that namespaces mounted there are
// visible in other mount namespaces. It takes iproute2's lock, because two processes that mount at
// the same time would stack the mounts. Every user that can read dir can hold the lock. So
// prepareDir does not wait for it, and does not take it if the mount exists.
func prepareDir() error {
	preparing.Lock()
	defer preparing.Unlock()
	if err := ownfile.MkdirAll(dir); err != nil {
		return err
	}
	if err := shareDir(); !errors.Is(err, unix.EINVAL) {
		return err
	}
	lock, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := flock.Try(lock); err != nil {
		return fmt.Errorf("%w, which every program that makes the first namespace needs: will retry until it ends", err)
	}
	if err := shareDir(); !errors.Is(err, unix.EINVAL) { // if err is nil, another program has mounted dir in the meantime
		return err
	}
	if err := unix.Mount(dir, dir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s onto itself: %w", dir, err)
	}
	return shareDir()
}

// shareDir makes the mount at dir shared. The error wraps EINVAL if dir is not a mount.
func shareDir() error {
	if err := unix.Mount("", dir, "none", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make %s a shared mount: %w", dir, err)
	}
	return nil
}

// enter calls f on a thread that is in the namespace ns.
func enter(ns *os.File, f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter %s: %w", ns.Name(), err)
		}
		return f()
	})
}

// onThread calls f on a thread that ends afterwards, so f may change the thread's state.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// The main thread never ends. It would stay in the namespace, and keep the namespace
			// and its links alive. So this goroutine keeps the main thread, and another thread
			// enters the namespace.
			defer runtime.UnlockOSThread()
			done <- onThread(f)
			return
		}
		done <- f()
	}()
	return <-done
}

// Enter calls f on a thread in the namespace called name. The thread ends afterwards. A
// process that f starts is in that namespace.
func Enter(name string, f func() error) error {
	ns, err := openNS(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return enter(ns, f)
}

// Has reports whether a process is in the namespace called name.
func Has(name string, pid int) bool {
	var is, has unix.Stat_t
	return unix.Stat(path(name), &is) == nil && unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &has) == nil &&
		is.Dev == has.Dev && is.Ino == has.Ino
}
