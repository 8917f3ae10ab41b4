package filewatch

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// A leaser takes a lease on a file that is open for reading. While the lease is held, no process
// has the file open for writing. An open for writing blocks until the lease is released, for at
// most 45 seconds (/proc/sys/fs/lease-break-time). With O_NONBLOCK it fails. release reports
// whether the lease was held until its call. It does not block other processes.
//
// The error is ErrBusy if a process has the file open for writing. Any other error means
// that leases are not available.
type leaser func(f *os.File) (release func() (intact bool), err error)

// takeLease is the leaser of Linux: fcntl(2), "Leases".
//
// The kernel sends a signal when a process waits for the lease. We do not need it. The default
// signal, SIGIO, would end a process without a handler (not a Go program). SIGURG is harmless to
// every process.
func takeLease(f *os.File) (func() bool, error) {
	if err := shared(f); err != nil {
		return nil, err
	}
	if _, err := fcntl(f, unix.F_SETSIG, int(unix.SIGURG)); err != nil {
		return nil, fmt.Errorf("set the signal of the lease: %w", err)
	}
	switch _, err := fcntl(f, unix.F_SETLEASE, unix.F_RDLCK); {
	case errors.Is(err, unix.EAGAIN):
		return nil, ErrBusy
	case err != nil:
		return nil, fmt.Errorf("take a lease: %w", err)
	}
	return func() bool {
		held, err := fcntl(f, unix.F_GETLEASE, 0)
		_, _ = fcntl(f, unix.F_SETLEASE, unix.F_UNLCK) // fails if the lease was broken; closing f releases it too
		return err == nil && held == unix.F_RDLCK
	}, nil
}

// fcntl calls fcntl(2), and repeats the call if a signal interrupts it.
func fcntl(f *os.File, cmd, arg int) (n int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctl := conn.Control(func(fd uintptr) {
		for {
			if n, err = unix.FcntlInt(fd, cmd, arg); err != unix.EINTR {
				return
			}
		}
	})
	if ctl != nil {
		return 0, ctl
	}
	return n, err
}

// errShared means that a lease on the file does not exclude writers.
var errShared = errors.New("other machines can write to the file system")

// sharedTypes are the file systems (statfs(2)) that other machines can write to as well. On these
// file systems, the kernel always refuses leases, or grants them without knowing the writers on
// other machines.
var sharedTypes = []int64{
	unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC,
	unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC, unix.CODA_SUPER_MAGIC, unix.OCFS2_SUPER_MAGIC,
	0x01161970, // GFS2_MAGIC
	0x0bd00bd0, // LL_SUPER_MAGIC, Lustre
	0x47504653, // GPFS_SUPER_MAGIC
	0x786f4256, // VBOXSF_SUPER_MAGIC
}

// shared returns errShared if other machines can write to f.
func shared(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var st unix.Statfs_t
	ctl := conn.Control(func(fd uintptr) {
		for {
			if err = unix.Fstatfs(int(fd), &st); err != unix.EINTR {
				return
			}
		}
	})
	switch {
	case ctl != nil:
		return ctl
	case err != nil:
		return fmt.Errorf("determine the type of the file system: %w", err)
	case sharedType(int64(st.Type)):
		return errShared
	}
	return nil
}

// sharedType reports whether t is one of sharedTypes. On platforms where t has 32 bits, it may
// be negative.
func sharedType(t int64) bool { return slices.Contains(sharedTypes, int64(uint32(t))) }
