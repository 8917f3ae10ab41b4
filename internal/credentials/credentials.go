// Package credentials loads the certificates of servers, and reloads them when the files
// are replaced.
package credentials

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Files has the names of PEM files, like the arguments of ovs-vsctl set-ssl.
type Files struct {
	PrivateKey  string
	Certificate string // the daemon's certificate, followed by intermediate certificates
	CACert      string // the CAs of peer certificates; "" if peers need no certificate
}

func (f Files) names() []string { return []string{f.PrivateKey, f.Certificate, f.CACert} }

// Credentials has the contents of [Files]. Its methods may be called from any goroutine.
type Credentials struct {
	files  Files
	client tls.ClientAuthType
	log    *zap.Logger

	mu     sync.Mutex
	stamps [3]fileStamp // stamps of the files that config was loaded from
	config *tls.Config
}

type fileStamp struct {
	changed time.Time
	size    int64
}

// WarnIfReadable warns if all users of this machine can read a secret of the daemon. what describes
// the secret, such as "private key".
func WarnIfReadable(what, file string, log *zap.Logger) {
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o004 != 0 {
		log.Warn("all users of this machine can read the "+what+", run: chmod o= "+file, zap.String("file", file), zap.Stringer("mode", info.Mode().Perm()))
	}
}

// Load loads files for a server. client is the server's requirement for the certificates of its
// clients.
func Load(files Files, client tls.ClientAuthType, log *zap.Logger) (*Credentials, error) {
	c := &Credentials{files: files, client: client, log: log}
	c.stamps = c.stamp()
	var err error
	if c.config, err = files.load(client); err == nil {
		WarnIfReadable("private key", files.PrivateKey, log)
	}
	return c, err
}

func (f Files) load(client tls.ClientAuthType) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(f.Certificate, f.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s with private key %s: %w", f.Certificate, f.PrivateKey, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientAuth: client}
	if f.CACert != "" {
		if config.ClientCAs, err = Pool(f.CACert); err != nil {
			return nil, err
		}
	}
	return config, nil
}

// Pool reads a PEM file of CA certificates.
func Pool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read CA certificate: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read CA certificate %s: it contains no PEM certificate", file)
	}
	return pool, nil
}

func (c *Credentials) stamp() (s [3]fileStamp) {
	for i, name := range c.files.names() {
		if info, err := os.Stat(name); err == nil {
			s[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

// Current returns the configuration for a new connection. If the files have changed, it reloads
// them. If the reload fails, the previous configuration stays in use.
func (c *Credentials) Current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamps := c.stamp()
	if stamps == c.stamps {
		return c.config
	}
	c.stamps = stamps
	config, err := c.files.load(c.client)
	if err != nil {
		c.log.Error("could not reload the changed certificates, the previous ones stay in use", zap.Error(err))
		return c.config
	}
	c.config = config
	c.log.Info("certificates reloaded", zap.String("certificate", c.files.Certificate))
	return config
}
