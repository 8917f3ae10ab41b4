package api

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// denied returns the error of a process without permission for the Unix socket at path,
// and names the group that grants it.
func denied(path string) error {
	group := "ofdvr" // the default of serve's --api-group
	if info, err := os.Stat(path); err == nil {
		st, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case !ok:
		case st.Gid == 0: // the group did not exist when the daemon started
			return fmt.Errorf("%w: be root, or add group %s, join it and restart the daemon", fs.ErrPermission, group)
		default:
			group = strconv.Itoa(int(st.Gid))
			if g, err := user.LookupGroupId(group); err == nil {
				group = g.Name
			}
		}
	}
	return fmt.Errorf("%w: be root or join group %s", fs.ErrPermission, group)
}
