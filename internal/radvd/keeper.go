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

// When a radvd that has ended is started again: after a second at first, then
// after twice as long each time, until it has run for a while.
const (
	firstDelay = time.Second
	mostDelay  = time.Minute
	wellRun    = time.Minute
	lookAgain  = 10 * time.Second // for one that is not installed
)

// A Keeper keeps a radvd for each router that is to send advertisements. Its
// methods may be called from any goroutine.
type Keeper struct {
	dir     string // absolute
	log     *zap.Logger
	said    *zap.Logger   // what machines can cause
	changed chan struct{} // capacity 1, full: Changed's receiver has yet to look
	binary  func() (string, error)
	in      func(namespace string, f func() error) error
	isIn    func(namespace string, pid int) bool

	waiter poll.Waiter

	mu      sync.Mutex
	routers map[string]*state // by base of their files
	unused  []int             // file descriptors that Run may wait for, to be closed by it
	again   time.Time         // when to try again what failed beside starts; zero: nothing did
}

// A state is what is known of a router's radvd.
type state struct {
	id    string   // of the router, "" if it is not known
	proc  *process // nil: it does not run
	told  []byte   // its configuration as it has surely read it; nil: not known
	over  bool     // proc has ended, and nobody has looked why
	since time.Time

	delay time.Duration // after the next failure
	due   time.Time     // when to try again; zero: at once
	why   string        // it does not run

	logged   int64  // how far its log has been read
	lastLine string // in the log
}

// NewKeeper returns a Keeper that has its files in dir.
func NewKeeper(dir string, log *zap.Logger) (*Keeper, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	return &Keeper{dir: dir, log: log, said: sampled(log), changed: make(chan struct{}, 1),
		binary: lookPath, in: namespace.Enter, isIn: namespace.Has, routers: make(map[string]*state)}, nil
}

// Changed returns a channel that receives a value when [Keeper.Ensure] should
// be called: a radvd has ended, or may be tried again.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

// baseLen is how many hexadecimal digits the files of a router have in common.
const baseLen = 16

func (k *Keeper) base(router string) string {
	return filepath.Join(k.dir, fmt.Sprintf("%x", sha256.Sum256([]byte(router)))[:baseLen])
}

// End ends every radvd that sends advertisements which none of routers is to
// send any more, also those of other routers. Each says so to the machines, as
// long as it has the taps. [Keeper.Ensure] starts what is wanted of them again.
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
			err = k.end(base, s, "an interface sends no advertisements any more")
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// forget ends the radvd with a base and removes its files.
func (k *Keeper) forget(base string) error {
	s, err := k.find(base, "")
	if err == nil {
		err = k.end(base, s, "nothing wants it")
	}
	if err != nil {
		return err
	}
	delete(k.routers, base)
	return removeFiles(base)
}

// Ensure makes the radvd of each router run and say what it should. It returns
// what keeps them from that, by router. Others are not touched.
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
	k.waiter.Wake() // there may be others to wait for
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
		if err := k.end(base, s, "its namespace is another"); err != nil {
			return err
		}
	}
	switch {
	case s.proc == nil:
		return k.start(base, s, r, want)
	case bytes.Equal(s.told, want):
		return nil
	}
	if err := writeConfig(base+confFile, want); err != nil {
		return err
	}
	if err := s.proc.signal(unix.SIGHUP); err != nil {
		return err
	}
	s.told = want
	k.log.Info("told radvd its configuration", zap.String("router", r.ID), zap.Int("pid", s.proc.pid))
	return nil
}

// find returns the state of the radvd with a base, of router id. One that is met for the
// first time goes on running; but what it has read is not known.
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
			s.proc, s.told, s.since, s.due = p, nil, time.Now(), time.Time{}
			if info, err := os.Stat(base + logFile); err == nil {
				s.logged = info.Size()
			}
			k.log.Info("found radvd", zap.String("router", s.id), zap.Int("pid", p.pid))
		}
	}
	k.routers[base] = s
	return s, nil
}

// start starts a radvd, unless it has to wait.
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
		return fail(fmt.Errorf("make a place for radvd: %w", err))
	}
	if err := lockable(base + pidFile); err != nil {
		return fail(fmt.Errorf("make a place for the PID of radvd: %w", err))
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
	// A file, because a pipe would end radvd with its reader. And a session of
	// its own: what a terminal sends to the daemon is not for it.
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := k.in(r.Namespace, cmd.Start); err != nil {
		return fail(fmt.Errorf("start radvd: %w", err))
	}
	pid := cmd.Process.Pid
	cmd.Process.Release() // it is waited for by its file descriptor
	p, err := openProcess(pid)
	if err == nil && p == nil {
		err = errors.New("it is not there") // cannot be: nobody has waited for it
	}
	if err != nil {
		return fail(fmt.Errorf("start radvd: %w", err))
	}
	s.proc, s.told, s.over, s.since = p, conf, false, time.Now()
	k.log.Info("started radvd", zap.String("router", r.ID), zap.Int("pid", pid))
	return nil
}

// radvdUser is whom radvd becomes once it has a socket, if there is one of that
// name: what machines send is not to be read by root.
const radvdUser = "radvd"

// lookPath finds radvd also for a daemon that was started with a user's PATH.
func lookPath() (string, error) {
	path, err := exec.LookPath("radvd")
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/radvd")
	}
	return path, err
}

// end ends the radvd of s, if it runs.
func (k *Keeper) end(base string, s *state, why string) error {
	if s.proc == nil {
		return nil
	}
	if err := s.proc.stop(); err != nil {
		return err
	}
	k.follow(base, s)
	k.log.Info("ended radvd", zap.String("router", s.id), zap.Int("pid", s.proc.pid), zap.String("why", why))
	k.drop(s)
	s.due, s.delay = time.Time{}, firstDelay
	return nil
}

// ended takes note that the radvd of s has ended by itself.
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
	s.why = fmt.Sprintf("%s; trying again in %v", s.why, s.delay)
	k.log.Warn("radvd has ended, trying again", zap.String("router", s.id), zap.Int("pid", s.proc.pid),
		zap.String("why", s.why))
	s.due = time.Now().Add(s.delay)
	s.delay = min(2*s.delay, mostDelay)
	k.drop(s)
}

// drop forgets the process of s, which has ended.
func (k *Keeper) drop(s *state) {
	s.proc.reap()
	if !k.waiter.Running() {
		unix.Close(s.proc.fd)
	} else {
		k.unused = append(k.unused, s.proc.fd)
	}
	s.proc, s.told, s.over = nil, nil, false
}

// lockable makes the file in which radvd writes its PID. It locks the file, and does not
// start if it cannot: so nobody else may read it.
func lockable(name string) error {
	f, err := ownfile.Open(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Close())
}

// writeConfig replaces a configuration at once. The mode is what radvd demands: nobody
// else may write it, and it reads it as its user.
func writeConfig(name string, data []byte) error {
	if err := ownfile.WriteFile(name, data, 0o644); err != nil {
		return fmt.Errorf("write the configuration of radvd: %w", err)
	}
	return nil
}

// sorted returns the bases of all that is known, in order.
func (k *Keeper) sorted() []string {
	bases := make([]string, 0, len(k.routers))
	for base := range k.routers {
		bases = append(bases, base)
	}
	slices.Sort(bases)
	return bases
}
