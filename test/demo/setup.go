package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/ofdvr/ofdvr/test/lab"
)

// steps are the steps of the demonstration, in order.
var steps = []struct {
	title string
	run   func(*demo, context.Context) error
}{
	{"An Open vSwitch and two machines", (*demo).setUp},
	{"The intent: the topology file", (*demo).intent},
	{"The daemon", (*demo).serve},
	{"A ping from one network to the other", (*demo).ping},
	{"The flows that did it", (*demo).flows},
	{"Traceroute sees a router", (*demo).traceroute},
	{"Metrics for Prometheus", (*demo).metrics},
	{"Stop the daemon: the switch goes on", (*demo).stop},
	{"Clean up", (*demo).cleanUp},
}

// machines are the machines of the topology file.
var machines = []lab.MachineConfig{
	{Name: "vm1", VLAN: 1, MAC: "02:00:00:00:01:10", Addresses: []string{"10.0.1.10/24"}, Gateways: []string{"10.0.1.1"}},
	{Name: "vm2", VLAN: 2, MAC: "02:00:00:00:02:10", Addresses: []string{"10.0.2.10/24"}, Gateways: []string{"10.0.2.1"}},
}

func (d *demo) setUp(ctx context.Context) error {
	d.say("An ovsdb-server and an ovs-vswitchd start in a separate namespace; an Open vSwitch that\n" +
		"runs on this computer is not touched. On its bridge br-int are two “machines” (network\n" +
		"namespaces): vm1 on the network blue (VLAN 1), vm2 on the network green (VLAN 2).")
	d.wait("starting Open vSwitch")
	if err := d.host.StartOVS(ctx); err != nil {
		return err
	}
	if err := d.host.AddBridge(ctx, lab.IntegrationBridge); err != nil {
		return err
	}
	d.wait("plugging in the machines")
	for _, c := range machines {
		if _, err := d.host.AddMachine(ctx, c); err != nil {
			return err
		}
		// IPv6 is turned off, because it sends unsolicited packets, which would appear in the
		// counters later.
		if _, err := d.host.RunIn(ctx, c.Name, "sh", "-c", noIPv6); err != nil {
			return err
		}
	}
	if _, err := d.try(ctx, "ovs-vsctl --columns=name,tag --format=table list port vm1 vm2", nil); err != nil {
		return err
	}
	for _, c := range machines {
		if _, err := d.try(ctx, fmt.Sprintf("ip netns exec %s ip -brief address show dev eth0", c.Name), nil); err != nil {
			return err
		}
	}
	d.say("There is no router between the two networks yet:")
	out, err := d.try(ctx, "ip netns exec vm1 ping -c 1 -W 0.5 10.0.2.10", grep("packets transmitted"))
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !strings.Contains(out, "100% packet loss") {
		return fmt.Errorf("the ping should have lost all packets (error: %v):\n%s", err, out)
	}
	// Otherwise the next ping would wait until the request for the gateway's MAC address is retried.
	_, err = d.quiet(ctx, "ip -n vm1 neighbor delete 10.0.1.1 dev eth0")
	return err
}

const noIPv6 = "if [ -e /proc/sys/net/ipv6 ]; then echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; fi"

func (d *demo) intent(ctx context.Context) error {
	if _, err := d.try(ctx, "cat "+topology, nil); err != nil {
		return err
	}
	_, err := d.try(ctx, "ofdvr check "+topology, nil)
	return err
}

func (d *demo) serve(ctx context.Context) error {
	d.command("ofdvr serve --topology " + topology + " &")
	var err error
	d.daemon, err = d.host.Start("env", "--chdir="+d.root, "PATH="+d.path, "ofdvr", "serve", "--topology", topology)
	if err != nil {
		return err
	}
	out, err := d.try(ctx, "ofdvr status --wait", nil)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "settled  yes") {
		return errors.New("status --wait returned, but the router is not ready")
	}
	d.say("The daemon made a bridge for the router. Each network has a patch port to br-int (pr-…) and a\n" +
		"tap to the Linux kernel (qr-…), which is in a namespace.")
	if _, err := d.try(ctx, "ovs-vsctl list-ports rb-r1", nil); err != nil {
		return err
	}
	_, err = d.try(ctx, "ip -n qrouter-r1 -brief address show type tun", nil)
	return err
}
