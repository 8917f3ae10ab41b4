package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ofdvr/ofdvr/internal/peercred"
)

// errUser refuses a connection from this machine whose user may not be a switch.
var errUser = errors.New("the user of the peer is not allowed")

// An origin is what is known about a connection before a message has come.
type origin struct {
	// checked says that no untrusted process can have made the connection: the peer's user is
	// allowed, or the peer has a certificate.
	checked bool
	// standby says that we made the connection while standing by, until the bridge connects.
	standby bool
	member  *member // of the unidentified, until the peer is identified; nil of a connection that we made
}

// admit checks the user of a peer on this machine. One that is elsewhere is admitted:
// there TLS is what protects.
func (c *Controller) admit(nc net.Conn) (origin, error) {
	uid, err := peercred.Of(nc)
	if errors.Is(err, peercred.ErrElsewhere) {
		return origin{}, nil
	}
	owner, path := c.switchOwner()
	if err == nil && (uid == 0 || path != "" && uid == owner) {
		return origin{checked: true}, nil
	}
	allowed := "only root may be a switch"
	if path != "" && owner != 0 {
		allowed = fmt.Sprintf("only root and %s, the owner of %s, may be a switch", userName(owner), path)
	}
	if err != nil {
		err = fmt.Errorf("%w: %s, and who this is cannot be found out: %w", errUser, allowed, err)
	} else {
		err = fmt.Errorf("%w: it is %s, and %s", errUser, userName(uid), allowed)
	}
	c.unadmitted.Store(&unadmitted{time.Now(), err.Error()})
	return origin{}, err
}

// overflowUser is whom the kernel names for users that do not exist in our user
// namespace (user_namespaces(7)): that two files or sockets are that one's says nothing.
const overflowUser = 65534

// switchOwner returns the user as whom Open vSwitch runs, and by what that is known: the
// socket of its database or, while that is not there, the directory where it will be. path
// is "" if only root can be meant.
func (c *Controller) switchOwner() (uid uint32, path string) {
	socket, local := strings.CutPrefix(c.cfg.OVSDB, "unix:")
	if !local {
		socket = filepath.Join(socketDir, "db.sock")
	}
	for _, path := range []string{socket, filepath.Dir(socket)} {
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != overflowUser {
			return st.Uid, path
		}
		break
	}
	return 0, ""
}

// userName returns a user's name, as far as it has one, and ID.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return fmt.Sprintf("%s (uid %s)", u.Username, id)
	}
	return "uid " + id
}

// An unadmitted is the latest connection that was refused because of its user.
type unadmitted struct {
	at  time.Time
	err string
}

// refusalMemory is how long the status names refused connections.
const refusalMemory = time.Minute

// lately returns why a connection was refused a short time ago, "" if none was.
func (u *unadmitted) lately() string {
	if u == nil || time.Since(u.at) > refusalMemory {
		return ""
	}
	return u.err
}

// serveAdmitted runs the session of a peer that has no certificate.
func (c *Controller) serveAdmitted(ctx context.Context, nc net.Conn, m *member, standby bool) {
	from, err := c.admit(nc)
	if err != nil {
		nc.Close()
		c.unidentified.leave(m)
		c.refuse(nc.RemoteAddr(), "", err)
		return
	}
	from.standby, from.member = standby, m
	c.serve(ctx, nc, from)
}
