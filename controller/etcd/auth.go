package etcd

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/ledger"
)

// identity returns the common name of the client's certificate, "" without one.
func (s *Store) identity() (string, error) {
	if s.cfg.TLS == nil || s.cfg.TLS.GetClientCertificate == nil {
		return "", nil
	}
	c, err := s.cfg.TLS.GetClientCertificate(new(tls.CertificateRequestInfo))
	if err != nil {
		return "", err
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return "", err
	}
	return leaf.Subject.CommonName, nil
}

// enable enables authentication. If a server then does not know this client by its certificate, enable
// disables it again: otherwise all hosts would lose access, and the user root too.
func (s *Store) enable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 4*requestTimeout)
	defer cancel()
	secret := make([]byte, 32)
	rand.Read(secret) // never fails
	rescuer, password := "ofdvr-"+hex.EncodeToString(secret[:4]), hex.EncodeToString(secret[4:])
	if _, err := s.client.UserAdd(ctx, rescuer, password); err != nil {
		return err
	}
	_, err := s.client.UserGrantRole(ctx, rescuer, root)
	if err == nil {
		_, err = s.client.AuthEnable(ctx)
	}
	if err == nil {
		err = s.known(ctx)
		if err != nil {
			err = errors.Join(err, s.disable(ctx, rescuer, password))
		}
	}
	_, remove := s.client.UserDelete(ctx, rescuer)
	return errors.Join(err, remove)
}

// known returns an error if a server does not know this client.
func (s *Store) known(ctx context.Context) error {
	for _, e := range s.cfg.Endpoints {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{e}, TLS: s.cfg.TLS, Logger: zap.NewNop(), DialTimeout: dialTimeout})
		if err != nil {
			return err
		}
		get, cancel := context.WithTimeout(ctx, requestTimeout)
		_, err = c.Get(get, s.cfg.Prefix+metaKey)
		cancel()
		c.Close()
		if err != nil {
			return fmt.Errorf("the server %s does not know its clients by their certificates, start it with --client-cert-auth; authentication was disabled again: %w", e, err)
		}
	}
	return nil
}

// disable disables authentication as a user with a password.
func (s *Store) disable(ctx context.Context, user, password string) error {
	c, err := clientv3.New(clientv3.Config{Endpoints: s.cfg.Endpoints, TLS: s.cfg.TLS, Logger: zap.NewNop(), DialTimeout: dialTimeout, Username: user, Password: password})
	if err == nil {
		defer c.Close()
		_, err = c.AuthDisable(ctx)
	}
	if err != nil {
		return fmt.Errorf("authentication could not be disabled again: %w", err)
	}
	return nil
}

// explained returns err with what to do, for errors of etcd that do not say it.
func explained(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrPermissionDenied):
		return fmt.Errorf("%w: in etcd, the user with the common name of this certificate lacks a role. See 'ofdvr etcd init'", err)
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("%w: etcd wants a certificate of its clients. Give --etcd-certificate and --etcd-private-key, and start etcd with --client-cert-auth", err)
	}
	return err
}

// isDenied reports whether etcd refused a request because of the client's roles.
func isDenied(err error) bool {
	return errors.Is(err, rpctypes.ErrPermissionDenied) || errors.Is(err, rpctypes.ErrUserEmpty)
}

// denied returns the error of a write for which this host lacks a role.
func (s *Store) denied() error {
	name, _ := s.identity() // if it cannot be read, the text has no name
	return fmt.Errorf("%w: etcd lets its user %q read the intent and not write it. Write on a host that may, or with a writer's certificate (ofdvr apply --etcd), or make this host a writer: ofdvr etcd init --writers %s",
		ledger.ErrForbidden, name, cmp.Or(name, "NAME"))
}
