// Package api serves what the controller knows over HTTP on a Unix socket.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ofdvr/ofdvr/controller"
)

// A Source knows the controller's state.
type Source interface {
	Status(context.Context) (controller.Status, error)
}

const requestTimeout = 5 * time.Second

// Handler answers GET /v1/status with a [controller.Status] as JSON.
func Handler(src Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		s, err := src.Status(ctx)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.Encode(s) // an error here means that the client has gone
	})
	return mux
}

// socketPath returns PATH of unix:PATH.
func socketPath(endpoint string) (string, error) {
	path, ok := strings.CutPrefix(endpoint, "unix:")
	if !ok || path == "" {
		return "", fmt.Errorf("%q is not an API endpoint: want unix:PATH, such as unix:/run/ofdvr/api.sock", endpoint)
	}
	return path, nil
}

// Listen listens on endpoint, unix:PATH, readable and writable by owner and
// group. A socket that a dead daemon left behind is replaced; one on which a
// daemon answers is an error.
func Listen(endpoint string) (net.Listener, error) {
	path, err := socketPath(endpoint)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("make a place for the API socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) {
		if nc, dialErr := net.Dial("unix", path); dialErr == nil {
			nc.Close()
			return nil, fmt.Errorf("listen on API socket %s: another ofdvr answers there; stop it first, or give this one another --api", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replace API socket that was left behind: %w", err)
		}
		ln, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on API socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		ln.Close()
		return nil, fmt.Errorf("set permissions of API socket: %w", err)
	}
	return ln, nil
}

// Client asks a daemon over its Unix socket.
type Client struct {
	path string
	http http.Client
}

// NewClient returns a Client of the daemon at endpoint, unix:PATH.
func NewClient(endpoint string) (*Client, error) {
	path, err := socketPath(endpoint)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path, http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// Status asks for the daemon's state.
func (c *Client) Status(ctx context.Context) (controller.Status, error) {
	var s controller.Status
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ofdvr/v1/status", nil)
	if err != nil {
		return s, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return s, fmt.Errorf("ask ofdvr at %s: %w; does the daemon run (ofdvr serve), and is this its --api socket?", c.path, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("ask ofdvr at %s for its status: it answered %s", c.path, resp.Status)
	}
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("read status from ofdvr at %s: %w", c.path, err)
	}
	return s, nil
}
