package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Host is a machine that can run Open vSwitch. It has a mount namespace with its own /run
// and /var/lib. If the kernel has overlayfs, changes of /tmp are discarded. It also has a
// network namespace with only a loopback interface, where IP forwarding is off. Its methods
// may be called from several goroutines.
type Host struct {
	dir     string
	holder  *exec.Cmd
	release func() error // ends the holder; called when all other processes have ended
	pid     string       // PID of the holder
	pids    bool         // the host has its own PID namespace

	mu        sync.Mutex
	processes []*Process // all started processes, including ended ones
	database  *Process   // nil before StartOVS
	vswitchd  *Process   // nil before StartOVS
	links     []*Link    // to underlays
	closed    bool
}

// holderScript sets up the host in new mount and network namespaces, and holds them until
// standard input ends. Its argument $1 is the host's directory. The bubble's scratch directory
// stays visible in the new /run.
const holderScript = `
mkdir "$1/run"
mount -t tmpfs -o mode=755 tmpfs "$1/run"
cd "$1/run"
mkdir lab lock mount netns openvswitch
mount --bind ` + scratch + ` lab
cd /
mount --move "$1/run" /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t sysfs sysfs /sys 2>/dev/null || true # some containers refuse; nothing depends on it

# The files in /tmp can be read, but not changed or removed: mininet runs
# rm /tmp/*.log.
exec 3<"$1"
mkdir "$1/tmp" "$1/tmp/upper" "$1/tmp/work"
if mount -t overlay -o "lowerdir=/tmp,upperdir=$1/tmp/upper,workdir=$1/tmp/work" overlay /tmp 2>/dev/null; then
	case $1 in /tmp/*) mount --no-canonicalize --bind /proc/self/fd/3 "$1" ;; esac
fi
exec 3<&-

echo 0 >/proc/sys/net/ipv4/ip_forward # inherited from the machine, which may route
ip link set lo up
echo ready
exec cat
`

// NewHost makes a host that keeps its files and logs in dir, and creates dir if it does not
// exist. It starts nothing on the host; see [Host.StartOVS]. It works only in a bubble. The
// caller must close the host.
func NewHost(ctx context.Context, dir string) (*Host, error) {
	h, stdin, err := newHost(ctx, dir, 0, holderScript)
	if err != nil {
		return nil, err
	}
	h.release = func() error {
		stdin.Close()
		return h.holder.Wait()
	}
	return h, nil
}

// newHost makes a host that exists as long as a process. The process runs a script in a new mount
// and network namespace, and in further new namespaces that the flags in more select. The script's
// arguments are dir and args. The host is ready when the script prints a line. stdin is the
// script's standard input.
func newHost(ctx context.Context, dir string, more uintptr, script string, args ...string) (h *Host, stdin io.Closer, err error) {
	if !Isolated() {
		return nil, nil, errors.New("make a host: the program is not in a bubble, call lab.Isolate first")
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, err
	}
	holder := exec.Command("sh", append([]string{"-ec", script, "sh", dir}, args...)...) // outlives ctx
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | more}
	var complaints strings.Builder
	holder.Stderr = &complaints
	stdin, err = holder.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := holder.Start(); err != nil {
		return nil, nil, fmt.Errorf("make the namespaces of a host: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { holder.Process.Kill() })
	defer stop()
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		stdin.Close()
		err = holder.Wait()
		return nil, nil, fmt.Errorf("set up a host in %s: %w: %s", dir, err, strings.TrimSpace(complaints.String()))
	}
	return &Host{dir: dir, holder: holder, pid: strconv.Itoa(holder.Process.Pid)}, stdin, nil
}

// Dir returns the directory with the host's files and logs. Its path is the same
// inside and outside of the host.
func (h *Host) Dir() string { return h.dir }

// Path returns the path by which the program reaches a file of the host. name is the file's
// absolute path on the host.
func (h *Host) Path(name string) string { return "/proc/" + h.pid + "/root" + name }

// netnsPath returns the file of the host's network namespace called name, as in ip-netns(8).
// The namespace "" is the host's own.
func (h *Host) netnsPath(name string) string {
	if name == "" {
		return "/proc/" + h.pid + "/ns/net"
	}
	return h.Path("/run/netns/" + name)
}

// WriteFile writes a file in the host's directory and returns its path, which is
// the same inside the host.
func (h *Host) WriteFile(name, content string) (string, error) {
	path := filepath.Join(h.dir, name)
	return path, os.WriteFile(path, []byte(content), 0o644)
}

// Command returns a command that will run on the host. It is killed when ctx is done. Its
// process is the program itself, not a wrapper. Its working directory is /.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return h.CommandIn(ctx, "", name, args...)
}

// CommandIn is like [Host.Command], but in the named network namespace of the host, such as
// qrouter-r1.
func (h *Host) CommandIn(ctx context.Context, netns, name string, args ...string) *exec.Cmd {
	cmd := h.command(ctx, netns, name, args...)
	if h.pids {
		cmd.Args = slices.Insert(cmd.Args, 1, "--pid")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // nsenter and its child
	}
	return cmd
}

// command is like CommandIn, but runs in this machine's PID namespace, even if the host has
// its own.
func (h *Host) command(ctx context.Context, netns, name string, args ...string) *exec.Cmd {
	full := append([]string{"--target", h.pid, "--mount", "--net=" + h.netnsPath(netns), "--", name}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", full...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "OVS_") })
	cmd.WaitDelay = time.Second // limits the wait for children that keep the output open
	return cmd
}

// Run runs a command on the host and returns its standard output.
func (h *Host) Run(ctx context.Context, name string, args ...string) (string, error) {
	return h.RunIn(ctx, "", name, args...)
}

// RunIn is like [Host.Run], but in the named network namespace of the host.
func (h *Host) RunIn(ctx context.Context, netns, name string, args ...string) (string, error) {
	return run(h.CommandIn(ctx, netns, name, args...), netns, name, args)
}

// run runs cmd, which is the given command line in a namespace, and returns
// its standard output. The error has the command and all its output.
func run(cmd *exec.Cmd, where, name string, args []string) (string, error) {
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if where != "" {
			where += ": "
		}
		return out.String(), fmt.Errorf("%s%s: %w\n%s%s", where, commandLine(name, args), err, errs.String(), out.String())
	}
	return out.String(), nil
}

func commandLine(name string, args []string) string {
	words := []string{name}
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\n\"'$*;|&()") {
			a = strconv.Quote(a)
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// Start starts a program on the host. It runs until it is stopped or the host is
// closed. Its log is in the host's directory, under the program's name.
func (h *Host) Start(name string, args ...string) (*Process, error) {
	return h.startIn("", filepath.Base(name), name, args...)
}

func (h *Host) startIn(netns, logName, name string, args ...string) (*Process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, fmt.Errorf("start %s: the host is closed", name)
	}
	p, err := start(h.command(context.Background(), netns, name, args...), h.dir, logName)
	if err == nil {
		h.processes = append(h.processes, p)
	}
	return p, err
}

// Processes returns the processes started on the host, in order, including ended processes.
func (h *Host) Processes() []*Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.processes)
}

// Dial connects to a server on the host. The network is tcp, tcp4, tcp6 or udp, with a literal
// address such as 127.0.0.1:9476, or unix, with an absolute path.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.DialIn(ctx, "", network, addr)
}

// DialIn is like [Host.Dial], but in the named network namespace of the host.
func (h *Host) DialIn(ctx context.Context, netns, network, addr string) (net.Conn, error) {
	var d net.Dialer
	if strings.HasPrefix(network, "unix") {
		return d.DialContext(ctx, network, h.Path(addr))
	}
	// Only literal addresses are allowed, because dialing a name would use other goroutines to
	// resolve it and to connect.
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, fmt.Errorf("dial %s on a host: %w", addr, err)
	}
	var conn net.Conn
	err := inNetns(h.netnsPath(netns), func() (err error) {
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

// DialAs is like [Host.Dial] for TCP, but the user uid owns the socket.
func (h *Host) DialAs(ctx context.Context, uid int, addr string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, fmt.Errorf("dial %s on a host: %w", addr, err)
	}
	var conn net.Conn
	err := inNetns(h.netnsPath(""), func() (err error) {
		unchanged := ^uintptr(0)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, unchanged, uintptr(uid), unchanged); errno != 0 { // changes only this thread
			return fmt.Errorf("become user %d: %w", uid, errno)
		}
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", addr)
		return err
	})
	return conn, err
}

// ListenIn listens in a network namespace of the host.
func (h *Host) ListenIn(ctx context.Context, netns, network, addr string) (net.Listener, error) {
	var ln net.Listener
	err := inNetns(h.netnsPath(netns), func() (err error) {
		var lc net.ListenConfig
		ln, err = lc.Listen(ctx, network, addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s in namespace %q: %w", addr, netns, err)
	}
	return ln, nil
}

// ListenPacketIn opens a socket in a named network namespace of the host, at a literal address
// such as 10.0.1.10:7. The network is udp, udp4 or udp6.
func (h *Host) ListenPacketIn(ctx context.Context, netns, network, addr string) (net.PacketConn, error) {
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return nil, fmt.Errorf("listen at %s on a host: %w", addr, err)
	}
	var conn net.PacketConn
	err := inNetns(h.netnsPath(netns), func() (err error) {
		conn, err = new(net.ListenConfig).ListenPacket(ctx, network, addr)
		return err
	})
	return conn, err
}

// HTTP returns a client for servers on the host. Their URLs have literal
// addresses.
func (h *Host) HTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: h.Dial, DisableKeepAlives: true}}
}

// HTTPUnix returns a client that sends every request to the Unix socket path on the host. The
// host name in the URL is ignored.
func (h *Host) HTTPUnix(path string) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return h.Dial(ctx, "unix", path) }
	return &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
}
