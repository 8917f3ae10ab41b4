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

// AnswerTime is how long ovs-vswitchd may take to answer, which has to finish what
// it is doing first.
const AnswerTime = 3 * time.Second

// ErrNotAsked says that there is no way to ask ovs-vswitchd.
var ErrNotAsked = errors.New("its control socket is in the directory of OVSDB's socket")

// DialBeside connects to the control socket of the ovs-vswitchd whose database is
// at endpoint: unix:PATH or tcp:ADDRESS:PORT. The error wraps ErrNotAsked if it is on another machine.
func DialBeside(ctx context.Context, endpoint string) (net.Conn, error) {
	socket, local := strings.CutPrefix(endpoint, "unix:")
	if !local {
		return nil, fmt.Errorf("%w, and OVSDB is at %s", ErrNotAsked, endpoint)
	}
	return Dial(ctx, filepath.Dir(socket))
}
