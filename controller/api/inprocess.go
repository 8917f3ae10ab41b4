package api

import (
	"context"
	"net"
	"net/http"
)

// inProcess is the endpoint of [InProcess], for messages.
const inProcess Endpoint = "this process"

// InProcess returns a client of a handler in this process, which is served until ctx is done.
func InProcess(ctx context.Context, h http.Handler) *Client {
	l := pipes{make(chan net.Conn), ctx.Done()}
	srv := http.Server{Handler: h}
	go srv.Serve(l) // until ctx is done
	context.AfterFunc(ctx, func() { srv.Close() })
	c := &Client{endpoint: inProcess}
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		select {
		case l.conns <- theirs:
			return ours, nil
		case <-l.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}}
	return c
}

// pipes is a [net.Listener] of connections in memory.
type pipes struct {
	conns  chan net.Conn // unbuffered: who connects waits for Accept
	closed <-chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: string(inProcess)} }
