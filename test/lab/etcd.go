package lab

import (
	"context"
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
}

// StartEtcd starts a cluster. Member i listens on ports port+2i and port+2i+1. Its data is below
// dir.
func StartEtcd(ctx context.Context, dir string, members, port int) (*Etcd, error) {
	e := &Etcd{dir: dir, members: make([]*Process, members)}
	var cluster []string
	for i := range members {
		cluster = append(cluster, fmt.Sprintf("m%d=http://127.0.0.1:%d", i+1, port+2*i+1))
		e.Endpoints = append(e.Endpoints, fmt.Sprintf("http://127.0.0.1:%d", port+2*i))
	}
	for i := range members {
		peer := fmt.Sprintf("http://127.0.0.1:%d", port+2*i+1)
		e.args = append(e.args, []string{"--name", fmt.Sprintf("m%d", i+1), "--data-dir", filepath.Join(dir, fmt.Sprintf("m%d", i+1)), "--log-level", "warn",
			"--listen-client-urls", e.Endpoints[i], "--advertise-client-urls", e.Endpoints[i], "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(cluster, ","), "--heartbeat-interval", "100", "--election-timeout", "1000"})
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
	for i, url := range e.Endpoints {
		if e.members[i] == nil {
			continue
		}
		err := Await(ctx, "etcd to answer", func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
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

// Close kills all members.
func (e *Etcd) Close() {
	for i, p := range e.members {
		if p != nil {
			e.Kill(i)
		}
	}
}
