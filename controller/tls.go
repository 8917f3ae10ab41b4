package controller

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/credentials"
)

// loadCredentials reads the files for ssl: endpoints. All three are required.
func loadCredentials(files credentials.Files, log *zap.Logger) (*credentials.Credentials, error) {
	for _, f := range []struct{ option, name string }{
		{"--private-key", files.PrivateKey}, {"--certificate", files.Certificate}, {"--ca-cert", files.CACert},
	} {
		if f.name == "" {
			return nil, fmt.Errorf("an ssl: endpoint needs %s", f.option)
		}
	}
	return credentials.Load(files, tls.RequireAndVerifyClientCert, log)
}

// errTLS ends a connection after a failed TLS handshake.
var errTLS = errors.New("refused TLS connection")

// serveTLS runs the session of a switch that has connected to an ssl: endpoint.
func (c *Controller) serveTLS(ctx context.Context, nc net.Conn, m *member) {
	tc := tls.Server(nc, c.credentials.Current())
	handshake, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := tc.HandshakeContext(handshake); err != nil {
		nc.Close()
		c.unidentified.leave(m)
		if ctx.Err() == nil {
			c.refuse(nc.RemoteAddr(), "", fmt.Errorf("%w: %w", errTLS, err))
		}
		return
	}
	c.serve(ctx, tc, origin{checked: true, member: m})
}
