package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/internal/credentials"
)

// An authority signs certificates. Its files are in one directory.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	files := a.sign(a.cert)
	a.file = files.Certificate
	return a
}

// sign makes a certificate. The first certificate is self-signed.
func (a *authority) sign(template *x509.Certificate) credentials.Files {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if a.key == nil {
		a.key = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	name := filepath.Join(a.dir, template.Subject.CommonName)
	write(a.t, name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(a.t, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
	return credentials.Files{Certificate: name + ".crt", PrivateKey: name + ".key"}
}

// issue makes a certificate for a server or a client on this host.
func (a *authority) issue(name string) credentials.Files {
	a.t.Helper()
	return a.sign(&x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}})
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Over TCP the API admits clients with a certificate or the token, and refuses all
// others. The token can be changed while the daemon runs.
func TestAccess(t *testing.T) {
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	daemon := ours.issue("daemon")
	const secret = "correct horse battery"
	tokens := t.TempDir()
	tokenFile := write(t, filepath.Join(tokens, "token"), secret+"\n")
	access := api.Access{TLS: credentials.Files{Certificate: daemon.Certificate, PrivateKey: daemon.PrivateKey, CACert: ours.file}, TokenFile: tokenFile}
	ln, err := api.Listen("ssl:127.0.0.1:0", access, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	s := filled(t)
	server := &http.Server{Handler: access.Guard(s.Config.Handler)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() { server.Close(); <-done })
	endpoint := api.Endpoint("ssl:" + ln.Addr().String())
	ask := func(a api.Access) error {
		t.Helper()
		if a.TLS.CACert == "" {
			a.TLS.CACert = ours.file
		}
		c, err := api.NewClient(endpoint, a)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Do(t.Context(), "GET", "/v1/ports/vm1", nil, nil)
		return err
	}
	token := func(text string) string { return write(t, filepath.Join(t.TempDir(), "t"), text) }
	mine, theirs := ours.issue("client"), others.issue("stranger")
	for name, a := range map[string]api.Access{"certificate": {TLS: mine}, "token": {TokenFile: token(secret)}} {
		if err := ask(a); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var p *api.Problem
	for name, a := range map[string]api.Access{"nothing": {}, "another token": {TokenFile: token("incorrect horse battery")}} {
		if err := ask(a); !errors.As(err, &p) || p.Status != http.StatusUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ask(api.Access{TLS: theirs}); err == nil {
		t.Error("a stranger's certificate is good")
	}
	if err := ask(api.Access{TLS: credentials.Files{CACert: others.file}, TokenFile: token(secret)}); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the client trusts a daemon with an unknown certificate: %v", err)
	}
	write(t, tokenFile, "another horse battery")
	if err := ask(api.Access{TokenFile: token(secret)}); !errors.As(err, &p) || p.Status != http.StatusUnauthorized {
		t.Errorf("the old token: %v", err)
	}
	if err := ask(api.Access{TokenFile: token("another horse battery")}); err != nil {
		t.Errorf("the new token: %v", err)
	}
}

// An endpoint without authentication is refused, and so is an invalid endpoint.
func TestBadEndpoints(t *testing.T) {
	ca := newAuthority(t, "ca")
	files := ca.issue("daemon")
	short := write(t, filepath.Join(t.TempDir(), "token"), "short")
	for _, tt := range []struct {
		endpoint api.Endpoint
		access   api.Access
		says     string
	}{
		{"tcp:127.0.0.1:0", api.Access{}, "is not an API endpoint"},
		{"unix:", api.Access{}, "is not an API endpoint"},
		{"ssl:127.0.0.1", api.Access{}, "is not an API endpoint"},
		{"ssl:127.0.0.1:0", api.Access{}, "needs --api-certificate and --api-private-key"},
		{"ssl:127.0.0.1:0", api.Access{TLS: files}, "would let everybody in"},
		{"ssl:127.0.0.1:0", api.Access{TLS: files, TokenFile: short}, "fewer than 16"},
		{"ssl:127.0.0.1:0", api.Access{TLS: files, TokenFile: short + "x"}, "no such file"},
		{api.Endpoint("unix:" + unixSocket(t)), api.Access{Group: "no-such-group"}, "groupadd --system no-such-group"},
	} {
		if ln, err := api.Listen(tt.endpoint, tt.access, zap.NewNop()); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.endpoint, err, tt.says)
			if err == nil {
				ln.Close()
			}
		}
	}
}
