package filewatch

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// A leaser asks for a lease on a file that is open for reading. While it is
// held, nobody has the file open for writing; who wants to, waits until it is
// given back, for 45 seconds at most (/proc/sys/fs/lease-break-time), and one
// who does not want to wait (O_NONBLOCK) fails. giveBack reports whether the
// lease was held up to then and nobody waits.
//
// The error is ErrBusy if somebody has the file open for writing. Any other says
// why there is no lease to be had.
type leaser func(f *os.File) (giveBack func() (intact bool), err error)

// takeLease is the leaser of Linux: fcntl(2), "Leases".
//
// The kernel sends a signal when somebody waits. The default, SIGIO, ends a
// process that does not expect it. A Go program does not mind, but SIGURG is
// harmless to every process, and we need neither.
func takeLease(f *os.File) (func() bool, error) {
	if err := shared(f); err != nil {
		return nil, err
	}
	if _, err := fcntl(f, unix.F_SETSIG, int(unix.SIGURG)); err != nil {
		return nil, fmt.Errorf("choose the signal of the lease: %w", err)
	}
	switch _, err := fcntl(f, unix.F_SETLEASE, unix.F_RDLCK); {
	case errors.Is(err, unix.EAGAIN):
		return nil, ErrBusy
	case err != nil:
		return nil, fmt.Errorf("take a lease: %w", err)
	}
	return func() bool {
		held, err := fcntl(f, unix.F_GETLEASE, 0)
		_, _ = fcntl(f, unix.F_SETLEASE, unix.F_UNLCK) // if it was broken, there is none; closing f does it too
		return err == nil && held == unix.F_RDLCK
	}, nil
}

// fcntl calls fcntl(2) again if a signal interrupted it.
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

// errShared says why a lease on a file would not be worth anything.
var errShared = errors.New("other machines may write to the file system")

// sharedTypes are the file systems (statfs(2)) that others than this kernel
// write to. It gives leases on them without knowing of these writers, or
// refuses them whether there are any or not.
var sharedTypes = []int64{
	unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC,
	unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC, unix.CODA_SUPER_MAGIC, unix.OCFS2_SUPER_MAGIC,
	0x01161970, // GFS2_MAGIC
	0x0bd00bd0, // LL_SUPER_MAGIC, Lustre
	0x47504653, // GPFS_SUPER_MAGIC
	0x786f4256, // VBOXSF_SUPER_MAGIC
}

// shared returns errShared if others than this kernel can write to f.
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
		return fmt.Errorf("find out about the file system: %w", err)
	case sharedType(int64(st.Type)):
		return errShared
	}
	return nil
}

// sharedType reports whether t, which may be negative where it has 32 bits, is
// one of sharedTypes.
func sharedType(t int64) bool { return slices.Contains(sharedTypes, int64(uint32(t))) }
