package radvd

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/internal/ownfile"
	"github.com/ofdvr/ofdvr/internal/poll"
)

// If a radvd has ended, it is restarted after a delay. The delay is a second at first, and doubles
// each time until radvd has run for wellRun.
const (
	firstDelay = time.Second
	mostDelay  = time.Minute
	wellRun    = time.Minute
	lookAgain  = 10 * time.Second // delay if radvd is not installed
)

// A Keeper runs a radvd for each router that sends advertisements. Its methods may be called
// from any goroutine.
type Keeper struct {
	dir     string // absolute
	log     *zap.Logger
	sampled *zap.Logger   // logger for lines that machines can cause
	changed chan struct{} // capacity 1; full if a change has not been received yet
	binary  func() (string, error)
	in      func(namespace string, f func() error) error
	isIn    func(namespace string, pid int) bool

	waiter poll.Waiter

	mu      sync.Mutex
	routers map[string]*state // states by the base name of the router's files
	unused  []int             // file descriptors that Run must close, because it may be waiting for them
	again   time.Time         // time of the next attempt after a failure, except of a start, see state.due; zero means never
}

// A state is the state of a router's radvd.
type state struct {
	id     string   // ID of the router, "" if unknown
	proc   *process // nil if radvd is not running
	loaded []byte   // the configuration that radvd has loaded; nil if unknown
	exited bool     // proc has ended and has not been reaped
	since  time.Time

	delay time.Duration // delay after the next failure
	due   time.Time     // time of the next start; zero means immediately
	why   string        // reason why radvd is not running

	logged   int64  // bytes of its log that have been read
	lastLine string // last line of the log
}

// NewKeeper returns a Keeper with its files in dir.
func NewKeeper(dir string, log *zap.Logger) (*Keeper, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return &Keeper{dir: dir, log: log, sampled: sampled(log), changed: make(chan struct{}, 1),
		binary: lookPath, in: namespace.Enter, isIn: namespace.Has, routers: make(map[string]*state)}, nil
}

// Changed returns a channel that receives a value when [Keeper.Ensure] should be called: a radvd
// has ended, or a retry is due.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

// baseLen is the length of the base name of a router's files, in hexadecimal digits.
const baseLen = 16

func (k *Keeper) base(router string) string {
	return filepath.Join(k.dir, fmt.Sprintf("%x", sha256.Sum256([]byte(router)))[:baseLen])
}

// End stops each radvd that must withdraw advertisements: its router is not in routers, or has
// fewer advertisements there. A stopped radvd sends final advertisements, so its taps must still
// exist. [Keeper.Ensure] restarts the processes that are still needed.
func (k *Keeper) End(routers []Router) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.waiter.Wake()
	wanted := make(map[string]*Router)
	for i := range routers {
		wanted[k.base(routers[i].ID)] = &routers[i]
	}
	bases, err := basesIn(k.dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, base := range bases {
		r := wanted[base]
		if r == nil {
			errs = append(errs, k.forget(base))
			continue
		}
		conf, err := ownfile.ReadFile(base + confFile)
		if errors.Is(err, os.ErrNotExist) || err == nil && !r.leaves(conf) {
			continue
		}
		s, err := k.find(base, r.ID)
		if err == nil {
			err = k.end(base, s, "an interface no longer sends advertisements")
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// forget stops the radvd with a base name and removes its files.
func (k *Keeper) forget(base string) error {
	s, err := k.find(base, "")
	if err == nil {
		err = k.end(base, s, "no router needs it")
	}
	if err != nil {
		return err
	}
	delete(k.routers, base)
	return removeFiles(base)
}

// Ensure makes the radvd of each router run with the current configuration. It returns the
// problems by router. It does not touch other processes.
func (k *Keeper) Ensure(routers []Router) (problems map[string][]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	problems = make(map[string][]string)
	for i := range routers {
		r := &routers[i]
		err := k.ensure(r)
		if s := k.routers[k.base(r.ID)]; err != nil && (s == nil || s.due.IsZero()) {
			k.again = time.Now().Add(firstDelay)
		}
		for j := range r.Interfaces {
			if f := &r.Interfaces[j]; err != nil && !f.Down {
				problems[r.ID] = append(problems[r.ID], fmt.Sprintf("router advertisements of interface %s: %v", f.ID, err))
			}
		}
	}
	k.waiter.Wake() // the set of processes may have changed
	return problems
}

func (k *Keeper) ensure(r *Router) error {
	base, want := k.base(r.ID), config(r)
	if want == nil {
		return k.forget(base)
	}
	s, err := k.find(base, r.ID)
	if err != nil {
		return err
	}
	k.follow(base, s)
	if s.proc != nil && s.proc.ended(0) {
		k.ended(s)
	}
	if s.proc != nil && !k.isIn(r.Namespace, s.proc.pid) {
		if err := k.end(base, s, "its namespace was replaced"); err != nil {
			return err
		}
	}
	switch {
	case s.proc == nil:
		return k.start(base, s, r, want)
	case bytes.Equal(s.loaded, want):
		return nil
	}
	if err := writeConfig(base+confFile, want); err != nil {
		return err
	}
	if err := s.proc.signal(unix.SIGHUP); err != nil {
		return err
	}
	s.loaded = want
	k.log.Info("radvd configuration reloaded", zap.String("router", r.ID), zap.Int("pid", s.proc.pid))
	return nil
}

// find returns the state of the radvd of router id, which has the given base name. The process may
// have been started by an earlier run of this program. Then its loaded configuration is unknown.
func (k *Keeper) find(base, id string) (*state, error) {
	s := k.routers[base]
	if s == nil {
		s = &state{delay: firstDelay}
	}
	s.id = cmp.Or(id, s.id)
	if s.proc == nil {
		p, err := findProcess(base)
		if err != nil {
			return nil, err
		}
		if p != nil {
			s.proc, s.loaded, s.since, s.due = p, nil, time.Now(), time.Time{}
			if info, err := os.Stat(base + logFile); err == nil {
				s.logged = info.Size()
			}
			k.log.Info("running radvd found", zap.String("router", s.id), zap.Int("pid", p.pid))
		}
	}
	k.routers[base] = s
	return s, nil
}

// start starts a radvd, unless a retry is not due yet.
func (k *Keeper) start(base string, s *state, r *Router, conf []byte) error {
	if time.Now().Before(s.due) {
		return errors.New(s.why)
	}
	fail := func(err error) error {
		s.why, s.due = err.Error(), time.Now().Add(lookAgain)
		return err
	}
	binary, err := k.binary()
	if err != nil {
		return fail(errors.New("radvd is not installed: apt install radvd"))
	}
	if err := ownfile.Dir(k.dir); err != nil {
		return fail(fmt.Errorf("create the directory of radvd: %w", err))
	}
	if err := lockable(base + pidFile); err != nil {
		return fail(fmt.Errorf("create the PID file of radvd: %w", err))
	}
	if err := writeConfig(base+confFile, conf); err != nil {
		return fail(err)
	}
	log, err := ownfile.Open(base+logFile, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o644)
	if err != nil {
		return fail(fmt.Errorf("start radvd: %w", err))
	}
	defer log.Close()
	s.logged, s.lastLine = 0, ""
	cmd := exec.Command(binary, "-n", "-C", base+confFile, "-p", base+pidFile, "-m", "stderr")
	if _, err := user.Lookup(radvdUser); err == nil {
		cmd.Args = append(cmd.Args, "-u", radvdUser)
	}
	// The output goes to a file, because a pipe would end radvd with its reader.
	// radvd gets its own session, so that it receives no signals from a terminal.
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := k.in(r.Namespace, cmd.Start); err != nil {
		return fail(fmt.Errorf("start radvd: %w", err))
	}
	pid := cmd.Process.Pid
	cmd.Process.Release() // the pidfd reports its end
	p, err := openProcess(pid)
	if err == nil && p == nil {
		err = errors.New("the process does not exist") // impossible: it has not been reaped
	}
	if err != nil {
		return fail(fmt.Errorf("start radvd: %w", err))
	}
	s.proc, s.loaded, s.exited, s.since = p, conf, false, time.Now()
	k.log.Info("radvd started", zap.String("router", r.ID), zap.Int("pid", pid))
	return nil
}

// radvdUser is the user that radvd switches to after it has opened its socket, if that user
// exists. Then messages from machines are not parsed as root.
const radvdUser = "radvd"

// lookPath finds radvd even if the daemon was started with a user's PATH.
func lookPath() (string, error) {
	path, err := exec.LookPath("radvd")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/radvd")
	}
	return path, err
}

// end stops the radvd of s, if it is running.
func (k *Keeper) end(base string, s *state, why string) error {
	if s.proc == nil {
		return nil
	}
	if err := s.proc.stop(); err != nil {
		return err
	}
	k.follow(base, s)
	k.log.Info("radvd stopped", zap.String("router", s.id), zap.Int("pid", s.proc.pid), zap.String("why", why))
	k.drop(s)
	s.due, s.delay = time.Time{}, firstDelay
	return nil
}

// ended records that the radvd of s has ended by itself.
func (k *Keeper) ended(s *state) {
	if time.Since(s.since) >= wellRun {
		s.delay = firstDelay
	}
	s.why = "radvd has ended"
	for _, more := range []string{s.proc.reap(), s.lastLine} {
		if more != "" {
			s.why += ": " + more
		}
	}
	s.why = fmt.Sprintf("%s; will retry in %v", s.why, s.delay)
	k.log.Warn("radvd has ended, will retry", zap.String("router", s.id), zap.Int("pid", s.proc.pid),
		zap.String("why", s.why))
	s.due = time.Now().Add(s.delay)
	s.delay = min(2*s.delay, mostDelay)
	k.drop(s)
}

// drop removes the ended process from s.
func (k *Keeper) drop(s *state) {
	s.proc.reap()
	if !k.waiter.Running() {
		unix.Close(s.proc.fd)
	} else {
		k.unused = append(k.unused, s.proc.fd)
	}
	s.proc, s.loaded, s.exited = nil, nil, false
}

// lockable creates the file in which radvd writes its PID. radvd locks the file, and does not start
// if it cannot lock it. So other users must not be able to open it.
func lockable(name string) error {
	f, err := ownfile.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// writeConfig replaces a configuration atomically. radvd requires the file's mode: only the owner
// may write the file, and radvd's user must be able to read it.
func writeConfig(name string, data []byte) error {
	if err := ownfile.WriteFile(name, data, 0o644); err != nil {
		return fmt.Errorf("write the configuration of radvd: %w", err)
	}
	return nil
}

// sorted returns the base names of all known routers, sorted.
func (k *Keeper) sorted() []string {
	bases := make([]string, 0, len(k.routers))
	for base := range k.routers {
		bases = append(bases, base)
	}
	slices.Sort(bases)
	return bases
}
