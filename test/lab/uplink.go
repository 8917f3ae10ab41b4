package lab

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

const (
	// UplinkNIC is the host's interface that [Underlay.Uplink] makes. It has no addresses and is in
	// no bridge.
	UplinkNIC = "eth1"

	uplinkBridge = "switch"
)

// Uplink connects a host's interface [UplinkNIC] to the shared switch, as host number n. The switch
// is a learning Linux bridge of the underlay that passes all VLANs.
func (u *Underlay) Uplink(ctx context.Context, h *Host, n int) (*Link, error) {
	l := &Link{Host: h, underlay: u, nic: UplinkNIC, port: fmt.Sprintf("uplink%d", n)}
	const (
		bridge = `
			ip link show dev "$1" >/dev/null 2>&1 || ip link add name "$1" type bridge stp_state 0 mcast_snooping 0
			ip link set dev "$1" up
			ip link set dev "$2" master "$1" up
		`
		nic = `
			ethtool -K "$1" tx off >/dev/null
			echo 1 >/proc/sys/net/ipv6/conf/$1/disable_ipv6
			ip link set dev "$1" arp off up
		`
	)
	out, err := exec.CommandContext(ctx, "ip", "link", "add", "name", l.port, "netns", u.host.pid, "type", "veth", "peer", "name", UplinkNIC, "netns", h.pid).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("connect an uplink: %w: %s", err, strings.TrimSpace(string(out)))
	}
	if _, err := u.host.Run(ctx, "sh", "-ec", bridge, "sh", uplinkBridge, l.port); err != nil {
		return nil, fmt.Errorf("connect an uplink: %w", err)
	}
	if _, err := h.Run(ctx, "sh", "-ec", nic, "sh", UplinkNIC); err != nil {
		return nil, fmt.Errorf("connect an uplink: %w", err)
	}
	return l, nil
}

// WatchAddresses starts to record changes of the MAC table of the switch of [Underlay.Uplink].
func (u *Underlay) WatchAddresses() (*Process, error) {
	return u.host.Start("bridge", "monitor", "fdb")
}

// Addresses returns, for each MAC address that the switch of [Underlay.Uplink] has learned, its
// ports.
func (u *Underlay) Addresses(ctx context.Context) (map[string][]string, error) {
	out, err := u.host.Run(ctx, "bridge", "fdb", "show", "br", uplinkBridge)
	return Addresses(out), err
}

// Addresses returns the ports of each learned MAC address in the output of bridge fdb or bridge
// monitor fdb, without repetitions in sequence.
func Addresses(out string) map[string][]string {
	ports := make(map[string][]string)
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] == "Deleted" || strings.Contains(line, "permanent") || f[1] != "dev" {
			continue
		}
		if p := ports[f[0]]; len(p) == 0 || p[len(p)-1] != f[2] {
			ports[f[0]] = append(p, f[2])
		}
	}
	return ports
}
