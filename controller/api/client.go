package api

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/internal/credentials"
)

// Client is a client of a daemon.
type Client struct {
	endpoint Endpoint
	token    string
	http     http.Client
}

// NewClient returns a Client of the daemon at endpoint e. For an ssl: endpoint, a has the client's
// certificate or token, and the CACert that signs the daemon's certificate. If CACert is "", the
// system's certificates are used.
func NewClient(e Endpoint, a Access) (*Client, error) {
	c := &Client{endpoint: e}
	path, local := e.path()
	addr, remote := e.address()
	tr := &http.Transport{MaxIdleConnsPerHost: 64}
	switch {
	case local:
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}
	case remote:
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		var err error
		if a.TLS.CACert != "" {
			if config.RootCAs, err = credentials.Pool(a.TLS.CACert); err != nil {
				return nil, err
			}
		}
		if a.TLS.Certificate != "" {
			cert, err := tls.LoadX509KeyPair(a.TLS.Certificate, a.TLS.PrivateKey)
			if err != nil {
				return nil, fmt.Errorf("read certificate %s with private key %s: %w", a.TLS.Certificate, a.TLS.PrivateKey, err)
			}
			config.Certificates = []tls.Certificate{cert}
		}
		if a.TokenFile != "" {
			if c.token, err = token(a.TokenFile); err != nil {
				return nil, err
			}
		}
		if config.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			return nil, err
		}
		tr.TLSClientConfig = config
		tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, addr)
		}
	default:
		return nil, e.bad()
	}
	c.http.Transport = tr
	return c, nil
}

// Do sends a request and decodes the answer into out, unless out is nil. path includes the query.
// body may be nil. If the daemon answers with an error, the error is a [*Problem].
func (c *Client) Do(ctx context.Context, method, path string, body []byte, out any) (http.Header, error) {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	} else {
		err = json.NewDecoder(resp.Body).Decode(out)
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		err = errors.New("it is not JSON; is this the address of ofdvr's API?")
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer of ofdvr at %s to %s %s: %w", c.endpoint, method, path, err)
	}
	return resp.Header, nil
}

// send sends a request and returns the answer if it is a success.
func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	scheme := "http"
	if _, remote := c.endpoint.address(); remote {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+"://ofdvr"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		if errors.Is(err, fs.ErrPermission) {
			path, _ := c.endpoint.path()
			return nil, fmt.Errorf("connect to ofdvr at %s: %w", c.endpoint, denied(path))
		}
		return nil, fmt.Errorf("connect to ofdvr at %s: %w; does the daemon run (ofdvr serve), and is this its --api?", c.endpoint, err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	p := new(Problem)
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(p); err != nil || p.Status == 0 {
		p = problem(resp.StatusCode, "%s", resp.Status)
	}
	return nil, p
}

// Status returns the daemon's status.
func (c *Client) Status(ctx context.Context) (s controller.Status, err error) {
	_, err = c.Do(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// [Client.Watch] returns ErrCompacted if events were missed.
var ErrCompacted = errors.New("some changes are no longer stored")

// Watch calls handle with each event until ctx is done, or handle or the connection fails. The
// error is never nil. query is the query of GET /v1/watch. resume is the value of since for the
// next call, or "" if it has not changed. The next call may repeat events of the last revision.
// After [ErrCompacted], or a [*Problem] with status 410, the caller has to list everything again.
func (c *Client) Watch(ctx context.Context, query url.Values, handle func(Event) error) (resume string, err error) {
	resp, err := c.send(ctx, http.MethodGet, "/v1/watch?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	name := ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			if ctx.Err() != nil {
				return resume, context.Cause(ctx)
			}
			return resume, fmt.Errorf("watch ofdvr at %s: %w", c.endpoint, err)
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "event":
			name = value
		case "id":
			resume = value
		case "data":
			if name == "compacted" {
				return resume, ErrCompacted
			}
			var e Event
			if err := json.Unmarshal([]byte(value), &e); err != nil {
				return resume, fmt.Errorf("watch ofdvr at %s: %w", c.endpoint, err)
			}
			if err := handle(e); err != nil {
				return resume, err
			}
		}
	}
}
