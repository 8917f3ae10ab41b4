package hostile

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ofdvr/ofdvr/test/lab"
)

// Nobody is the ID of a user without privileges.
const Nobody = another

const held = "the lock is held"

// Lock starts a process that takes the lock (flock(2)) of a file or directory of the host as soon
// as it can, and holds it until it is killed. The process runs as the given user ID.
func Lock(h *lab.Host, path string, user int) (*lab.Process, error) {
	args := []string{"flock", "--no-fork", path, "sh", "-c", "echo " + held + "; exec sleep 1000"}
	if user != 0 {
		args = append([]string{"setpriv", fmt.Sprint("--reuid=", user), fmt.Sprint("--regid=", user), "--clear-groups"}, args...)
	}
	return h.Start(args[0], args[1:]...)
}

// HoldLock is like [Lock], and returns when the process has the lock.
func HoldLock(ctx context.Context, h *lab.Host, path string, user int) (*lab.Process, error) {
	p, err := Lock(h, path, user)
	if err != nil {
		return nil, err
	}
	return p, lab.Await(ctx, "the lock of "+path+" to be held", func() error {
		if !strings.Contains(p.Log(), held) {
			return errors.New("not held: " + p.Log())
		}
		return nil
	})
}
