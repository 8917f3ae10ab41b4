package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// IntegrationBridge is the bridge that [Boot] makes and that machines join by
// default.
const IntegrationBridge = "br-int"

// datapathEnv is the environment variable with the datapath type of the lab's bridges.
const datapathEnv = "OFDVR_LAB_DATAPATH"

// Datapath returns the datapath type of the lab's bridges. It is [Kernel] if
// OFDVR_LAB_DATAPATH in the environment has that value. Otherwise it is [Userspace], which
// needs no kernel module.
func Datapath() string {
	if os.Getenv(datapathEnv) == Kernel {
		return Kernel
	}
	return Userspace
}

// The datapath types of Open vSwitch (ovs-vswitchd.conf.db(5)).
const (
	Userspace = "netdev"
	Kernel    = "system"
)

// readyTimeout is the time that Open vSwitch may take to start. Usually it takes about 100 ms.
const readyTimeout = time.Minute

// startOVSDaemon starts one of Open vSwitch's daemons in the foreground. It logs to
// standard error only.
func (h *Host) startOVSDaemon(name string, args ...string) (*Process, error) {
	return h.Start(name, append([]string{"--pidfile", "-vconsole:info", "-vsyslog:off", "-vfile:off"}, args...)...)
}

// StartOVS starts an Open vSwitch on the host with an empty database, and
// returns when it is ready.
func (h *Host) StartOVS(ctx context.Context) error {
	if err := h.StartEmptyDatabase(ctx); err != nil {
		return err
	}
	return h.StartSwitch(ctx)
}

// StartEmptyDatabase starts ovsdb-server, which must not be running, with an empty
// database in place of the old one.
func (h *Host) StartEmptyDatabase(ctx context.Context) error {
	if err := os.Remove(h.databaseFile()); err != nil && !os.IsNotExist(err) {
		return err
	}
	if _, err := h.Run(ctx, "ovsdb-tool", "create", h.databaseFile(), SchemaFile()); err != nil {
		return err
	}
	if err := h.StartDatabase(ctx); err != nil {
		return err
	}
	_, err := h.Vsctl(ctx, "--no-wait", "init")
	return err
}

func (h *Host) databaseFile() string { return filepath.Join(h.dir, "conf.db") }

// Database returns the latest ovsdb-server process, or nil if none was started.
func (h *Host) Database() *Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.database
}

// Switch returns the latest ovs-vswitchd process, or nil if none was started.
func (h *Host) Switch() *Process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.vswitchd
}

// StartDatabase starts ovsdb-server with the existing database, for the first time or again
// after it ended. It returns when ovsdb-server answers.
func (h *Host) StartDatabase(ctx context.Context) error {
	const socket = "/run/openvswitch/db.sock"
	p, err := h.startOVSDaemon("ovsdb-server", "--remote=punix:"+socket,
		"--remote=db:Open_vSwitch,Open_vSwitch,manager_options", h.databaseFile())
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.database = p
	h.mu.Unlock()
	return h.ready(ctx, p, func() error { return h.answers(ctx, socket) })
}

// StartSwitch starts ovs-vswitchd, or starts it again. It returns when every bridge in the database
// exists, and the host's links to underlays work.
func (h *Host) StartSwitch(ctx context.Context) error {
	p, err := h.startOVSDaemon("ovs-vswitchd")
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.vswitchd = p
	h.mu.Unlock()
	out, err := h.Vsctl(ctx, "--no-wait", "list-br")
	if err != nil {
		return err
	}
	sockets := []string{fmt.Sprintf("/run/openvswitch/ovs-vswitchd.%d.ctl", p.Pid)}
	for _, br := range strings.Fields(out) {
		// The socket of a dead predecessor still exists, but no process listens on it.
		sockets = append(sockets, "/run/openvswitch/"+br+".mgmt")
	}
	err = h.ready(ctx, p, func() error {
		for _, s := range sockets {
			if err := h.answers(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	links := slices.Clone(h.links)
	h.mu.Unlock()
	for _, l := range links {
		if err := l.restore(ctx); err != nil {
			return err
		}
	}
	return nil
}

// answers returns nil if a server listens on a Unix socket.
func (h *Host) answers(ctx context.Context, socket string) error {
	conn, err := h.Dial(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}

// ready waits until check returns nil. If p ends first, it returns an error with p's log.
func (h *Host) ready(ctx context.Context, p *Process, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ctx, abandon := context.WithCancelCause(ctx)
	defer abandon(nil)
	go func() { // ends with ctx, at the latest when ready returns
		select {
		case <-p.Done():
			abandon(fmt.Errorf("%s ended", p.Name))
		case <-ctx.Done():
		}
	}()
	if err := Await(ctx, p.Name+" to answer", check); err != nil {
		return fmt.Errorf("%w\n%s", err, p.Log())
	}
	return nil
}

// Vsctl runs ovs-vsctl, which waits until ovs-vswitchd has applied the change,
// unless the first argument is --no-wait.
func (h *Host) Vsctl(ctx context.Context, args ...string) (string, error) {
	return h.Run(ctx, "ovs-vsctl", append([]string{"--timeout=20"}, args...)...)
}

// Ofctl runs ovs-ofctl with OpenFlow 1.3.
func (h *Host) Ofctl(ctx context.Context, args ...string) (string, error) {
	return h.Run(ctx, "ovs-ofctl", append([]string{"--protocols=OpenFlow13", "--timeout=20"}, args...)...)
}

// AddBridge makes a bridge in the lab's [Datapath]. At first its only flow is NORMAL.
func (h *Host) AddBridge(ctx context.Context, name string) error {
	_, err := h.Vsctl(ctx, "add-br", name, "--", "set", "bridge", name, "datapath_type="+Datapath())
	return err
}

// Report returns the state of the host, for a test that failed: the switch's
// configuration, the flows of every bridge, and the end of every log.
func (h *Host) Report(ctx context.Context) string {
	var b strings.Builder
	section := func(title, text string) {
		fmt.Fprintf(&b, "--- %s\n%s\n", title, strings.TrimRight(text, "\n"))
	}
	if p := h.Switch(); p != nil && p.running() && h.Database().running() {
		out, err := h.Vsctl(ctx, "show")
		section("ovs-vsctl show", text(out, err))
		out, err = h.Run(ctx, "ovs-appctl", "coverage/show")
		section("packets dropped by the datapath (ovs-appctl coverage/show)", text(dropped(out), err))
		bridges, _ := h.Vsctl(ctx, "list-br") // ovs-vsctl show above has reported an error
		for _, br := range strings.Fields(bridges) {
			out, err := h.Run(ctx, "ovs-ofctl", "--protocols=OpenFlow10,OpenFlow13", "--names", "dump-flows", br)
			section("flows of "+br, text(out, err))
		}
	}
	logs, _ := filepath.Glob(filepath.Join(h.dir, "*.log")) // the pattern is right
	for _, path := range logs {
		log, err := os.ReadFile(path)
		section(filepath.Base(path), text(tail(string(log), 40), err))
	}
	return b.String()
}

// MovedAddresses returns how often a MAC address has moved from one port to another in the MAC table
// of a bridge, since ovs-vswitchd started.
func (h *Host) MovedAddresses(ctx context.Context, bridge string) (n int, err error) {
	out, err := h.Run(ctx, "ovs-appctl", "fdb/stats-show", bridge)
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(out, "moved MAC entries")
	if _, err := fmt.Sscanf(strings.TrimSpace(after), ": %d", &n); err != nil {
		return 0, fmt.Errorf("read the statistics of the MAC table of %s: %w: %s", bridge, err, out)
	}
	return n, nil
}

// dropped returns the counters of dropped packets from the output of coverage/show. For example,
// while a userspace datapath is reconfigured, it drops packets that need a new datapath flow
// (datapath_drop_lock_error).
func dropped(coverage string) string {
	var b strings.Builder
	for line := range strings.Lines(coverage) {
		if strings.Contains(line, "drop") && !strings.Contains(line, "total: 0") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func text(out string, err error) string {
	if err != nil {
		return err.Error()
	}
	return out
}

// tail returns the last n lines of s, after a line with the number of lines that it leaves
// out.
func tail(s string, n int) string {
	lines := strings.SplitAfter(s, "\n")
	if len(lines) <= n+1 { // the text after the last newline is one more
		return s
	}
	return fmt.Sprintf("(%d lines above)\n", len(lines)-n-1) + strings.Join(lines[len(lines)-n-1:], "")
}
