package lab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// etcdBinary returns the path of etcd's server. It is bin/etcd of the module, which make test builds
// first.
var etcdBinary = sync.OnceValues(func() (string, error) {
	gomod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(string(gomod)), "bin", "etcd")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: run make %s", err, path)
	}
	return path, nil
})

// An Etcd is a cluster of etcd's servers on loopback, in the bubble.
type Etcd struct {
	Endpoints []string // URLs of the members

	dir     string
	args    [][]string
	members []*Process // nil if stopped
	tls     *tls.Config
}

// StartEtcd starts a cluster. Member i listens on ports port+2i and port+2i+1. Its data is below
// dir.
func StartEtcd(ctx context.Context, dir string, members, port int) (*Etcd, error) {
	return startEtcd(ctx, dir, "http", members, port, nil)
}

// StartSecureEtcd is like StartEtcd, with TLS between all. The members have further flags, such as
// --client-cert-auth.
func StartSecureEtcd(ctx context.Context, dir string, members, port int, ca *Authority, flags ...string) (*Etcd, error) {
	certificate, key, err := ca.Issue("server")
	if err != nil {
		return nil, err
	}
	config, err := ca.Client("health")
	if err != nil {
		return nil, err
	}
	return startEtcd(ctx, dir, "https", members, port, config, append(flags, "--cert-file", certificate, "--key-file", key,
		"--peer-cert-file", certificate, "--peer-key-file", key, "--peer-trusted-ca-file", ca.CA, "--peer-client-cert-auth")...)
}

func startEtcd(ctx context.Context, dir, scheme string, members, port int, config *tls.Config, flags ...string) (*Etcd, error) {
	e := &Etcd{dir: dir, members: make([]*Process, members), tls: config}
	var cluster []string
	for i := range members {
		cluster = append(cluster, fmt.Sprintf("m%d=%s://127.0.0.1:%d", i+1, scheme, port+2*i+1))
		e.Endpoints = append(e.Endpoints, fmt.Sprintf("%s://127.0.0.1:%d", scheme, port+2*i))
	}
	for i := range members {
		peer := fmt.Sprintf("%s://127.0.0.1:%d", scheme, port+2*i+1)
		e.args = append(e.args, append([]string{"--name", fmt.Sprintf("m%d", i+1), "--data-dir", filepath.Join(dir, fmt.Sprintf("m%d", i+1)), "--log-level", "warn",
			"--listen-client-urls", e.Endpoints[i], "--advertise-client-urls", e.Endpoints[i], "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(cluster, ","), "--heartbeat-interval", "100", "--election-timeout", "1000"}, flags...))
	}
	for i := range members {
		if err := e.Start(i); err != nil {
			e.Close()
			return nil, err
		}
	}
	if err := e.Healthy(ctx); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// Start starts a member that does not run.
func (e *Etcd) Start(member int) error {
	path, err := etcdBinary()
	if err != nil {
		return err
	}
	e.members[member], err = start(exec.Command(path, e.args[member]...), e.dir, "etcd")
	return err
}

// StartEtcd starts a server of etcd on the host, with the given flags.
func (h *Host) StartEtcd(ctx context.Context, flags ...string) (*Process, error) {
	path, err := etcdBinary()
	if err != nil {
		return nil, err
	}
	return h.Start(path, flags...)
}

// Healthy waits until all running members answer.
func (e *Etcd) Healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: e.tls}}
	defer client.CloseIdleConnections()
	for i, url := range e.Endpoints {
		if e.members[i] == nil {
			continue
		}
		err := Await(ctx, "etcd to answer", func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
			if err != nil {
				return err
			}
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return errors.New(resp.Status)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%w\n%s", err, e.members[i].Log())
		}
	}
	return nil
}

// Kill kills a member.
func (e *Etcd) Kill(member int) {
	e.members[member].Kill()
	e.members[member] = nil
}

// Runs reports whether a member runs, or is paused.
func (e *Etcd) Runs(member int) bool { return e.members[member] != nil }

// Signal sends a signal to a member that runs.
func (e *Etcd) Signal(member int, sig os.Signal) error { return e.members[member].Signal(sig) }

// Close kills all members.
func (e *Etcd) Close() {
	for i, p := range e.members {
		if p != nil {
			e.Kill(i)
		}
	}
}
