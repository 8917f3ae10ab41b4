package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// TLSFiles names the PEM files for ssl: endpoints, as ovs-vsctl set-ssl does.
// They are read again when they change.
type TLSFiles struct {
	PrivateKey  string
	Certificate string // of this controller, with intermediates after it
	CACert      string // of those who sign the switches' certificates
}

func (f TLSFiles) names() []string { return []string{f.PrivateKey, f.Certificate, f.CACert} }

// credentials are the contents of [TLSFiles].
type credentials struct {
	files TLSFiles
	log   *zap.Logger

	mu     sync.Mutex
	stamps [3]fileStamp // of the files that config was made of
	config *tls.Config
}

type fileStamp struct {
	changed time.Time
	size    int64
}

// loadCredentials reads files.
func loadCredentials(files TLSFiles, log *zap.Logger) (*credentials, error) {
	c := &credentials{files: files, log: log}
	for i, option := range []string{"--private-key", "--certificate", "--ca-cert"} {
		if files.names()[i] == "" {
			return nil, fmt.Errorf("an ssl: endpoint needs %s", option)
		}
	}
	c.stamps = c.stamp()
	var err error
	c.config, err = files.load()
	return c, err
}

func (f TLSFiles) load() (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(f.Certificate, f.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s with private key %s: %w", f.Certificate, f.PrivateKey, err)
	}
	pem, err := os.ReadFile(f.CACert)
	if err != nil {
		return nil, fmt.Errorf("read CA certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read CA certificate %s: there is no PEM certificate in it", f.CACert)
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
	}, nil
}

func (c *credentials) stamp() (s [3]fileStamp) {
	for i, name := range c.files.names() {
		if info, err := os.Stat(name); err == nil {
			s[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

// current returns the configuration for a new connection, from files that were
// replaced since the last one if they are good.
func (c *credentials) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamps := c.stamp()
	if stamps == c.stamps {
		return c.config
	}
	c.stamps = stamps
	config, err := c.files.load()
	if err != nil {
		c.log.Error("did not take in the changed certificates, the old ones stay", zap.Error(err))
		return c.config
	}
	c.config = config
	c.log.Info("took in changed certificates", zap.String("certificate", c.files.Certificate))
	return config
}

// errTLS ends a connection that is not secure.
var errTLS = errors.New("refused TLS connection")

// serveTLS runs the session of a switch that has connected to an ssl: endpoint.
func (c *Controller) serveTLS(ctx context.Context, nc net.Conn) {
	tc := tls.Server(nc, c.credentials.current())
	handshake, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	if err := tc.HandshakeContext(handshake); err != nil {
		nc.Close()
		if ctx.Err() == nil {
			c.refuse(nc.RemoteAddr(), "", fmt.Errorf("%w: %w", errTLS, err))
		}
		return
	}
	c.serve(ctx, tc)
}
