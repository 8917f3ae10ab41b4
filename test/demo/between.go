package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ofdvr/ofdvr/test/lab"
)

// pattern is in the packets of pings that are counted.
const pattern = "ofdvr-demo"

func (d *hostsDemo) ping(ctx context.Context) (err error) {
	var links []*lab.Capture
	for _, l := range d.links {
		c, err := l.Capture(func(f lab.Frame) bool { return bytes.Contains(f.Data, []byte(pattern)) })
		if err != nil {
			return err
		}
		defer c.Close()
		links = append(links, c)
	}
	h1 := d.hosts[0]
	d.say("From b1 on h1 to b2 on h2, in the same network:")
	if err := h1.pings(ctx, "10.0.1.12", 64, ""); err != nil {
		return err
	}
	d.proved("%d of %d replies have ttl=64: the packets were switched, not routed.", pings, pings)
	d.say("From b1 on h1 to g3 on h3, in another network. The pattern marks the packets, to count them:")
	if err := h1.pings(ctx, "10.0.2.13", 63, fmt.Sprintf("-p %x ", pattern)); err != nil {
		return err
	}
	d.proved("%d of %d replies have ttl=63: one router has routed them, although it is on both hosts.", pings, pings)
	for i, want := range []int{2 * pings, 0, 2 * pings} {
		if err := links[i].Sync(ctx); err != nil {
			return err
		}
		if n := len(links[i].Frames()); n != want {
			return fmt.Errorf("the link of %s carried %d packets of the ping, want %d", d.hosts[i].name, n, want)
		}
	}
	d.proved("The links of h1 and h3 carried %d requests and %d replies each, and that of h2 none: each host\n"+
		"    routes the packets of its own machines, and sends them straight to the host of the destination.", pings, pings)
	return nil
}

// pings pings an address from b1 on h1, and checks the TTL of the replies.
func (d *demo) pings(ctx context.Context, to string, ttl int, options string) error {
	line := fmt.Sprintf("ip netns exec b1 ping -c %d -i 0.1 %s%s", pings, options, to)
	out, err := d.try(ctx, line, grep("bytes from", "packets transmitted"))
	if n := strings.Count(out, fmt.Sprintf(" ttl=%d ", ttl)); err == nil && n != pings {
		err = fmt.Errorf("%d of %d replies have ttl=%d", n, pings, ttl)
	}
	return err
}

func (d *hostsDemo) path(ctx context.Context) error {
	out, err := d.hosts[0].try(ctx, "ofdvr trace b1 g3", nil)
	if err == nil && !strings.Contains(out, "h3") {
		err = errors.New("the path does not name the host of g3")
	}
	return err
}

func (d *hostsDemo) move(ctx context.Context) error {
	d.say("b2 leaves h2 and is plugged in on h3, with the same iface-id. The file stays as it is. The\n" +
		"hosts report to each other which machines they have:")
	if err := d.machines["b2"].Remove(ctx); err != nil {
		return err
	}
	d.hosts[1].command("ovs-vsctl del-port br-int b2")
	d.hosts[2].command("ovs-vsctl add-port br-int b2 -- set interface b2 external_ids:iface-id=b2")
	if err := d.plug(ctx, 2, hostsMachines[1]); err != nil {
		return err
	}
	d.wait("waiting until h1 has heard of it")
	h1 := d.hosts[0]
	if err := h1.await(ctx, "ofdvr get hosts -o wide", `(?s)alive +0 .* alive +2 `); err != nil {
		return err
	}
	if _, err := h1.try(ctx, "ofdvr get hosts -o wide", nil); err != nil {
		return err
	}
	if err := h1.pings(ctx, "10.0.1.12", 64, ""); err != nil {
		return err
	}
	d.proved("b1 reaches b2 on its new host.")
	return nil
}

func (d *hostsDemo) die(ctx context.Context) error {
	d.say("A ping runs from b1 on h1 to g3 on h3. Meanwhile the daemon and the switch of h2 are killed:")
	h1, h2 := d.hosts[0], d.hosts[1]
	const line = "ip netns exec b1 ping -c 20 -i 0.05 10.0.2.13"
	h1.command(line + " &")
	h2.command("kill -9 $(pidof ofdvr ovs-vswitchd)")
	d.wait("pinging")
	type result struct {
		out string
		err error
	}
	pinged := make(chan result, 1) // capacity 1, because this function may have returned
	go func() {
		out, err := h1.quiet(ctx, line)
		pinged <- result{out, err}
	}()
	h2.daemon.Kill()
	h2.host.Switch().Kill()
	r := <-pinged
	d.output(grep("packets transmitted")(r.out))
	if r.err == nil && !strings.Contains(r.out, "20 received, 0% packet loss") {
		r.err = errors.New("packets were lost")
	}
	if r.err != nil {
		return r.err
	}
	d.proved("No packet was lost: no host depends on another one.")
	d.say("Doctor on h1 sends a probe through each tunnel:")
	out, err := h1.try(ctx, "ofdvr doctor || true", grep("host h2", "hosts:", "tunnel"))
	if err == nil && !strings.Contains(out, "does not pass packets") {
		err = errors.New("doctor does not report the dead host")
	}
	return err
}

func (d *hostsDemo) cleanUp(ctx context.Context) error {
	d.say("The routers and the fabric outlive the daemons. On each host, a command removes them:")
	for _, h := range []*demo{d.hosts[0], d.hosts[2]} {
		h.command("kill $(pidof ofdvr)")
		stopping, cancel := context.WithTimeout(ctx, patience)
		status, err := h.daemon.Stop(stopping)
		cancel()
		if err == nil && status != 0 {
			err = fmt.Errorf("the daemon's exit status is %d", status)
		}
		if err != nil {
			return err
		}
		if _, err := h.try(ctx, "ofdvr cleanup", nil); err != nil {
			return err
		}
	}
	h1 := d.hosts[0]
	out, err := h1.try(ctx, "ovs-vsctl --columns=name,tag,vlan_mode,trunks --format=table list port b1", nil)
	if err != nil {
		return err
	}
	bridges, err := h1.quiet(ctx, "ovs-vsctl list-br")
	if err != nil {
		return err
	}
	if strings.Contains(bridges, "br-fabric") || strings.Contains(bridges, "rb-") || !strings.Contains(out, "4095 trunk ") {
		return fmt.Errorf("something of ofdvr is left: %s%s", bridges, out)
	}
	d.proved("The bridges of ofdvr are gone. b1 has no network: no packet passes a port with tag and trunks 4095.")
	d.say("\nThe demo now stops its switches and machines, and leaves nothing on this computer.")
	return nil
}
