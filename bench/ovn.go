package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/ofdvr/ofdvr/test/lab"
)

// ovnBridge is the integration bridge of OVN, which programs it. The other setups use
// another bridge.
const ovnBridge = "br-ovn"

// startOVN starts OVN from Debian's packages, with a router between networks 10.0.6.0/24 and
// 10.0.7.0/24 and a machine on each.
func startOVN(ctx context.Context, h *lab.Host) error {
	quiet := []string{"-vconsole:info", "-vsyslog:off", "-vfile:off"}
	if _, err := h.Run(ctx, "mkdir", "-p", "/run/ovn"); err != nil {
		return err
	}
	for _, db := range []string{"nb", "sb"} {
		file, socket := filepath.Join(h.Dir(), db+".db"), "/run/ovn/ovn"+db+"_db.sock"
		if _, err := h.Run(ctx, "ovsdb-tool", "create", file, "/usr/share/ovn/ovn-"+db+".ovsschema"); err != nil {
			return err
		}
		if _, err := h.Start("ovsdb-server", append(quiet, "--pidfile=/run/ovn/"+db+".pid", "--remote=punix:"+socket, file)...); err != nil {
			return err
		}
		err := lab.Await(ctx, "OVN's database to answer", func() error {
			conn, err := h.Dial(ctx, "unix", socket)
			if err != nil {
				return err
			}
			return conn.Close()
		})
		if err != nil {
			return err
		}
	}
	const nb, sb = "unix:/run/ovn/ovnnb_db.sock", "unix:/run/ovn/ovnsb_db.sock"
	if _, err := h.Start("ovn-northd", append(quiet, "--ovnnb-db="+nb, "--ovnsb-db="+sb)...); err != nil {
		return err
	}
	_, err := h.Vsctl(ctx, "set", "Open_vSwitch", ".", "external_ids:system-id=bench", "external_ids:ovn-remote="+sb,
		"external_ids:ovn-encap-type=geneve", "external_ids:ovn-encap-ip=127.0.0.1",
		"external_ids:ovn-bridge="+ovnBridge, "external_ids:ovn-bridge-datapath-type="+lab.Datapath())
	if err != nil {
		return err
	}
	if _, err := h.Start("ovn-controller", append(quiet, "unix:/run/openvswitch/db.sock")...); err != nil {
		return err
	}
	args := []string{"--db=" + nb, "--timeout=20", "--wait=hv", "lr-add", "r"}
	for i, name := range []string{"a", "b"} {
		network, mac := 6+i, fmt.Sprintf("02:00:00:00:%02x:01", 6+i)
		ls, leg := fmt.Sprint("net", network), fmt.Sprint("leg", network)
		args = append(args,
			"--", "ls-add", ls, "--", "lrp-add", "r", leg, mac, fmt.Sprintf("10.0.%d.1/24", network),
			"--", "lsp-add", ls, "to-"+leg, "--", "lsp-set-type", "to-"+leg, "router", "--", "lsp-set-addresses", "to-"+leg, "router",
			"--", "lsp-set-options", "to-"+leg, "router-port="+leg,
			"--", "lsp-add", ls, name, "--", "lsp-set-addresses", name, fmt.Sprintf("02:00:00:00:00:%02x 10.0.%d.10", 0xa+i, network))
	}
	if _, err := h.Run(ctx, "ovn-nbctl", args...); err != nil {
		return fmt.Errorf("configure OVN: %w", err)
	}
	return nil
}
