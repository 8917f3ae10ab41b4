package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
)

// machineNIC is the name of a machine's interface, inside the machine.
const machineNIC = "eth0"

// A MachineConfig describes a machine. Only Name is required.
type MachineConfig struct {
	Name      string   // name of the machine, of its network namespace and of its port on the bridge; at most 15 bytes
	Bridge    string   // "" means IntegrationBridge
	ID        string   // external_ids:iface-id of its port on the bridge; "" means none
	VLAN      uint16   // tag of the port, 1–4094; 0 means a trunk
	MAC       string   // "" means that the kernel selects the address
	Addresses []string // addresses with the prefix length, such as 10.0.1.10/24 and fd00::1/64
	Gateways  []string // next hops of default routes, at most one for each IP version
	MTU       int      // bytes; 0 means 1500
}

// A Machine represents a virtual machine. It is a network namespace of a host, with an
// interface eth0 on one of the host's bridges.
type Machine struct {
	MachineConfig        // configuration with defaults filled in
	Host          *Host  // the host where it runs
	Interface     string // name of its interface inside the machine
}

// machineScript makes a machine from variables in its environment. It sets sysctls before the
// interface exists. Without accept_dad=0, an IPv6 address would be unusable for a second. The other
// sysctls are set because the real machine may have other values. Packets need complete checksums,
// because the userspace datapath does not complete them.
const machineScript = `
ip netns add "$NAME"
inside="nsenter --net=/run/netns/$NAME"
$inside sh -ec '
	cd /proc/sys/net
	for c in all default; do
		echo 0 >ipv6/conf/$c/disable_ipv6
		echo 0 >ipv6/conf/$c/accept_dad
		echo 0 >ipv6/conf/$c/router_solicitations
	done
	echo 0 >ipv4/ip_forward
	ip link set lo up
'
ip link add name "$NAME" mtu "$MTU" type veth peer name "$NIC" mtu "$MTU" ${MAC:+address "$MAC"} netns "$NAME"
ip link set dev "$NAME" up
$inside sh -ec '
	ethtool -K "$NIC" tx off >/dev/null
	ip link set dev "$NIC" up
	for a in $ADDRESSES; do ip addr add "$a" dev "$NIC"; done
	for g in $GATEWAYS; do
		case $g in
		*:*) ip -6 route add default via "$g" dev "$NIC" ;;
		*) ip route add default via "$g" dev "$NIC" ;;
		esac
	done
	ip -brief link show dev "$NIC" | { read -r name state mac rest; echo "$mac"; }
'
`

// AddMachine makes a machine and connects it to its bridge. It returns when the
// switch has its port.
func (h *Host) AddMachine(ctx context.Context, c MachineConfig) (*Machine, error) {
	if c.Name == "" || len(c.Name) > 15 {
		return nil, fmt.Errorf("add machine %q: a name has 1 to 15 bytes", c.Name)
	}
	for _, a := range c.Addresses {
		if _, err := netip.ParsePrefix(a); err != nil {
			return nil, fmt.Errorf("add machine %s: %w", c.Name, err)
		}
	}
	if c.Bridge == "" {
		c.Bridge = IntegrationBridge
	}
	if c.MTU == 0 {
		c.MTU = 1500
	}
	cmd := h.Command(ctx, "sh", "-ec", machineScript)
	cmd.Env = append(cmd.Env, "NAME="+c.Name, "NIC="+machineNIC, "MAC="+c.MAC, "MTU="+strconv.Itoa(c.MTU),
		"ADDRESSES="+strings.Join(c.Addresses, " "), "GATEWAYS="+strings.Join(c.Gateways, " "))
	mac, err := run(cmd, "", "add machine "+c.Name, nil)
	if err != nil {
		return nil, err
	}
	c.MAC = strings.TrimSpace(mac)
	args := []string{"add-port", c.Bridge, c.Name}
	if c.VLAN != 0 {
		args = append(args, "tag="+strconv.Itoa(int(c.VLAN)))
	}
	if c.ID != "" {
		args = append(args, "--", "set", "interface", c.Name, `external_ids:iface-id="`+c.ID+`"`)
	}
	if _, err := h.Vsctl(ctx, args...); err != nil {
		return nil, fmt.Errorf("add machine %s: %w", c.Name, err)
	}
	return &Machine{MachineConfig: c, Host: h, Interface: machineNIC}, nil
}

// Remove unplugs the machine from its bridge and kills the processes in it.
func (m *Machine) Remove(ctx context.Context) error {
	if _, err := m.Host.Vsctl(ctx, "del-port", m.Bridge, m.Name); err != nil {
		return fmt.Errorf("remove machine %s: %w", m.Name, err)
	}
	const script = `ip netns pids "$0" | xargs -r kill -9; ip link del dev "$0"; ip netns del "$0"`
	_, err := m.Host.Run(ctx, "sh", "-ec", script, m.Name)
	return err
}

// IP returns the machine's first address, without the prefix length. If the machine has no
// address, it returns "".
func (m *Machine) IP() string {
	if len(m.Addresses) == 0 {
		return ""
	}
	ip, _, _ := strings.Cut(m.Addresses[0], "/")
	return ip
}

// Command returns a command that will run in the machine; see [Host.Command].
func (m *Machine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return m.Host.CommandIn(ctx, m.Name, name, args...)
}

// Run runs a command in the machine and returns its standard output.
func (m *Machine) Run(ctx context.Context, name string, args ...string) (string, error) {
	return m.Host.RunIn(ctx, m.Name, name, args...)
}

// Start starts a program in the machine. It runs until it is stopped or the host is
// closed. Its log is machine-program.log in the host's directory.
func (m *Machine) Start(name string, args ...string) (*Process, error) {
	return m.Host.startIn(m.Name, m.Name+"-"+name, name, args...)
}

// Dial connects from the machine to a literal address; see [Host.Dial].
func (m *Machine) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return m.Host.DialIn(ctx, m.Name, network, addr)
}

// ListenPacket opens a socket in the machine; see [Host.ListenPacketIn].
func (m *Machine) ListenPacket(ctx context.Context, network, addr string) (net.PacketConn, error) {
	return m.Host.ListenPacketIn(ctx, m.Name, network, addr)
}

// Capture starts to record the frames on the machine's interface; see
// [Host.Capture].
func (m *Machine) Capture(keep func(Frame) bool) (*Capture, error) {
	return m.Host.Capture(m.Name, m.Interface, keep)
}

// Send sends an Ethernet frame, unchanged, out of the machine's interface.
func (m *Machine) Send(frame []byte) error {
	return m.Host.Send(m.Name, m.Interface, frame)
}
