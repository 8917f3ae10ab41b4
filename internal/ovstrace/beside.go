package ovstrace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// AnswerTime is the time that ovs-vswitchd may take to reply. Before it replies, it finishes
// its current work.
const AnswerTime = 3 * time.Second

// ErrRemote means that ovs-vswitchd may run on another machine, so that its control socket
// is not reachable.
var ErrRemote = errors.New("the control socket of ovs-vswitchd is only known if OVSDB is at a Unix socket")

// DialBeside connects to the control socket of the ovs-vswitchd with the database at endpoint,
// unix:PATH or tcp:ADDRESS:PORT. The control socket is in the directory of OVSDB's Unix socket. If
// endpoint is not a Unix socket, the error wraps [ErrRemote].
func DialBeside(ctx context.Context, endpoint string) (net.Conn, error) {
	socket, local := strings.CutPrefix(endpoint, "unix:")
	if !local {
		return nil, fmt.Errorf("%w, not at %s", ErrRemote, endpoint)
	}
	return Dial(ctx, filepath.Dir(socket))
}
