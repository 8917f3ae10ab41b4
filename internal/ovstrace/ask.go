package ovstrace

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Dial connects to the control socket of the ovs-vswitchd with run directory dir, as ovs-appctl
// does (ovs-appctl(8)).
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	socket, err := Socket(os.ReadFile, dir)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "unix", socket)
}

// Socket returns the path of the control socket of the ovs-vswitchd with run directory dir. It
// calls read to read a file.
func Socket(read func(string) ([]byte, error), dir string) (string, error) {
	pid, err := read(filepath.Join(dir, "ovs-vswitchd.pid"))
	if err != nil {
		return "", fmt.Errorf("find ovs-vswitchd: %w", err)
	}
	return filepath.Join(dir, "ovs-vswitchd."+strings.TrimSpace(string(pid))+".ctl"), nil
}

// Run traces a packet through a bridge with ofproto/trace, over a connection to the control
// socket of ovs-vswitchd, and returns its output.
func Run(ctx context.Context, conn net.Conn, bridge string, p ofproto.Packet) (string, error) {
	text, err := Call(ctx, conn, "ofproto/trace", bridge, p.String())
	if err != nil {
		return "", fmt.Errorf("trace %v through bridge %s in ovs-vswitchd: %w", p, bridge, err)
	}
	return text, nil
}

// maxAnswer is the maximum size of an answer of ovs-vswitchd in bytes. A MAC table of a
// million entries has about 40 million bytes.
const maxAnswer = 64 << 20

// A CommandError is the error with which ovs-vswitchd answers a command.
type CommandError string

func (e CommandError) Error() string { return string(e) }

// Call runs an ovs-appctl command over a connection to the control socket of ovs-vswitchd, and
// returns its output (lib/unixctl.c: JSON-RPC 1.0). If ovs-vswitchd answers with an error, the
// error is a [CommandError].
func Call(ctx context.Context, conn net.Conn, command string, args ...string) (string, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	request := struct {
		ID     int      `json:"id"`
		Method string   `json:"method"`
		Params []string `json:"params"`
	}{1, command, append([]string{}, args...)}
	var reply struct {
		Result string `json:"result"`
		Error  string `json:"error"`
	}
	err := json.NewEncoder(conn).Encode(request)
	if err == nil {
		err = json.NewDecoder(io.LimitReader(conn, maxAnswer)).Decode(&reply)
	}
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		return "", err
	case reply.Error != "":
		return "", CommandError(strings.TrimSpace(reply.Error))
	}
	return reply.Result, nil
}
