package namespace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/poll"
)

// A Watcher reports changes of the objects that [Ensure] manages. These are links in the caller's
// namespace, the watched namespaces, and in each of them the links, addresses, routes, policy rules
// and settings. The kernel reports only changes of the settings forwarding, rp_filter and
// proxy_arp. The other settings have to be checked periodically.
type Watcher struct {
	changed chan struct{} // capacity 1; full if a change has not been received yet

	waiter poll.Waiter

	mu        sync.Mutex
	changes   Changes       // changes since the last Take
	names     []string      // namespaces to watch
	requested int           // number of calls of Follow
	followed  int           // number of the latest call with names that are watched
	follows   chan struct{} // closed and replaced when followed grows
}

// Changes has the changes that a [Watcher] reports.
type Changes struct {
	// Links has the changed links of the caller's namespace. The value is true if the link exists
	// after the change.
	Links map[string]bool
	// Namespaces has the watched namespaces that have changed inside, or that were created, deleted
	// or replaced.
	Namespaces map[string]bool
	// Replaced has those of Namespaces that were created, deleted or replaced.
	Replaced map[string]bool
	// Added means that a namespace with a new name was created, even if it is not watched.
	Added bool
	// Lost means that events were lost, so any link of the caller's namespace may have changed.
	Lost bool
}

// NewWatcher returns a Watcher; call [Watcher.Run] to start it.
func NewWatcher() *Watcher {
	return &Watcher{changed: make(chan struct{}, 1), follows: make(chan struct{})}
}

// Changed returns a channel that receives a value after a change. Its capacity is one, so one value
// may stand for several changes. [Watcher.Take] returns the changes. All callers share one channel.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Take returns the changes since the last call.
func (w *Watcher) Take() Changes {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.changes
	w.changes = Changes{}
	return c
}

// Follow sets the namespaces to watch, which need not exist. When it returns, they are watched, and
// later changes in them are reported. If ctx is done before that, for example because the Watcher
// is not running, Follow fails.
func (w *Watcher) Follow(ctx context.Context, names ...string) error {
	w.mu.Lock()
	w.names = append([]string(nil), names...)
	w.requested++
	request := w.requested
	w.waiter.Wake()
	for w.followed < request {
		next := w.follows
		w.mu.Unlock()
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("watch namespaces: %w", context.Cause(ctx))
		}
		w.mu.Lock()
	}
	w.mu.Unlock()
	return nil
}

// report adds changes and signals Changed.
func (w *Watcher) report(add func(*Changes)) {
	w.mu.Lock()
	add(&w.changes)
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func note(m *map[string]bool, name string, v bool) {
	if *m == nil {
		*m = make(map[string]bool)
	}
	(*m)[name] = v
}

// Run watches until ctx is done. The error is never nil; it is ctx's cause if
// ctx was canceled.
func (w *Watcher) Run(ctx context.Context) error {
	p := &poller{watched: map[string]watched{}, known: map[string]bool{}, report: w.report}
	if err := p.open(); err != nil {
		return fmt.Errorf("watch namespaces: %w", err)
	}
	defer p.close()
	follow := true // namespaces may have been created, deleted or replaced
	err := w.waiter.Run(ctx, func() ([]unix.PollFd, int) {
		if follow {
			w.follow(p)
		}
		return p.fds(), -1
	}, func(fds []unix.PollFd, woken bool) {
		mounts := p.read(fds)
		follow = woken || mounts
	})
	if ctx.Err() == nil {
		err = fmt.Errorf("watch namespaces: %w", err)
	}
	return err
}

// follow makes p listen in the namespaces to watch.
func (w *Watcher) follow(p *poller) {
	w.mu.Lock()
	names, request := w.names, w.requested
	w.mu.Unlock()
	p.follow(names)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.followed = request
	close(w.follows)
	w.follows = make(chan struct{})
}

// A watched is a namespace that p listens in.
type watched struct {
	socket   int
	dev, ino uint64 // identity of the namespace's file when the socket was opened
}

// A poller waits for events from several sources on one thread.
type poller struct {
	outside int // netlink socket in the caller's namespace; only for link events, because this namespace may have many routes
	mounts  int // mountinfo, which signals an exceptional condition when a mount changes
	watched map[string]watched
	order   []string        // the names of watched in the order of fds
	known   map[string]bool // all names to watch; true for names that were watched before
	all     map[string]bool // names of all existing namespaces
	report  func(func(*Changes))
}

func (p *poller) open() (err error) {
	if p.outside, err = listen(unix.RTMGRP_LINK); err != nil {
		return fmt.Errorf("subscribe to links: %w", err)
	}
	// A namespace is created or deleted by a mount or unmount. The file is not an os.File, because
	// Go's runtime polls an os.File. A change of the file is reported only to one poll.
	const file = "/proc/self/mountinfo"
	if p.mounts, err = unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		unix.Close(p.outside)
		return fmt.Errorf("open %s: %w", file, err)
	}
	return nil
}

func (p *poller) close() {
	for name := range p.watched {
		p.drop(name)
	}
	unix.Close(p.outside)
	unix.Close(p.mounts)
}

func (p *poller) drop(name string) {
	unix.Close(p.watched[name].socket)
	delete(p.watched, name)
}

// follow listens in exactly the namespaces in names, as far as they exist. It reports
// namespaces that were created, deleted or replaced since they were first watched.
func (p *poller) follow(names []string) {
	before := p.known
	p.known = make(map[string]bool, len(names))
	for _, name := range names {
		p.known[name] = true
		changed := false
		var st unix.Stat_t
		err := unix.Stat(path(name), &st)
		old, watching := p.watched[name]
		if watching && err == nil && old.dev == st.Dev && old.ino == st.Ino {
			continue
		}
		if watching {
			p.drop(name)
			changed = true
		}
		// If a namespace cannot be entered, it does not exist yet. An event will report its mount.
		if err == nil {
			if socket, err := subscribeIn(name); err == nil {
				p.watched[name] = watched{socket: socket, dev: st.Dev, ino: st.Ino}
				changed = true
			}
		}
		if changed && before[name] {
			p.report(func(c *Changes) { note(&c.Namespaces, name, true); note(&c.Replaced, name, true) })
		}
	}
	for name := range p.watched {
		if !p.known[name] {
			p.drop(name)
		}
	}
	entries, _ := os.ReadDir(dir)
	all, added := make(map[string]bool, len(entries)), false
	for _, e := range entries {
		all[e.Name()] = true
		added = added || !p.all[e.Name()]
	}
	if p.all = all; added {
		p.report(func(c *Changes) { c.Added = true })
	}
}

// fds returns the descriptors to wait for.
func (p *poller) fds() []unix.PollFd {
	fds := []unix.PollFd{
		{Fd: int32(p.mounts), Events: unix.POLLPRI},
		{Fd: int32(p.outside), Events: unix.POLLIN},
	}
	p.order = p.order[:0]
	for name, w := range p.watched {
		fds, p.order = append(fds, unix.PollFd{Fd: int32(w.socket), Events: unix.POLLIN}), append(p.order, name)
	}
	return fds
}

// read reads the pending events and reports the changes. It returns true if a mount has changed,
// perhaps that of a namespace.
func (p *poller) read(fds []unix.PollFd) (mounts bool) {
	buf := make([]byte, 1<<16)
	if fds[1].Revents != 0 {
		p.links(buf)
	}
	for i, fd := range fds[2:] {
		if fd.Revents != 0 {
			p.report(func(c *Changes) { note(&c.Namespaces, p.order[i], true) })
			drain(int(fd.Fd), buf, func([]byte) {})
		}
	}
	return fds[0].Revents != 0
}

// links reads the pending link events of the caller's namespace and reports the changed links.
func (p *poller) links(buf []byte) {
	seen := make(map[string]bool)
	complete := drain(p.outside, buf, func(b []byte) {
		messages, _ := syscall.ParseNetlinkMessage(b)
		for _, m := range messages {
			if name := linkName(m.Data); name != "" && (m.Header.Type == unix.RTM_NEWLINK || m.Header.Type == unix.RTM_DELLINK) {
				seen[name] = m.Header.Type == unix.RTM_NEWLINK
			}
		}
	})
	p.report(func(c *Changes) {
		c.Lost = c.Lost || !complete
		for name, exists := range seen {
			note(&c.Links, name, exists)
		}
	})
}

// linkName returns the name in a message about a link (rtnetlink(7), struct ifinfomsg).
func linkName(data []byte) string {
	if len(data) < unix.SizeofIfInfomsg {
		return ""
	}
	attrs, _ := nl.ParseRouteAttr(data[unix.SizeofIfInfomsg:])
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_IFNAME {
			return strings.TrimRight(string(a.Value), "\x00")
		}
	}
	return ""
}

// drain calls f with the pending messages of a socket, at most 100 at a time. It returns false if the
// kernel dropped messages.
func drain(socket int, buf []byte, f func([]byte)) (complete bool) {
	complete = true
	for range 100 {
		n, _, err := unix.Recvfrom(socket, buf, unix.MSG_DONTWAIT)
		switch {
		case err == nil:
			f(buf[:n])
		case errors.Is(err, unix.ENOBUFS):
			complete = false
		case !errors.Is(err, unix.EINTR):
			return complete
		}
	}
	return complete
}

// subscribe opens a socket for events of links, addresses, routes, policy rules and the settings
// forwarding and rp_filter in the thread's namespace.
func subscribe() (int, error) {
	s, err := listen(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE |
		unix.RTMGRP_IPV4_RULE | 1<<(unix.RTNLGRP_IPV6_RULE-1) | 1<<(unix.RTNLGRP_IPV4_NETCONF-1) | 1<<(unix.RTNLGRP_IPV6_NETCONF-1))
	if err != nil {
		return -1, fmt.Errorf("subscribe to links, addresses, routes, rules and settings: %w", err)
	}
	return s, nil
}

// listen opens a netlink socket for the events of groups in the thread's namespace.
func listen(groups uint32) (int, error) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("open a netlink socket: %w", err)
	}
	if err := unix.Bind(s, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(s)
		return -1, err
	}
	return s, nil
}

func subscribeIn(name string) (s int, err error) {
	ns, err := openNS(name)
	if err != nil {
		return -1, err
	}
	defer ns.Close()
	err = enter(ns, func() error {
		s, err = subscribe()
		return err
	})
	return s, err
}
