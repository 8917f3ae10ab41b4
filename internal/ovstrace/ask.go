package ovstrace

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Dial connects to the control socket of the ovs-vswitchd whose run directory is
// dir, as ovs-appctl does (ovs-appctl(8)).
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	socket, err := Socket(os.ReadFile, dir)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "unix", socket)
}

// Socket returns the path of the control socket of the ovs-vswitchd whose run
// directory is dir, which read reads files of.
func Socket(read func(string) ([]byte, error), dir string) (string, error) {
	pid, err := read(filepath.Join(dir, "ovs-vswitchd.pid"))
	if err != nil {
		return "", fmt.Errorf("find ovs-vswitchd: %w", err)
	}
	return filepath.Join(dir, "ovs-vswitchd."+strings.TrimSpace(string(pid))+".ctl"), nil
}

// Ask has ovs-vswitchd trace a packet through a bridge, over a connection to its
// control socket, and returns what it says (lib/unixctl.c: JSON-RPC 1.0).
func Ask(ctx context.Context, conn net.Conn, bridge string, p ofproto.Packet) (string, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	request := struct {
		ID     int      `json:"id"`
		Method string   `json:"method"`
		Params []string `json:"params"`
	}{1, "ofproto/trace", []string{bridge, p.String()}}
	var reply struct {
		Result string `json:"result"`
		Error  string `json:"error"`
	}
	err := json.NewEncoder(conn).Encode(request)
	if err == nil {
		err = json.NewDecoder(conn).Decode(&reply)
	}
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case err == nil && reply.Error != "":
		err = fmt.Errorf("%s", strings.TrimSpace(reply.Error))
	}
	if err != nil {
		return "", fmt.Errorf("ask ovs-vswitchd to trace %v through bridge %s: %w", p, bridge, err)
	}
	return reply.Result, nil
}
