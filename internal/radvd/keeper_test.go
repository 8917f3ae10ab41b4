package radvd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
)

const stub = "OFDVR_TEST_RADVD"

func TestMain(m *testing.M) {
	if how := os.Getenv(stub); how != "" {
		os.Exit(radvd(how))
	}
	goleak.VerifyTestMain(m)
}

// radvd is a stub that handles files and signals like the real radvd.
func radvd(how string) int {
	arg := func(name string) string {
		for i, a := range os.Args {
			if a == name {
				return os.Args[i+1]
			}
		}
		panic("no " + name)
	}
	say := func(text string) { fmt.Fprintf(os.Stderr, "[Nov 25 09:45:15] radvd (%d): %s\n", os.Getpid(), text) }
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	pid, err := os.OpenFile(arg("-p"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil || unix.Flock(int(pid.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		say("unable to lock pid file")
		return 255
	}
	pid.Truncate(0)
	fmt.Fprintln(pid, os.Getpid())
	for {
		conf, _ := os.ReadFile(arg("-C"))
		say(fmt.Sprintf("read %d bytes", len(conf)))
		if how == "fails" {
			return 3
		}
		if <-signals != syscall.SIGHUP {
			say("exiting, 1 sigterm(s) received")
			os.Remove(arg("-p"))
			return 0
		}
	}
}

// newKeeper returns a Keeper that runs the stub. All its processes end with the test.
func newKeeper(t *testing.T, dir string) *Keeper {
	t.Helper()
	t.Setenv(stub, "runs")
	k, err := NewKeeper(dir, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	k.binary = func() (string, error) { return "/proc/self/exe", nil }
	k.in = func(_ string, f func() error) error { return f() }
	k.isIn = func(string, int) bool { return true }
	t.Cleanup(func() {
		if _, err := StopAll(dir); err != nil {
			t.Error(err)
		}
		for _, s := range k.routers {
			if s.proc != nil {
				k.drop(s)
			}
		}
	})
	return k
}

// running returns a router with interfaces.
func running(taps ...string) Router {
	r := Router{ID: "r1", Namespace: "ns"}
	for _, tap := range taps {
		r.Interfaces = append(r.Interfaces, Interface{ID: "of " + tap, Tap: tap, Lifetime: 1800, Interval: 600,
			Prefixes: []Prefix{{netip.MustParsePrefix("2001:db8:1::/64"), true, true, 86400, 14400}}})
	}
	return r
}

// ensure waits until r's radvd has read its configuration, and returns the PID.
func ensure(t *testing.T, k *Keeper, r Router) int {
	t.Helper()
	if problems := k.Ensure([]Router{r}); len(problems) > 0 {
		t.Fatalf("problems %q", problems)
	}
	s := k.routers[k.base(r.ID)]
	eventually(t, func() error {
		log, err := os.ReadFile(k.base(r.ID) + logFile)
		lines := strings.Split(strings.TrimSpace(string(log)), "\n")
		if want := fmt.Sprintf("read %d bytes", len(config(&r))); err == nil && !strings.HasSuffix(lines[len(lines)-1], want) {
			err = fmt.Errorf("no %q in %s", want, log)
		}
		return err
	})
	eventually(t, func() error {
		p, err := findProcess(k.base(r.ID))
		if err == nil && p == nil {
			err = errors.New("radvd has not written its PID")
		}
		if p != nil {
			unix.Close(p.fd)
		}
		return err
	})
	return s.proc.pid
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func alive(pid int) bool {
	p, err := openProcess(pid)
	if err != nil || p == nil {
		return false
	}
	defer unix.Close(p.fd)
	return !p.ended(0)
}

// A radvd runs as long as it is needed, and reloads changed configurations.
func TestEnsure(t *testing.T) {
	k := newKeeper(t, t.TempDir())
	pid := ensure(t, k, running("a"))
	if again := ensure(t, k, running("a")); again != pid {
		t.Errorf("process %d was replaced by %d although nothing changed", pid, again)
	}
	two := running("a", "b")
	if now := ensure(t, k, two); now != pid {
		t.Errorf("process %d was replaced by %d when an interface was added", pid, now)
	}
	two.Interfaces[1].Down = true
	if now := ensure(t, k, two); now != pid {
		t.Errorf("process %d was replaced by %d when an interface that is down was added", pid, now)
	}
	two.Interfaces[1].Down = false
	ensure(t, k, two)
	if err := k.End([]Router{running("a")}); err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Errorf("process %d did not end although an interface was removed", pid)
	}
	last := ensure(t, k, running("a"))
	if last == pid {
		t.Errorf("process %d is running again", pid)
	}
	if err := k.End([]Router{running("a"), {ID: "r2"}}); err != nil || !alive(last) {
		t.Errorf("process %d was stopped although its router is unchanged; %v", last, err)
	}
	down := running("a")
	down.Interfaces[0].Down = true
	if problems := k.Ensure([]Router{down}); len(problems) > 0 || alive(last) {
		t.Errorf("process %d runs although its router sends no advertisements; problems %q", last, problems)
	}
	last = ensure(t, k, running("a"))
	if err := k.End(nil); err != nil || alive(last) {
		t.Errorf("process %d keeps running; %v", last, err)
	}
	if files, _ := filepath.Glob(k.dir + "/*"); len(files) > 0 {
		t.Errorf("files are left: %q", files)
	}
}

// A new Keeper finds running processes, reloads their configurations, and can stop them.
func TestSuccessor(t *testing.T) {
	dir := t.TempDir()
	pid := ensure(t, newKeeper(t, dir), running("a"))
	k := newKeeper(t, dir)
	if now := ensure(t, k, running("a", "b")); now != pid {
		t.Errorf("process %d became %d", pid, now)
	}
	k = newKeeper(t, dir)
	if err := k.End([]Router{running("b")}); err != nil || alive(pid) {
		t.Errorf("process %d keeps running; %v", pid, err)
	}
	now := ensure(t, k, running("b"))
	k = newKeeper(t, dir)
	k.isIn = func(string, int) bool { return false }
	if problems := k.Ensure([]Router{running("b")}); len(problems) > 0 || alive(now) {
		t.Errorf("process %d still runs, but not in its router's namespace; problems %q", now, problems)
	}
	k.isIn = func(string, int) bool { return true }
	now = ensure(t, k, running("b"))
	k = newKeeper(t, dir)
	if err := k.End(nil); err != nil || alive(now) {
		t.Errorf("process %d keeps running; %v", now, err)
	}
}

// A killed process is reported and restarted.
func TestKilled(t *testing.T) {
	k := newKeeper(t, t.TempDir())
	run(t, k)
	pid := ensure(t, k, running("a"))
	syscall.Kill(pid, syscall.SIGKILL)
	<-k.Changed()
	problems := k.Ensure([]Router{running("a")})["r1"]
	if len(problems) != 1 || !strings.HasPrefix(problems[0], "router advertisements of interface of a: radvd has ended: it was killed by signal 9") ||
		!strings.HasSuffix(problems[0], "will retry in 1s") {
		t.Errorf("problems %q", problems)
	}
	<-k.Changed() // the retry is due
	if now := ensure(t, k, running("a")); now == pid {
		t.Errorf("process %d is alive", now)
	}
	t.Setenv(stub, "fails")
	syscall.Kill(k.routers[k.base("r1")].proc.pid, syscall.SIGKILL)
	<-k.Changed()
	k.Ensure([]Router{running("a")})
	if s := k.routers[k.base("r1")]; s.delay != 4*time.Second {
		t.Errorf("the delay has become %v", s.delay)
	}
}

// The output of a radvd that fails is part of the problem.
func TestStartFails(t *testing.T) {
	k := newKeeper(t, t.TempDir())
	t.Setenv(stub, "fails")
	run(t, k)
	k.Ensure([]Router{running("a", "b")})
	<-k.Changed()
	problems := k.Ensure([]Router{running("a", "b")})["r1"]
	if len(problems) != 2 || !strings.Contains(problems[1], "interface of b: radvd has ended: status 3: read ") {
		t.Errorf("problems %q", problems)
	}
}

func TestNotInstalled(t *testing.T) {
	k := newKeeper(t, t.TempDir())
	installed := k.binary
	k.binary = func() (string, error) { return "", os.ErrNotExist }
	want := "router advertisements of interface of a: radvd is not installed: apt install radvd"
	for range 2 {
		if got := k.Ensure([]Router{running("a")})["r1"]; len(got) != 1 || got[0] != want {
			t.Errorf("problems %q", got)
		}
	}
	k.binary = installed
	k.routers[k.base("r1")].due = time.Time{}
	ensure(t, k, running("a"))
}

// A process that has reused the PID of a radvd is not stopped.
func TestForeignProcess(t *testing.T) {
	dir := t.TempDir()
	k := newKeeper(t, dir)
	if err := os.WriteFile(k.base("r1")+pidFile, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := k.End(nil); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(os.Getppid()), "", "-1", "0", "x", "999999999"} {
		if err := os.WriteFile(k.base("r1")+pidFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if stopped, err := StopAll(dir); err != nil || len(stopped) > 0 {
			t.Errorf("%q: stopped %v, %v", text, stopped, err)
		}
	}
	ensure(t, k, running("a"))
}

func TestStopAll(t *testing.T) {
	dir := t.TempDir()
	k := newKeeper(t, dir)
	pid := ensure(t, k, running("a"))
	if running, err := Running(dir); err != nil || len(running) != 1 || running[0] != pid || !alive(pid) {
		t.Errorf("running are %v, %v", running, err)
	}
	if stopped, err := StopAll(dir); err != nil || len(stopped) != 1 || stopped[0] != pid || alive(pid) {
		t.Errorf("stopped %v, want %d; %v", stopped, pid, err)
	}
	if stopped, err := StopAll(filepath.Join(dir, "none")); err != nil || len(stopped) > 0 {
		t.Errorf("stopped %v, %v", stopped, err)
	}
}

// The size of the log is limited, and each line is read once.
func TestLog(t *testing.T) {
	k := newKeeper(t, t.TempDir())
	name := filepath.Join(k.dir, "x")
	s := new(state)
	for i := range 5000 {
		f, err := os.OpenFile(name+logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "[Nov 25 09:45:15] radvd (7): our AdvManagedFlag on qr-a does not agree %d\nhalf", i)
		fmt.Fprintln(f, " a line")
		f.Close()
		k.follow(name, s)
		if s.lastLine != "half a line" {
			t.Fatalf("the last line is %q", s.lastLine)
		}
		if info, err := os.Stat(name + logFile); err != nil || info.Size() > maxLog+200 {
			t.Fatalf("%v, %v", info, err)
		}
	}
}

// run runs k until the test ends.
func run(t *testing.T, k *Keeper) {
	t.Helper()
	done := make(chan error, 1)
	ctx := t.Context()
	go func() { done <- k.Run(ctx) }()
	eventually(t, func() error {
		if !k.waiter.Running() {
			return errors.New("Run is not running yet")
		}
		return nil
	})
	t.Cleanup(func() { <-done })
}

// If a configuration cannot be written, for example on a full disk, it is written later. Changed
// requests the retry without any other event. radvd keeps running in the meantime.
func TestWriteFails(t *testing.T) {
	k := newKeeper(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	defer func() { cancel(); <-done }()
	pid := ensure(t, k, running("a"))
	obstacle := k.base("r1") + confFile
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(obstacle, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		select { // drain earlier values
		case <-k.Changed():
		default:
		}
		if got := fmt.Sprint(k.Ensure([]Router{running("a", "b")})); !strings.Contains(got, "router advertisements of interface of b: write the configuration of radvd: ") {
			t.Errorf("problems %s", got)
		}
		select {
		case <-k.Changed():
		case <-time.After(20 * time.Second):
			t.Fatal("no retry was requested")
		}
	}
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	if again := ensure(t, k, running("a", "b")); again != pid {
		t.Errorf("radvd has PID %d, want %d", again, pid)
	}
}

// Files in radvd's directory that are not ours are not read, written, followed or removed. A
// directory behind a symbolic link is not used.
func TestForeignFilesAreUnchanged(t *testing.T) {
	theirs, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"0123456789abcdef.conf", "host.conf", "x.log"} {
		if err := os.WriteFile(filepath.Join(theirs, name), []byte("theirs"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "radvd")
	if err := os.Symlink(theirs, link); err != nil {
		t.Fatal(err)
	}
	if _, err := StopAll(link); err == nil || !strings.Contains(err.Error(), "is a symbolic link") {
		t.Errorf("StopAll: %v", err)
	}
	k, err := NewKeeper(link, zaptest.NewLogger(t))
	if err != nil {
		t.Fatal(err)
	}
	k.binary = func() (string, error) { return "/proc/self/exe", nil }
	if err := k.End(nil); err == nil {
		t.Error("End follows the link")
	}
	if got := fmt.Sprint(k.Ensure([]Router{running("a")})); !strings.Contains(got, "is a symbolic link") {
		t.Errorf("problems %s", got)
	}
	k = newKeeper(t, theirs)
	for _, ext := range []string{confFile, pidFile, logFile} {
		file := k.base("r1") + ext
		os.Remove(file)
		if err := os.Symlink(filepath.Join(theirs, "host.conf"), file); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(k.Ensure([]Router{running("a")})); !strings.Contains(got, ext+" is a symbolic link: not a file of ofdvr") {
			t.Errorf("%s: problems %s", ext, got)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		k = newKeeper(t, theirs) // retries immediately
	}
	if err := k.End(nil); err != nil { // End must ignore all files except 0123456789abcdef, which has the form of our names
		t.Error(err)
	}
	for _, name := range []string{"host.conf", "x.log"} {
		if got, err := os.ReadFile(filepath.Join(theirs, name)); string(got) != "theirs" {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
}
