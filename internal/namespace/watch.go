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

// A Watcher tells what may have changed that [Ensure] cares about: links in
// the caller's namespace; links, addresses, routes, policy rules and settings in the
// given ones, and whether these exist. The kernel tells of few settings: forwarding,
// rp_filter and proxy_arp. The others need a look now and then.
type Watcher struct {
	changed chan struct{} // capacity 1, full: Changed's receiver has yet to look

	waiter poll.Waiter

	mu       sync.Mutex
	changes  Changes       // since the last Take
	names    []string      // to follow
	asked    int           // grows with each call of Follow
	followed int           // the last call whose names are followed
	follows  chan struct{} // closed, and made anew, when followed grows
}

// Changes are what a [Watcher] has to tell.
type Changes struct {
	// Links are those outside that have changed, and whether they existed after that.
	Links map[string]bool
	// Namespaces are those, of the followed ones, in which something has changed, or
	// that have come, gone or been replaced.
	Namespaces map[string]bool
	// Replaced are those of Namespaces that have come, gone or been replaced.
	Replaced map[string]bool
	// Added says that there are names of namespaces that were not there before, followed ones or others.
	Added bool
	// Lost says that the kernel had too much to tell: any link outside may have changed.
	Lost bool
}

// NewWatcher returns a Watcher that watches when it is run.
func NewWatcher() *Watcher {
	return &Watcher{changed: make(chan struct{}, 1), follows: make(chan struct{})}
}

// Changed returns a channel that receives a value after something has
// changed. It has room for one: what happens before it is received from is told once. There is one such
// channel for all callers. What has changed, [Watcher.Take] tells.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Take returns what has changed since the last call.
func (w *Watcher) Take() Changes {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.changes
	w.changes = Changes{}
	return c
}

// Follow says which namespaces to watch, instead of those said before, and returns when they are
// watched: what happens in them afterwards is told. They need not exist. It fails if ctx is done before that, as
// when the Watcher does not run.
func (w *Watcher) Follow(ctx context.Context, names ...string) error {
	w.mu.Lock()
	w.names = append([]string(nil), names...)
	w.asked++
	ask := w.asked
	w.waiter.Wake()
	for w.followed < ask {
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

// tell adds to what has changed.
func (w *Watcher) tell(add func(*Changes)) {
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
	p := &poller{watched: map[string]watched{}, known: map[string]bool{}, tell: w.tell}
	if err := p.open(); err != nil {
		return fmt.Errorf("watch namespaces: %w", err)
	}
	defer p.close()
	follow := true // there may be other namespaces, or other ones of their names
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

// follow has p listen to the namespaces that are to be followed.
func (w *Watcher) follow(p *poller) {
	w.mu.Lock()
	names, ask := w.names, w.asked
	w.mu.Unlock()
	p.follow(names)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.followed = ask
	close(w.follows)
	w.follows = make(chan struct{})
}

// A watched is a namespace that is listened to.
type watched struct {
	socket   int
	dev, ino uint64 // what the namespace's file was when the socket was opened
}

// A poller waits for events of several sources on one thread.
type poller struct {
	outside int // netlink socket in the caller's namespace, which is told about links: its routes may be many
	mounts  int // mountinfo: has an exceptional condition when a mount has changed
	watched map[string]watched
	order   []string        // the names of watched that fds has returned
	known   map[string]bool // all names that are to be followed, and whether they were followed before
	all     map[string]bool // names of all namespaces
	tell    func(func(*Changes))
}

func (p *poller) open() (err error) {
	if p.outside, err = listen(unix.RTMGRP_LINK); err != nil {
		return fmt.Errorf("subscribe to links: %w", err)
	}
	// A namespace that comes or goes is a mount that comes or goes. The file is
	// not an os.File: whoever polls it first, and that would be Go's runtime,
	// takes the condition away from the others.
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

// follow listens to the namespaces names, as far as they exist, and to no
// others. It tells which have come, gone or been replaced since they were to be followed.
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
		// What cannot be entered is not there, or not yet: its mount will tell.
		if err == nil {
			if socket, err := subscribeIn(name); err == nil {
				p.watched[name] = watched{socket: socket, dev: st.Dev, ino: st.Ino}
				changed = true
			}
		}
		if changed && before[name] {
			p.tell(func(c *Changes) { note(&c.Namespaces, name, true); note(&c.Replaced, name, true) })
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
		p.tell(func(c *Changes) { c.Added = true })
	}
}

// fds returns what to wait for.
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

// read reads the events that there are, and tells what has changed. It reports whether a mount has, which
// may be that of a namespace.
func (p *poller) read(fds []unix.PollFd) (mounts bool) {
	buf := make([]byte, 1<<16)
	if fds[1].Revents != 0 {
		p.links(buf)
	}
	for i, fd := range fds[2:] {
		if fd.Revents != 0 {
			p.tell(func(c *Changes) { note(&c.Namespaces, p.order[i], true) })
			drain(int(fd.Fd), buf, func([]byte) {})
		}
	}
	return fds[0].Revents != 0
}

// links tells which links outside have changed.
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
	p.tell(func(c *Changes) {
		c.Lost = c.Lost || !complete
		for name, exists := range seen {
			note(&c.Links, name, exists)
		}
	})
}

// linkName returns the name that a message about a link has (rtnetlink(7), struct ifinfomsg).
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

// drain calls f with what a socket has to tell; more than 100 messages are left for the next time. It
// reports false if the kernel had no room for all.
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

// subscribe opens a socket that is told about links, addresses, routes, policy rules
// and, of the settings, forwarding and rp_filter in the thread's namespace.
func subscribe() (int, error) {
	s, err := listen(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE |
		unix.RTMGRP_IPV4_RULE | 1<<(unix.RTNLGRP_IPV6_RULE-1) | 1<<(unix.RTNLGRP_IPV4_NETCONF-1) | 1<<(unix.RTNLGRP_IPV6_NETCONF-1))
	if err != nil {
		return -1, fmt.Errorf("subscribe to links, addresses, routes, rules and settings: %w", err)
	}
	return s, nil
}

// listen opens a netlink socket in the thread's namespace that is told about groups.
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
