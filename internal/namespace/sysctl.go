package namespace

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const procSys = "/proc/sys/"

// A sysctlReader reads files below /proc/sys in the namespace of the thread that uses it first. It
// keeps the directories net/ipv4 and net/ipv6 open, because with many namespaces the kernel needs
// long to find them. The directories of all namespaces have the same name and parent, so they are
// in one chain of the dentry cache (fs/dcache.c, proc_sys_compare).
type sysctlReader struct {
	dirs map[string]int // file descriptors
}

// read returns the value of a file, such as net/ipv4/ip_forward, without white space around it.
func (r *sysctlReader) read(file string) (string, error) {
	const family = len("net/ipv4")
	if len(file) <= family {
		return "", &os.PathError{Op: "open", Path: procSys + file, Err: unix.ENOENT}
	}
	dir, err := r.open(file[:family])
	if err != nil {
		return "", err
	}
	fail := func(op string, err error) (string, error) {
		return "", &os.PathError{Op: op, Path: procSys + file, Err: err}
	}
	fd, err := unix.Openat(dir, file[family+1:], unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("open", err)
	}
	defer unix.Close(fd)
	var value [64]byte // all files that this package reads are numbers
	n, err := unix.Read(fd, value[:])
	if err != nil {
		return fail("read", err)
	}
	return strings.TrimSpace(string(value[:n])), nil
}

// open returns the file descriptor of a directory.
func (r *sysctlReader) open(dir string) (int, error) {
	if fd, ok := r.dirs[dir]; ok {
		return fd, nil
	}
	fd, err := unix.Open(procSys+dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: procSys + dir, Err: err}
	}
	if r.dirs == nil {
		r.dirs = make(map[string]int)
	}
	r.dirs[dir] = fd
	return fd, nil
}

// close closes the directories.
func (r *sysctlReader) close() {
	for _, fd := range r.dirs {
		unix.Close(fd)
	}
	r.dirs = nil
}

// hasIPv6 reports whether IPv6 is enabled on a link. The kernel disables it on links with a small
// MTU.
func (r *sysctlReader) hasIPv6(link string) bool {
	value, err := r.read("net/ipv6/conf/" + link + "/disable_ipv6")
	return err == nil && value == "0"
}
