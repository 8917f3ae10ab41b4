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

// errUser refuses a connection from a local user who may not run a switch.
var errUser = errors.New("the user of the peer is not allowed")

// An origin holds the facts about a connection before its first message.
type origin struct {
	// checked means that the peer is trusted: its user is allowed, or it has a certificate.
	checked bool
	// standby means that this daemon made the connection while standing by. Such a connection
	// ends when the bridge connects by itself.
	standby bool
	member  *member // entry in the unidentified set, until the peer is identified; nil if this daemon made the connection
}

// admit checks the user of a peer on this machine. Peers on other machines are admitted: TLS
// protects those endpoints.
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
		err = fmt.Errorf("%w: %s, and the peer's user is unknown: %w", errUser, allowed, err)
	} else {
		err = fmt.Errorf("%w: it runs as %s, but %s", errUser, userName(uid), allowed)
	}
	c.unadmitted.Store(&unadmitted{time.Now(), err.Error()})
	return origin{}, err
}

// overflowUser is the UID that the kernel reports for users outside our user namespace
// (user_namespaces(7)). If two files or sockets have this owner, they may belong to different
// users.
const overflowUser = 65534

// switchOwner returns the user that runs Open vSwitch. This is the owner of path: the
// database's socket or, while the socket does not exist, its directory. path is "" if only
// root is allowed.
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

// userName returns the ID of a user and, if known, the name.
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

// refusalMemory is the time for which the status names refused connections.
const refusalMemory = time.Minute

// recent returns the reason for the latest refusal, or "" if it was not within refusalMemory.
func (u *unadmitted) recent() string {
	if u == nil || time.Since(u.at) > refusalMemory {
		return ""
	}
	return u.err
}

// serveAdmitted runs the session of a peer without a certificate.
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
