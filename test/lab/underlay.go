package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

const (
	// underlayNIC is a host's interface to its underlay.
	underlayNIC = "eth0"

	// underlayBridge is the host's bridge with that interface as a port, if the datapath is in
	// userspace. Then Open vSwitch sends a tunnel's packets only through a bridge that has the
	// host's address on its local port (Documentation/howto/userspace-tunneling).
	underlayBridge = "br-phy"
)

// An Underlay is a network that connects hosts, for example for tunnels between them. It is a
// learning Linux bridge in its own network namespace.
type Underlay struct {
	host *Host // has only the bridge
	mtu  int

	mu    sync.Mutex
	links []*Link
}

// A Link connects a host to an underlay. The host has the addresses on eth0 or, if the datapath
// is in userspace, on the bridge br-phy, which has eth0 as its only port.
type Link struct {
	Host       *Host
	IPv4, IPv6 string // the host's addresses: 192.168.77.N and fd77::N
	MAC        string // the host's

	underlay *Underlay
	nic      string // the host's interface
	port     string // port of the underlay's bridge
}

// NewUnderlay makes an underlay without hosts. Its interfaces get the given MTU; 0 means 1500.
// It works only in a bubble. The caller must close the underlay.
func NewUnderlay(ctx context.Context, dir string, mtu int) (*Underlay, error) {
	h, err := NewHost(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("make an underlay: %w", err)
	}
	if mtu == 0 {
		mtu = 1500
	}
	// The bridge itself must not send packets.
	const script = `
		echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
		ip link add name underlay type bridge stp_state 0 mcast_snooping 0
		ip link set dev underlay mtu "$1" up
	`
	if _, err := h.Run(ctx, "sh", "-ec", script, "sh", strconv.Itoa(mtu)); err != nil {
		return nil, errors.Join(fmt.Errorf("make an underlay: %w", err), h.Close())
	}
	return &Underlay{host: h, mtu: mtu}, nil
}

// Close removes the underlay. A second call does nothing.
func (u *Underlay) Close() error { return u.host.Close() }

// Connect connects a host to the underlay as host number n, from 1 to 99. If the datapath is in
// userspace, Open vSwitch must run on the host.
func (u *Underlay) Connect(ctx context.Context, h *Host, n int) (*Link, error) {
	l := &Link{
		Host: h, IPv4: fmt.Sprintf("192.168.77.%d", n), IPv6: fmt.Sprintf("fd77::%d", n), MAC: fmt.Sprintf("02:77:00:00:00:%02d", n),
		underlay: u, nic: underlayNIC, port: fmt.Sprintf("host%d", n),
	}
	mtu := strconv.Itoa(u.mtu)
	out, err := exec.CommandContext(ctx, "ip", "link", "add", "name", l.port, "mtu", mtu, "netns", u.host.pid, "type", "veth",
		"peer", "name", underlayNIC, "mtu", mtu, "netns", h.pid).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("connect a host to an underlay: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if _, err := u.host.Run(ctx, "ip", "link", "set", "dev", l.port, "master", "underlay"); err != nil {
		return nil, fmt.Errorf("connect a host to an underlay: %w", err)
	}
	if _, err := h.Run(ctx, "sh", "-ec", l.script(), "sh", underlayNIC, underlayBridge, l.MAC, mtu); err != nil {
		return nil, fmt.Errorf("connect a host to an underlay: %w", err)
	}
	if err := l.Up(ctx); err != nil {
		return nil, err
	}

	u.mu.Lock()
	defer u.mu.Unlock()
	u.links = append(u.links, l)
	h.mu.Lock()
	h.links = append(h.links, l)
	h.mu.Unlock()
	if err := l.configure(ctx, u.links); err != nil {
		return nil, err
	}
	for _, other := range u.links {
		if err := other.meet(ctx, []*Link{l}); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// script returns the script that sets the host's interface up. Its arguments are the interface, the
// bridge for the datapath in userspace, the host's MAC address, and the MTU. The bridge has the MAC
// address, not the interface, because the kernel gets a copy of the interface's packets and must
// not answer them.
func (l *Link) script() string {
	if Datapath() == Userspace {
		return `
			ethtool -K "$1" tx off >/dev/null
			echo 1 >/proc/sys/net/ipv6/conf/$1/disable_ipv6
			ip link set dev "$1" arp off up
			ovs-vsctl --timeout=20 add-br "$2" -- set bridge "$2" datapath_type=netdev other_config:hwaddr="$3" \
				-- set interface "$2" mtu_request="$4" -- add-port "$2" "$1"
		`
	}
	return `
		ethtool -K "$1" tx off >/dev/null
		ip link set dev "$1" address "$3" up
	`
}

// device returns the name of the interface that has the host's addresses.
func (l *Link) device() string {
	if Datapath() == Userspace {
		return underlayBridge
	}
	return underlayNIC
}

// restore configures the host again after a restart of ovs-vswitchd: with the userspace datapath,
// the local port of a bridge exists only while ovs-vswitchd runs.
func (l *Link) restore(ctx context.Context) error {
	if Datapath() != Userspace {
		return nil
	}
	l.underlay.mu.Lock()
	defer l.underlay.mu.Unlock()
	return l.configure(ctx, l.underlay.links)
}

// configure sets the host's addresses, and returns when tunnels to others can use them.
func (l *Link) configure(ctx context.Context, others []*Link) error {
	const script = `
		ip addr replace "$2/24" dev "$1"
		ip addr replace "$3/64" dev "$1" nodad
		ip link set dev "$1" up
	`
	if _, err := l.Host.Run(ctx, "sh", "-ec", script, "sh", l.device(), l.IPv4, l.IPv6); err != nil {
		return fmt.Errorf("configure a host's underlay: %w", err)
	}
	if Datapath() == Userspace {
		ctx, cancel := context.WithTimeout(ctx, readyTimeout)
		defer cancel()
		err := Await(ctx, "Open vSwitch to know the routes through the underlay", func() error {
			out, err := l.Host.Run(ctx, "ovs-appctl", "ovs/route/show")
			if err == nil && (!strings.Contains(out, "SRC "+l.IPv4+"\n") || !strings.Contains(out, "SRC "+l.IPv6+"\n")) {
				err = fmt.Errorf("it has these routes: %s", out)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return l.meet(ctx, others)
}

// meet gives the host the MAC addresses of others. Without them, Open vSwitch would drop the first
// packet to each other host while it resolves the address.
func (l *Link) meet(ctx context.Context, others []*Link) error {
	script := `ip neigh replace "$2" lladdr "$4" dev "$1" nud permanent; ip neigh replace "$3" lladdr "$4" dev "$1" nud permanent`
	if Datapath() == Userspace {
		script = `ovs-appctl tnl/neigh/set "$1" "$2" "$4"; ovs-appctl tnl/neigh/set "$1" "$3" "$4"`
	}
	for _, o := range others {
		if o == l {
			continue
		}
		if _, err := l.Host.Run(ctx, "sh", "-ec", script, "sh", l.device(), o.IPv4, o.IPv6, o.MAC); err != nil {
			return fmt.Errorf("set a neighbour in a host's underlay: %w", err)
		}
	}
	return nil
}

// Down takes the link down at its far end, as if the host's cable was pulled.
func (l *Link) Down(ctx context.Context) error { return l.set(ctx, "down") }

// Up reverses the effect of [Link.Down].
func (l *Link) Up(ctx context.Context) error { return l.set(ctx, "up") }

// Lossy makes the underlay lose the given percentage of the packets from and to
// the host. 0 means no loss.
func (l *Link) Lossy(ctx context.Context, percent int) error {
	const script = `
		nft delete table bridge "$1" 2>/dev/null || true
		if [ "$2" != 0 ]; then
			nft add table bridge "$1"
			nft add chain bridge "$1" forward '{ type filter hook forward priority 0; }'
			for end in iifname oifname; do
				nft add rule bridge "$1" forward $end "$1" numgen random mod 100 '<' "$2" drop
			done
		fi
	`
	if _, err := l.underlay.host.Run(ctx, "sh", "-ec", script, "sh", l.port, strconv.Itoa(percent)); err != nil {
		return fmt.Errorf("make a link of an underlay lossy: %w", err)
	}
	return nil
}

// Block makes the underlay drop all packets from the host to another host, or
// pass them again if block is false.
func (l *Link) Block(ctx context.Context, to *Link, block bool) error {
	const script = `
		nft delete table bridge "$1-$2" 2>/dev/null || true
		if [ "$3" = true ]; then
			nft add table bridge "$1-$2"
			nft add chain bridge "$1-$2" forward '{ type filter hook forward priority 0; }'
			nft add rule bridge "$1-$2" forward iifname "$1" oifname "$2" drop
		fi
	`
	if _, err := l.underlay.host.Run(ctx, "sh", "-ec", script, "sh", l.port, to.port, strconv.FormatBool(block)); err != nil {
		return fmt.Errorf("block packets between two hosts of an underlay: %w", err)
	}
	return nil
}

// set sets the state of the far end, and returns when both ends have that state. Until then, the
// bridge and the host's kernel send no packets.
func (l *Link) set(ctx context.Context, state string) error {
	if _, err := l.underlay.host.Run(ctx, "ip", "link", "set", "dev", l.port, state); err != nil {
		return fmt.Errorf("set a link of an underlay %s: %w", state, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return Await(ctx, "a link of an underlay to be "+state, func() error {
		far, err := l.underlay.host.Run(ctx, "ip", "-details", "link", "show", "dev", l.port)
		if err != nil {
			return err
		}
		near, err := l.Host.Run(ctx, "ip", "link", "show", "dev", l.nic)
		if err == nil && (strings.Contains(near, "state UP ") != (state == "up") || strings.Contains(far, "state forwarding ") != (state == "up")) {
			err = errors.New(near + far)
		}
		return err
	})
}

// Capture starts to record the frames at the far end of the host's link; see [Host.Capture]. Frames
// from the host are not Outgoing. Frames to the host are.
func (l *Link) Capture(keep func(Frame) bool) (*Capture, error) {
	return l.underlay.host.Capture("", l.port, keep)
}

// Packets returns the numbers of packets that the host has sent to the underlay and received from
// it.
func (l *Link) Packets() (sent, received uint64, err error) {
	text, err := os.ReadFile("/proc/" + l.underlay.host.pid + "/net/dev")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, counters, _ := strings.Cut(strings.TrimSpace(line), ":")
		if f := strings.Fields(counters); name == l.port && len(f) > 9 {
			sent, err = strconv.ParseUint(f[1], 10, 64)
			if err == nil {
				received, err = strconv.ParseUint(f[9], 10, 64)
			}
			return sent, received, err
		}
	}
	return 0, 0, fmt.Errorf("count the packets of %s: %w", l.port, net.ErrClosed)
}
