package neutron

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ofdvr/ofdvr/test/lab"
)

// project owns all objects: without Keystone, this is the only project.
const project = "p1"

// create creates an object of a kind and decodes it into out.
func (c *Cloud) create(ctx context.Context, kind string, body map[string]any, out any) error {
	body["tenant_id"] = project
	key := strings.ReplaceAll(kind, "-", "_")
	var answer map[string]json.RawMessage
	if err := c.Do(ctx, "POST", "/"+kind+"s", map[string]any{key: body}, &answer); err != nil {
		return err
	}
	return json.Unmarshal(answer[key], out)
}

// A Network is a network with one subnet.
type Network struct{ ID, Subnet string }

// Network makes a network with a subnet. The gateway is the first address of the subnet.
func (c *Cloud) Network(ctx context.Context, name string, subnet netip.Prefix) (Network, error) {
	var n, s struct{ ID string }
	err := c.create(ctx, "network", map[string]any{"name": name}, &n)
	if err == nil {
		err = c.create(ctx, "subnet", map[string]any{"network_id": n.ID, "ip_version": 4, "cidr": subnet.String(), "enable_dhcp": false}, &s)
	}
	return Network{n.ID, s.ID}, err
}

// Router makes a distributed router with an interface on each network.
func (c *Cloud) Router(ctx context.Context, name string, networks ...Network) (id string, err error) {
	var r struct{ ID string }
	if err := c.create(ctx, "router", map[string]any{"name": name, "distributed": true}, &r); err != nil {
		return "", err
	}
	for _, n := range networks {
		if err := c.Join(ctx, r.ID, n); err != nil {
			return "", err
		}
	}
	return r.ID, nil
}

// Join gives a router an interface on a network.
func (c *Cloud) Join(ctx context.Context, router string, n Network) error {
	return c.Do(ctx, "PUT", "/routers/"+router+"/add_router_interface", map[string]any{"subnet_id": n.Subnet}, nil)
}

// Leave removes a router's interface on a network.
func (c *Cloud) Leave(ctx context.Context, router string, n Network) error {
	return c.Do(ctx, "PUT", "/routers/"+router+"/remove_router_interface", map[string]any{"subnet_id": n.Subnet}, nil)
}

// FloatingIP gives a router a gateway on a new external network, on bridge br-ex of each host, and
// gives a port a floating IP there. It also adds a rule that allows pings from everywhere to
// machines.
func (c *Cloud) FloatingIP(ctx context.Context, router string, p Port, outside netip.Prefix) (ip string, err error) {
	var n, s, rule struct{ ID string }
	var f struct {
		IP string `json:"floating_ip_address"`
	}
	var groups struct {
		Groups []struct{ ID string } `json:"security_groups"`
	}
	for _, step := range []func() error{
		func() error {
			return c.create(ctx, "network", map[string]any{"name": "public", "router:external": true, "provider:network_type": "flat", "provider:physical_network": "public"}, &n)
		},
		func() error {
			return c.create(ctx, "subnet", map[string]any{"network_id": n.ID, "ip_version": 4, "cidr": outside.String(), "enable_dhcp": false}, &s)
		},
		func() error {
			return c.Do(ctx, "PUT", "/routers/"+router, map[string]any{"router": map[string]any{"external_gateway_info": map[string]any{"network_id": n.ID}}}, nil)
		},
		func() error {
			return c.create(ctx, "floatingip", map[string]any{"floating_network_id": n.ID, "port_id": p.ID}, &f)
		},
		func() error { return c.Do(ctx, "GET", "/security-groups?name=default", nil, &groups) },
		func() error {
			return c.create(ctx, "security-group-rule", map[string]any{"security_group_id": groups.Groups[0].ID, "direction": "ingress", "protocol": "icmp"}, &rule)
		},
	} {
		if err := step(); err != nil {
			return "", err
		}
	}
	return f.IP, nil
}

// A Port is a port in Neutron's API.
type Port struct {
	ID       string
	Status   string
	MAC      string `json:"mac_address"`
	Network  string `json:"network_id"`
	Owner    string `json:"device_owner"`
	FixedIPs []struct {
		IP string `json:"ip_address"`
	} `json:"fixed_ips"`
}

// IP returns the port's address.
func (p Port) IP() string { return p.FixedIPs[0].IP }

// Port makes a port for a machine on a host. more has further attributes.
func (c *Cloud) Port(ctx context.Context, n Network, host string, more map[string]any) (p Port, err error) {
	body := map[string]any{"network_id": n.ID, "device_owner": "compute:nova", "device_id": "a-machine", "binding:host_id": host}
	for k, v := range more {
		body[k] = v
	}
	return p, c.create(ctx, "port", body, &p)
}

// Ports returns the ports with an owner and, unless device is "", of that device.
func (c *Cloud) Ports(ctx context.Context, owner, device string) ([]Port, error) {
	var out struct{ Ports []Port }
	path := "/ports?device_owner=" + owner
	if device != "" {
		path += "&device_id=" + device
	}
	return out.Ports, c.Do(ctx, "GET", path, nil, &out)
}

// plugScript makes a machine and plugs it like Nova: with its IDs in the transaction
// that makes the port.
const plugScript = `
ip netns add "$1"
ip link add name "$1" type veth peer name eth0 mtu 1450 address "$2" netns "$1"
ip link set dev "$1" up
nsenter --net="/run/netns/$1" sh -ec '
	echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
	ip link set lo up
	ethtool -K eth0 tx off >/dev/null
	ip link set eth0 up
	ip addr add "$1" dev eth0
	ip route add default via "$2"
' sh "$3" "$4"
ovs-vsctl add-port br-int "$1" -- set Interface "$1" external_ids:iface-id="$5" \
	external_ids:attached-mac="$2" external_ids:iface-status=active external_ids:vm-uuid="$1"
`

// Plug makes a machine for a port.
func (c *Cloud) Plug(ctx context.Context, h *lab.Host, name string, p Port, subnet netip.Prefix) (*lab.Machine, error) {
	gateway := subnet.Masked().Addr().Next().String()
	addr := fmt.Sprintf("%s/%d", p.IP(), subnet.Bits())
	if _, err := h.Run(ctx, "sh", "-ec", plugScript, "sh", name, p.MAC, addr, gateway, p.ID); err != nil {
		return nil, fmt.Errorf("plug machine %s: %w", name, err)
	}
	return &lab.Machine{MachineConfig: lab.MachineConfig{Name: name, Bridge: lab.IntegrationBridge, MAC: p.MAC,
		Addresses: []string{addr}, Gateways: []string{gateway}, MTU: 1450}, Host: h, Interface: "eth0"}, nil
}
