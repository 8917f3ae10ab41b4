package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A pki is a set of certificates made by ovs-pki(8) in a directory of the host.
type pki struct{ dir string }

// newPKI makes an authority for switches and one for controllers, and a certificate of
// each.
func (s *site) newPKI(name string) pki {
	s.t.Helper()
	p := pki{filepath.Join(s.Dir(), name)}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	lab.Run(s.t, s.Host, "sh", "-c", "cd "+p.dir+` &&
		ovs-pki --log=log --dir=ca init >/dev/null &&
		ovs-pki --log=log --dir=ca --unique req+sign switch switch >/dev/null &&
		ovs-pki --log=log --dir=ca --unique req+sign controller controller >/dev/null`)
	return p
}

func (p pki) path(name string) string { return filepath.Join(p.dir, name) }

// flags returns the flags of a daemon that listens with p's certificates.
func (p pki) flags() []string {
	return []string{"--openflow", "ssl:127.0.0.1:6653", "--private-key", p.path("controller-privkey.pem"),
		"--certificate", p.path("controller-cert.pem"), "--ca-cert", p.path("ca/switchca/cacert.pem")}
}

// use makes Open vSwitch use p's certificates.
func (s *site) use(p pki) {
	s.t.Helper()
	lab.Run(s.t, s.Host, "ovs-vsctl", "set-ssl", p.path("switch-privkey.pem"), p.path("switch-cert.pem"), p.path("ca/controllerca/cacert.pem"))
}

// Switches connect over TLS with certificates made by ovs-pki.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	p := s.newPKI("pki")
	s.use(p)
	s.serve(p.flags()...)
	s.settle()
	vm1 := s.plug(vm("vm1", "10.0.1.10"))
	s.plug(vm("vm2", "10.0.2.10"))
	if r, err := vm1.Ping(t.Context(), "10.0.2.10", lab.PingOptions{}); err != nil || r.Replies[0].TTL != 63 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := lab.Run(t, s.Host, "ovs-vsctl", "get-controller", bridge); strings.TrimSpace(got) != "ssl:127.0.0.1:6653" {
		t.Errorf("controller is %s", got)
	}

	// A replaced certificate is used for the next connection.
	first := s.handshake(p.client(t))
	lab.Run(t, s.Host, "sh", "-c", "cd "+p.dir+" && ovs-pki --log=log --dir=ca --unique --force req+sign controller controller >/dev/null")
	s.eventually("the new certificate", func() error {
		if second := s.handshake(p.client(t)); second.err != nil || second.serial == first.serial {
			return second.err
		}
		return nil
	})
	if strings.Count(s.daemon.Log(), "certificates reloaded") < 1 {
		t.Error("the new certificate was not logged")
	}
}

// A switch is refused, with a line in the log, if it has no certificate, an expired certificate, or
// a certificate of another authority.
func TestTLSRefusals(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	p, other := s.newPKI("pki"), s.newPKI("other")
	s.use(other)
	s.serve(p.flags()...)

	// Neither the switch nor the controller trusts the other.
	s.eventually("a line about the switch's authority", func() error {
		return s.logs("refused connection; compare ovs-vsctl get-ssl", "tls: ")
	})
	for _, c := range []struct {
		name   string
		config *tls.Config
		want   string
	}{
		{"no certificate", &tls.Config{InsecureSkipVerify: true}, "client didn't provide a certificate"},
		{"another authority", other.client(t), "certificate signed by unknown authority"},
		{"expired", p.expired(t), "certificate has expired or is not yet valid"},
		{"TLS 1.1", &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}, "client offered only unsupported versions"},
	} {
		if got := s.handshake(c.config); got.err == nil {
			t.Errorf("%s: connected", c.name)
		}
		s.eventually("a line about "+c.name, func() error { return s.logs("refused connection", c.want) })
	}
	s.metric(0, `ofdvr_router_connected{router="r1"}`)

	// With matching certificates the switch is accepted.
	s.use(p)
	s.settle()
}

// logs returns an error unless a line of the daemon's log has all texts.
func (s *site) logs(texts ...string) error {
	for line := range strings.Lines(s.daemon.Log()) {
		all := true
		for _, text := range texts {
			all = all && strings.Contains(line, text)
		}
		if all {
			return nil
		}
	}
	return errLogLacks(strings.Join(texts, " … "))
}

type errLogLacks string

func (e errLogLacks) Error() string { return "the log lacks " + string(e) }

// client returns the configuration of a client with the switch's certificate.
func (p pki) client(t *testing.T) *tls.Config {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(p.path("switch-cert.pem"), p.path("switch-privkey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return shows(cert)
}

// shows returns the configuration of a client that sends cert even if the server does not
// accept its authority.
func shows(cert tls.Certificate) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify:   true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil },
	}
}

// expired returns the configuration of a client with a certificate that expired an hour ago.
func (p pki) expired(t *testing.T) *tls.Config {
	t.Helper()
	ca, err := tls.LoadX509KeyPair(p.path("ca/switchca/cacert.pem"), p.path("ca/switchca/private/cakey.pem"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "late"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, &key.PublicKey, ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.X509KeyPair(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
	if err != nil {
		t.Fatal(err)
	}
	return shows(cert)
}

type handshake struct {
	serial string // serial number of the daemon's certificate
	err    error
}

// handshake connects to the daemon as a TLS client and waits for its hello.
func (s *site) handshake(config *tls.Config) handshake {
	s.t.Helper()
	nc := tls.Client(s.peer(), config)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	if _, err := nc.Read(make([]byte, 8)); err != nil { // with TLS 1.3 a refusal arrives only now
		return handshake{err: err}
	}
	return handshake{serial: nc.ConnectionState().PeerCertificates[0].SerialNumber.String()}
}
