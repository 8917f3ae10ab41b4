package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/etcd"
	"github.com/ofdvr/ofdvr/internal/credentials"
)

// etcdOptions are the flags about etcd.
type etcdOptions struct {
	endpoints []string
	prefix    string
	tls       credentials.Files
}

// flags adds the flags to f. use says what etcd is used for.
func (o *etcdOptions) flags(f *pflag.FlagSet, use string) {
	f.StringSliceVar(&o.endpoints, "etcd", nil, "etcd `URL,...`, such as https://e1:2379,https://e2:2379"+use)
	f.StringVar(&o.prefix, "etcd-prefix", etcd.DefaultPrefix, "`PREFIX` of the keys in etcd")
	f.StringVar(&o.tls.CACert, "etcd-ca-cert", "", "PEM `FILE` with the CA that signs the certificates of etcd's servers; default: the system's CAs")
	f.StringVar(&o.tls.Certificate, "etcd-certificate", "", "PEM `FILE` with the certificate for etcd. Its common name is the user in etcd")
	f.StringVar(&o.tls.PrivateKey, "etcd-private-key", "", "PEM `FILE` with the private key of --etcd-certificate")
}

// check returns an error for values that are wrong.
func (o *etcdOptions) check() error {
	for _, e := range o.endpoints {
		u, err := url.Parse(e)
		switch {
		case strings.Contains(e, "@"):
			return misuse("--etcd: a URL has a user name or a password. Leave them out: etcd knows its clients by --etcd-certificate")
		case strings.ContainsAny(e, "?#"):
			return misuse("--etcd: a URL has a query or a fragment. Leave them out, as in https://e1:2379")
		case err != nil || u.Host == "" || u.Path != "" || u.Scheme != "https" && u.Scheme != "http":
			return misuse("--etcd: %q is not the URL of an etcd server, such as https://e1:2379", e)
		case u.Port() == "":
			return misuse("--etcd: %q has no port, such as :2379", e)
		case u.Scheme == "http" && !isLoopback(u.Hostname()):
			return misuse("--etcd: %q has no TLS, which is possible only on loopback: the intent could be read and changed on the way. Use https", e)
		}
	}
	if len(o.endpoints) > 0 && !etcd.ValidPrefix(o.prefix) {
		return misuse("--etcd-prefix: %q does not begin and end with a slash, as %s does", o.prefix, etcd.DefaultPrefix)
	}
	if (o.tls.Certificate == "") != (o.tls.PrivateKey == "") {
		return misuse("--etcd-certificate and --etcd-private-key are needed together")
	}
	if len(o.endpoints) == 0 && o.tls != (credentials.Files{}) {
		return misuse("--etcd-ca-cert, --etcd-certificate and --etcd-private-key need --etcd")
	}
	return nil
}

// connect opens etcd for a command, and checks the versions of its servers. The caller closes the
// store.
func (o *etcdOptions) connect(cmd *cobra.Command) (*etcd.Store, error) {
	if len(o.endpoints) == 0 {
		return nil, misuse("missing --etcd URL,...")
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	s, err := o.open(zap.NewNop())
	if err != nil {
		return nil, err
	}
	stop := newProgress(cmd.ErrOrStderr()).busy(cmd.Context(), "asking etcd for its version")
	warnings, err := s.Versions(cmd.Context(), etcdTimeout)
	stop()
	if err != nil {
		s.Close()
		if cmd.Context().Err() == nil && !errors.Is(err, etcd.ErrOld) {
			err = fmt.Errorf("no server of etcd answers: %w", err)
		}
		return nil, err
	}
	for _, w := range warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
	}
	return s, nil
}

// etcdTimeout is how long commands wait for an answer of etcd.
const etcdTimeout = 5 * time.Second

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// open returns the store in etcd. It does not wait for a connection.
func (o *etcdOptions) open(log *zap.Logger) (*etcd.Store, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.tls.CACert != "" {
		var err error
		if config.RootCAs, err = credentials.Pool(o.tls.CACert); err != nil {
			return nil, fmt.Errorf("--etcd-ca-cert: %w", err)
		}
	}
	if o.tls.Certificate != "" {
		read := func() (*tls.Certificate, error) {
			c, err := tls.LoadX509KeyPair(o.tls.Certificate, o.tls.PrivateKey)
			return &c, err
		}
		if _, err := read(); err != nil {
			return nil, fmt.Errorf("read --etcd-certificate %s with --etcd-private-key %s: %w", o.tls.Certificate, o.tls.PrivateKey, err)
		}
		credentials.WarnIfReadable("private key", o.tls.PrivateKey, log)
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return read() } // for each connection, because certificates are renewed
	}
	return etcd.Open(etcd.Config{Endpoints: o.endpoints, Prefix: o.prefix, TLS: config})
}
