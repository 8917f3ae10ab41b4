package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	target    = "tcp:127.0.0.1:6653" // the target that routing bridges connect to
	apiSocket = "/run/ofdvr/api.sock"

	// patience is the time that a run waits for any condition before it fails.
	patience = 60 * time.Second
)

// A site is a host with the mesh's machines, their traffic and a daemon.
type site struct {
	*lab.Host
	name    string // the ID of the host; "" if the intent has no hosts
	mesh    *mesh
	watch   *watch
	machine map[*machine]*lab.Machine

	places map[string]string      // of machines: the IDs of their hosts; nil if the intent has no hosts
	intent *document              // the intent in the file, or in the file at the next start
	etcd   *cluster               // has the intent instead of a file; may be nil
	flows  map[string]ofproto.Set // flows of the routers' bridges when the site last matched the intent
	loaded time.Time              // time when the daemon last had to reload the file

	mu     sync.Mutex
	daemon *lab.Process // nil if no daemon runs
}

// plug plugs in a machine.
func (s *site) plug(ctx context.Context, m *machine, c lab.MachineConfig) error {
	plugged, err := s.AddMachine(ctx, c)
	if err != nil {
		return err
	}
	s.machine[m] = plugged
	_, err = plugged.Run(ctx, "sh", "-ec", restless)
	return err
}

// newSite sets up a site on a host with an integration bridge, and returns when the mesh's
// traffic flows.
func newSite(ctx context.Context, h *lab.Host) (*site, error) {
	s := &site{Host: h, machine: make(map[*machine]*lab.Machine), intent: meshTopology()}
	s.watch = &watch{s: s}
	order := machines()
	for _, m := range order {
		if err := s.plug(ctx, m, m.MachineConfig); err != nil {
			return nil, err
		}
	}
	if err := s.write(); err != nil {
		return nil, err
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	var err error
	s.mesh, err = newMesh(ctx, s.machine, order)
	return s, err
}

// restless is a script that makes a machine resolve its neighbours again every few seconds
// instead of every minute.
const restless = `
cd /proc/sys/net/ipv4/neigh/eth0
echo 1000 >base_reachable_time_ms
echo 1 >delay_first_probe_time
echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
`

// run runs f with traffic and scrapes.
func (s *site) run(ctx context.Context, f func(context.Context) error) error {
	return during(ctx, f, s.mesh.run, s.watch.run)
}

// during runs f and the helpers, and stops the helpers when f returns. It returns f's error.
// If a helper ends before f, f's context is canceled, and during returns the helper's error.
func during(ctx context.Context, f func(context.Context) error, helpers ...func(context.Context) error) error {
	done := errors.New("done")
	g, ctx := errgroup.WithContext(ctx)
	for _, help := range helpers {
		g.Go(func() error { return help(ctx) })
	}
	g.Go(func() error {
		if err := f(ctx); err != nil {
			return err
		}
		return done
	})
	if err := g.Wait(); err != done {
		return err
	}
	return nil
}

// running returns the daemon, or nil if no daemon runs.
func (s *site) running() *lab.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.daemon
}

func (s *site) setDaemon(p *lab.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.daemon = p
}

// start starts the daemon. It does not wait for anything.
func (s *site) start() error {
	args := []string{"serve"}
	if s.etcd != nil {
		for _, url := range s.etcd.Endpoints {
			args = append(args, "--etcd", url)
		}
	} else {
		args = append(args, "--topology", s.file())
	}
	if s.name != "" {
		args = append(args, "--host", s.name)
	}
	p, err := s.StartDaemon(args...)
	if err == nil {
		s.setDaemon(p)
	}
	return err
}

// stop ends the daemon with SIGTERM.
func (s *site) stop(ctx context.Context) error {
	p := s.running()
	s.setDaemon(nil)
	code, err := p.Stop(ctx)
	if err == nil && code != 0 {
		err = fmt.Errorf("the daemon ended with status %d on SIGTERM", code)
	}
	return errors.Join(err, closeLog(p))
}

// kill ends the daemon with SIGKILL.
func (s *site) kill() error {
	p := s.running()
	s.setDaemon(nil)
	p.Kill()
	return closeLog(p)
}

// closeLog removes the log of a daemon that has ended. It returns an error, and keeps the log, if the
// log has a panic or a data race.
func closeLog(p *lab.Process) error {
	log := p.Log()
	for _, bad := range []string{"DATA RACE", "panic: ", "fatal error: "} {
		if at := strings.Index(log, bad); at >= 0 {
			return fmt.Errorf("the daemon's log %s has\n%s", p.LogFile, log[at:min(at+10_000, len(log))])
		}
	}
	return os.Remove(p.LogFile)
}

func (s *site) file() string { return s.Dir() + "/topology.json" }

// write writes the topology file.
func (s *site) write() error {
	text, err := s.intent.file()
	if err == nil {
		_, err = s.WriteFile("topology.json", text)
	}
	return err
}

// reload signals the daemon to reload the topology file.
func (s *site) reload() error {
	s.loaded = time.Now()
	return s.signal(syscall.SIGHUP)
}

func (s *site) signal(sig syscall.Signal) error {
	p := s.running()
	if p == nil {
		return fmt.Errorf("send %v to the daemon: it does not run", sig)
	}
	return p.Signal(sig)
}

// vsctl runs ovs-vsctl, which waits until ovs-vswitchd has applied the change.
func (s *site) vsctl(ctx context.Context, args ...string) error {
	_, err := s.Vsctl(ctx, args...)
	return err
}

// ofctl runs ovs-ofctl.
func (s *site) ofctl(ctx context.Context, args ...string) error {
	_, err := s.Ofctl(ctx, args...)
	return err
}
