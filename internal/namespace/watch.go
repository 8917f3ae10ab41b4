package namespace

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ofdvr/ofdvr/internal/poll"
)

// A Watcher tells when something may have changed that [Ensure] cares about: links in
// the caller's namespace; links, addresses, routes, policy rules and settings in the
// given ones, and whether these exist. The kernel tells of few settings: forwarding,
// rp_filter and proxy_arp. The others need a look now and then.
type Watcher struct {
	changed chan struct{} // capacity 1, full: Changed's receiver has yet to look

	waiter poll.Waiter

	mu    sync.Mutex
	names []string
}

// NewWatcher returns a Watcher that watches when it is run.
func NewWatcher() *Watcher { return &Watcher{changed: make(chan struct{}, 1)} }

// Changed returns a channel that receives a value after something has
// changed, and after Run has begun to watch a namespace. It has room for one:
// what happens before it is received from is told once. There is one such
// channel for all callers.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Namespaces says which namespaces to watch, instead of those said before.
// They need not exist.
func (w *Watcher) Namespaces(names ...string) {
	w.mu.Lock()
	w.names = append([]string(nil), names...)
	w.mu.Unlock()
	w.waiter.Wake()
}

func (w *Watcher) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Run watches until ctx is done. The error is never nil; it is ctx's cause if
// ctx was canceled.
func (w *Watcher) Run(ctx context.Context) error {
	p := &poller{watched: map[string]watched{}}
	if err := p.open(); err != nil {
		return fmt.Errorf("watch namespaces: %w", err)
	}
	defer p.close()
	follow := true // there may be other namespaces, or other ones of their names
	err := w.waiter.Run(ctx, func() ([]unix.PollFd, int) {
		if follow {
			w.mu.Lock()
			names := w.names
			w.mu.Unlock()
			if p.follow(names) {
				w.notify()
			}
		}
		return p.fds(), -1
	}, func(fds []unix.PollFd, woken bool) {
		changed, mounts := p.read(fds)
		if follow = woken || mounts; changed {
			w.notify()
		}
	})
	if ctx.Err() == nil {
		err = fmt.Errorf("watch namespaces: %w", err)
	}
	return err
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
// others. It reports whether one has come, gone or been replaced.
func (p *poller) follow(names []string) (changed bool) {
	want := map[string]bool{}
	for _, name := range names {
		want[name] = true
		var st unix.Stat_t
		err := unix.Stat(path(name), &st)
		old, known := p.watched[name]
		if known && err == nil && old.dev == st.Dev && old.ino == st.Ino {
			continue
		}
		if known {
			p.drop(name)
			changed = true
		}
		if err != nil {
			continue
		}
		// What cannot be entered is not there, or not yet: its mount will tell.
		if socket, err := subscribeIn(name); err == nil {
			p.watched[name] = watched{socket: socket, dev: st.Dev, ino: st.Ino}
			changed = true
		}
	}
	for name := range p.watched {
		if !want[name] {
			p.drop(name)
		}
	}
	return changed
}

// fds returns what to wait for.
func (p *poller) fds() []unix.PollFd {
	fds := []unix.PollFd{
		{Fd: int32(p.mounts), Events: unix.POLLPRI},
		{Fd: int32(p.outside), Events: unix.POLLIN},
	}
	for _, w := range p.watched {
		fds = append(fds, unix.PollFd{Fd: int32(w.socket), Events: unix.POLLIN})
	}
	return fds
}

// read reads the events that there are. It reports whether something in a namespace has
// changed, and whether a mount has, which may be that of a namespace.
func (p *poller) read(fds []unix.PollFd) (changed, mounts bool) {
	buf := make([]byte, 1<<16)
	for _, fd := range fds[1:] {
		if fd.Revents == 0 {
			continue
		}
		changed = true
		for range 100 { // or until there is nothing to read; more is left for the next time
			if _, _, err := unix.Recvfrom(int(fd.Fd), buf, unix.MSG_DONTWAIT); err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
	return changed, fds[0].Revents != 0
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
