package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/credentials"
	"github.com/ofdvr/ofdvr/internal/ownfile"
)

// Access configures the clients that may use the API.
type Access struct {
	// Group is the group of Unix sockets, which root owns. "" means the group of the process.
	Group string
	// TLS has the files of ssl: endpoints. If it has a CACert, clients with a certificate signed by
	// it may use the API.
	TLS credentials.Files
	// TokenFile is a file with the bearer token (RFC 6750) that allows a client to use the API over
	// ssl:. It is read at every request. "" means no token.
	TokenFile string
}

// An Endpoint is an address of the API: unix:PATH, or ssl:ADDRESS:PORT for the
// clients that [Access] admits.
type Endpoint string

// path returns PATH of unix:PATH.
func (e Endpoint) path() (string, bool) {
	path, ok := strings.CutPrefix(string(e), "unix:")
	return path, ok && path != ""
}

// address returns ADDRESS:PORT of ssl:ADDRESS:PORT.
func (e Endpoint) address() (string, bool) {
	addr, ok := strings.CutPrefix(string(e), "ssl:")
	if !ok {
		return "", false
	}
	_, _, err := net.SplitHostPort(addr)
	return addr, err == nil
}

// Check returns an error if e is not a valid endpoint.
func (e Endpoint) Check() error {
	_, local := e.path()
	_, remote := e.address()
	if local || remote {
		return nil
	}
	return e.bad()
}

func (e Endpoint) bad() error {
	return fmt.Errorf("%q is not an API endpoint: want unix:PATH, such as unix:/run/ofdvr/api.sock, or ssl:ADDRESS:PORT", string(e))
}

// Listen listens on e.
func Listen(e Endpoint, a Access, log *zap.Logger) (net.Listener, error) {
	if path, ok := e.path(); ok {
		return listenUnix(path, a.Group)
	}
	addr, ok := e.address()
	if !ok {
		return nil, e.bad()
	}
	if a.TLS.Certificate == "" || a.TLS.PrivateKey == "" {
		return nil, fmt.Errorf("the API endpoint %s needs --api-certificate and --api-private-key", e)
	}
	if a.TLS.CACert == "" && a.TokenFile == "" {
		return nil, fmt.Errorf("the API endpoint %s would let everybody in: use --api-ca-cert for clients with certificates, --api-token-file for a bearer token, or both", e)
	}
	client := tls.NoClientCert
	if a.TLS.CACert != "" {
		client = tls.VerifyClientCertIfGiven
	}
	creds, err := credentials.Load(a.TLS, client, log)
	if err != nil {
		return nil, err
	}
	if a.TokenFile != "" {
		if _, err := token(a.TokenFile); err != nil {
			return nil, err
		}
		credentials.WarnIfReadable("API's token", a.TokenFile, log)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the API: %w", err)
	}
	config := func(*tls.ClientHelloInfo) (*tls.Config, error) { return creds.Current(), nil }
	return tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: config}), nil
}

// Guard returns a handler that passes requests to h only if they arrive over a Unix socket, with a
// certificate, or with the token.
func (a Access) Guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || len(r.TLS.VerifiedChains) > 0 || a.TokenFile != "" && hasToken(r, a.TokenFile) {
			h.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
		problem(http.StatusUnauthorized, "this needs a client certificate, or a bearer token in the header Authorization").write(w)
	})
}

func hasToken(r *http.Request, file string) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	want, err := token(file)
	if err != nil || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// minToken is the minimum length of a token in bytes. A shorter token could be guessed.
const minToken = 16

func token(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the API's token: %w", err)
	}
	t := strings.TrimSpace(string(data))
	if len(t) < minToken {
		return "", fmt.Errorf("the API's token in %s has %d characters, fewer than %d", file, len(t), minToken)
	}
	return t, nil
}

// ErrAnswered means that another daemon listens on the Unix socket.
var ErrAnswered = errors.New("another ofdvr answers there")

// listenUnix listens on a Unix socket that owner and group may read and write. It replaces the
// socket of a daemon that has ended. It fails if a daemon answers on the socket, or if the path is
// not a socket.
func listenUnix(path, group string) (net.Listener, error) {
	gid, err := groupID(group)
	if err != nil {
		return nil, fmt.Errorf("set permissions of API socket: %w", err)
	}
	if err := ownfile.MkdirAll(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("make a place for the API socket: %w", err)
	}
	ln, err := ownfile.Listen(context.Background(), path)
	if errors.Is(err, ownfile.ErrInUse) {
		return nil, fmt.Errorf("listen on API socket %s: %w; stop it first, or give this one another --api", path, ErrAnswered)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on API socket: %w", err)
	}
	if err := ln.SetAccess(0o660, gid); err != nil {
		ln.Close()
		return nil, fmt.Errorf("set permissions of API socket: %w", err)
	}
	return ln, nil
}

// groupID returns the ID of a group, or -1 for "".
func groupID(group string) (int, error) {
	if group == "" {
		return -1, nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return -1, fmt.Errorf("%w; make it with groupadd --system %s, or give another --api-group", err, group)
	}
	return strconv.Atoi(g.Gid)
}
