package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/ofdvr/ofdvr/test/lab"
)

const metricsURL = "http://127.0.0.1:9476/metrics"

func (d *demo) metrics(ctx context.Context) error {
	// These metrics are shown. They include the ping and the traceroute. The traceroute has
	// two probes of one packet each, and the first does not pass the router.
	series := []string{
		`ofdvr_router_flows_installed{router="r1"} `,
		`ofdvr_interface_routed_packets_total{interface="r1-blue",router="r1"} 6`,
		`ofdvr_interface_routed_packets_total{interface="r1-green",router="r1"} 6`,
		`ofdvr_interface_arp_replies_total{interface="r1-blue",router="r1"} 1`,
		`ofdvr_interface_ttl_expired_packets_total{interface="r1-blue",router="r1"} 1`,
		`ofdvr_interface_fallback_packets_total{interface="r1-blue",reason="unknown",router="r1"} 0`,
	}
	d.command("curl -s " + metricsURL)
	d.wait("waiting until the traceroute is counted")
	var text string
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := lab.Await(ctx, "the metrics", func() error {
		var err error
		if text, err = d.scrape(ctx); err != nil {
			return err
		}
		for _, s := range series {
			if !strings.Contains(text, s) {
				return fmt.Errorf("%s is not in\n%s", s, grep("ofdvr_interface")(text))
			}
		}
		return nil
	})
	if err == nil {
		d.output(grep(series...)(text) + "…\n")
	}
	return err
}

func (d *demo) scrape(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, metricsURL, nil)
	if err != nil {
		return "", err
	}
	resp, err := d.host.HTTP().Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(body), err
}

func (d *demo) stop(ctx context.Context) error {
	d.say("The flows stay in the switch when the daemon ends. A ping runs meanwhile:")
	const line = "ip netns exec vm1 ping -c 20 -i 0.05 10.0.2.10"
	d.command(line + " &")
	d.command("kill $(pidof ofdvr)")
	d.wait("pinging")
	type result struct {
		out string
		err error
	}
	pinged := make(chan result, 1) // capacity 1, because this function may have returned
	go func() {
		out, err := d.quiet(ctx, line)
		pinged <- result{out, err}
	}()
	stopping, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	status, err := d.daemon.Stop(stopping)
	if err == nil && status != 0 {
		err = fmt.Errorf("the daemon's exit status is %d", status)
	}
	r := <-pinged
	d.output(grep("stopped")(d.daemon.Log()))
	d.output(grep("packets transmitted")(r.out))
	if err := errors.Join(err, r.err); err != nil {
		return err
	}
	if !strings.Contains(r.out, "20 received, 0% packet loss") {
		return errors.New("packets were lost")
	}
	d.proved("The daemon has ended, and no packet was lost.")
	return nil
}

func (d *demo) cleanUp(ctx context.Context) error {
	d.say("A router outlives its daemon, so removing it is a separate command. The command removes only\n" +
		"what ofdvr made and marked as its own.")
	if _, err := d.try(ctx, "ofdvr cleanup", nil); err != nil {
		return err
	}
	bridges, err := d.try(ctx, "ovs-vsctl list-br", nil)
	if err != nil {
		return err
	}
	ports, err := d.try(ctx, "ovs-vsctl list-ports br-int", nil)
	if err != nil {
		return err
	}
	if bridges != "br-int\n" || ports != "vm1\nvm2\n" {
		return errors.New("something besides br-int, vm1 and vm2 is left")
	}
	d.proved("br-int and the machines are as they were.")
	d.say("\nThe demo now stops its Open vSwitch and machines, and leaves nothing on this computer.")
	return nil
}
