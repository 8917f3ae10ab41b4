package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Close kills every process on the host and on its machines and removes the host.
// Its directory stays, with the logs. A second call does nothing.
func (h *Host) Close() error {
	h.mu.Lock()
	closed := h.closed
	h.closed = true
	h.mu.Unlock()
	if closed {
		return nil
	}
	for _, p := range h.Processes() {
		p.Kill()
	}
	err := h.killRest()
	if werr := h.release(); werr != nil && err == nil {
		err = fmt.Errorf("end the holder of a host: %w", werr)
	}
	return err
}

// killRest kills the processes in the host's namespaces, except the holder, until no process
// is left.
func (h *Host) killRest() error {
	spaces, err := h.namespaces()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return Await(ctx, "the processes of a host to end", func() error {
		pids, err := pidsIn(spaces, h.holder.Process.Pid)
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGKILL) // an error means that the process has ended
		}
		return fmt.Errorf("killed processes %v", pids)
	})
}

// A nsID identifies a namespace while it exists.
type nsID struct{ dev, ino uint64 }

func namespaceID(path string) (nsID, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nsID{}, err
	}
	st := fi.Sys().(*syscall.Stat_t)
	return nsID{uint64(st.Dev), st.Ino}, nil
}

// namespaces returns the host's mount and network namespaces and its named network
// namespaces.
func (h *Host) namespaces() (map[nsID]bool, error) {
	paths, err := filepath.Glob(h.Path("/run/netns/*"))
	if err != nil {
		return nil, err
	}
	spaces := make(map[nsID]bool)
	for _, path := range append(paths, "/proc/"+h.pid+"/ns/mnt", "/proc/"+h.pid+"/ns/net") {
		id, err := namespaceID(path)
		if err != nil {
			return nil, fmt.Errorf("list the namespaces of a host: %w", err)
		}
		spaces[id] = true
	}
	return spaces, nil
}

// pidsIn returns the processes that are in one of the namespaces, except the given one.
func pidsIn(spaces map[nsID]bool, without int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == without || pid == os.Getpid() {
			continue
		}
		for _, kind := range []string{"mnt", "net"} {
			// A process that has ended has no namespaces.
			id, err := namespaceID(filepath.Join("/proc", e.Name(), "ns", kind))
			if err == nil && spaces[id] {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids, nil
}
