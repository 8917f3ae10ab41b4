package neutron

import (
	"context"
	"fmt"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A Host is a host of a cloud: with a daemon and Neutron's agents.
type Host struct {
	*lab.Host
	Name   string // in Neutron
	Daemon *lab.Process
	Agents *Agents
}

// Build makes a cloud of one or two hosts, which have an Open vSwitch with an integration bridge.
// The first host also has the server. ofdvr runs on each host. If extension is true, the L3 agents
// have ofdvr's extension. For tools see [Start].
func Build(ctx context.Context, tools string, extension bool, bare ...*lab.Host) (*Cloud, []*Host, error) {
	if len(bare) == 2 {
		if err := bare[0].Wire(ctx, bare[1], uplink); err != nil {
			return nil, nil, err
		}
	}
	for i, h := range bare {
		if err := Underlay(ctx, h, address(i)); err != nil {
			return nil, nil, err
		}
	}
	c, err := Start(ctx, bare[0], address(0), tools)
	if err != nil {
		return nil, nil, err
	}
	var hosts []*Host
	for i, b := range bare {
		h := &Host{Host: b, Name: fmt.Sprint("host", i+1)}
		if h.Daemon, err = h.StartDaemon("serve"); err != nil {
			return nil, nil, err
		}
		if h.Agents, err = c.Agents(b, Options{Name: h.Name, Address: address(i), Extension: extension}); err != nil {
			return nil, nil, err
		}
		// One after the other: an L2 agent that is still starting misses the server's message with
		// another host's MAC address.
		if err := c.AwaitAgents(ctx, 2*(i+1)); err != nil {
			return nil, nil, err
		}
		hosts = append(hosts, h)
	}
	return c, hosts, nil
}

// uplink is an end of the cable between two hosts.
const uplink = "uplink"

func address(host int) string { return fmt.Sprint("192.0.2.", host+1) }

// underlayScript makes br-phy, for tunnels in the userspace datapath, and br-ex, for
// external networks.
const underlayScript = `
for br in br-phy br-ex; do
	ovs-vsctl --may-exist add-br $br -- set Bridge $br datapath_type=netdev
	ethtool -K $br tx off >/dev/null
	ip link set dev $br up
done
ip addr replace "$1/24" dev br-phy
if ip link show dev "$2" >/dev/null 2>&1; then ovs-vsctl --may-exist add-port br-phy "$2"; fi
`

// Underlay makes the network between hosts. It must be called again after a restart of
// ovs-vswitchd, which recreates the devices of the userspace datapath.
func Underlay(ctx context.Context, h *lab.Host, addr string) error {
	if _, err := h.Run(ctx, "sh", "-ec", underlayScript, "sh", addr, uplink); err != nil {
		return fmt.Errorf("make the network between hosts: %w", err)
	}
	return nil
}
