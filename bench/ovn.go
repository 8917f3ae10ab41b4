package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/ofdvr/ofdvr/test/lab"
)

const (
	// ovnBridge is the integration bridge of OVN, which programs it. The other setups use
	// another bridge.
	ovnBridge = "br-ovn"

	nbSocket    = "unix:/run/ovn/ovnnb_db.sock"
	sbSocket    = "unix:/run/ovn/ovnsb_db.sock"
	sbPort      = 6642 // TCP
	nbctlSocket = "/run/ovn/nbctl.sock"
)

var ovnLog = []string{"-vconsole:info", "-vsyslog:off", "-vfile:off"}

// startOVN starts OVN from Debian's packages on one host, with a router between networks 10.0.6.0/24
// and 10.0.7.0/24 and a machine on each.
func startOVN(ctx context.Context, h *lab.Host) error {
	if err := startCentral(ctx, h); err != nil {
		return err
	}
	if err := setOVN(ctx, h, "bench", sbSocket, "127.0.0.1"); err != nil {
		return err
	}
	if _, err := startController(h); err != nil {
		return err
	}
	args := []string{"--db=" + nbSocket, "--timeout=20", "--wait=hv", "lr-add", "r"}
	for i, name := range []string{"a", "b"} {
		network := 6 + i
		args = append(args, ovnNetwork(network, fmt.Sprintf("02:00:00:00:%02x:01", network), fmt.Sprintf("10.0.%d.1/24", network))...)
		args = append(args, "--", "lsp-add", fmt.Sprint("net", network), name,
			"--", "lsp-set-addresses", name, fmt.Sprintf("02:00:00:00:00:%02x 10.0.%d.10", 0xa+i, network))
	}
	if _, err := h.Run(ctx, "ovn-nbctl", args...); err != nil {
		return fmt.Errorf("configure OVN: %w", err)
	}
	return nil
}

// startCentral starts OVN's databases and ovn-northd.
func startCentral(ctx context.Context, h *lab.Host) error {
	if _, err := h.Run(ctx, "mkdir", "-p", "/run/ovn"); err != nil {
		return err
	}
	for _, db := range []string{"nb", "sb"} {
		file, socket := filepath.Join(h.Dir(), db+".db"), "/run/ovn/ovn"+db+"_db.sock"
		if _, err := h.Run(ctx, "ovsdb-tool", "create", file, "/usr/share/ovn/ovn-"+db+".ovsschema"); err != nil {
			return err
		}
		args := append(ovnLog, "--pidfile=/run/ovn/"+db+".pid", "--remote=punix:"+socket, file)
		if db == "sb" {
			args = append(args, "--remote=db:OVN_Southbound,SB_Global,connections")
		}
		if _, err := h.Start("ovsdb-server", args...); err != nil {
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
	// Inactivity probes are off, and other timeouts are a minute. Otherwise, on a slow machine, the
	// database and the switch disconnect an ovn-controller that computes for more than 5 or 10 s, and
	// it confirms nothing any more ("req_cfg regressed").
	_, err := h.Run(ctx, "ovn-sbctl", "--db="+sbSocket, "--inactivity-probe=0", "set-connection", fmt.Sprintf("ptcp:%d:0.0.0.0", sbPort))
	if err != nil {
		return err
	}
	_, err = h.Start("ovn-northd", append(ovnLog, "--ovnnb-db="+nbSocket, "--ovnsb-db="+sbSocket)...)
	return err
}

// setOVN writes the settings of ovn-controller. The parameter sb is the southbound database, and
// address the one of the host's tunnels.
func setOVN(ctx context.Context, h *lab.Host, id, sb, address string) error {
	if _, err := h.Run(ctx, "mkdir", "-p", "/run/ovn"); err != nil {
		return err
	}
	_, err := h.Vsctl(ctx, "set", "Open_vSwitch", ".", "external_ids:system-id="+id, `external_ids:ovn-remote="`+sb+`"`,
		"external_ids:ovn-encap-type=geneve", "external_ids:ovn-encap-ip="+address, "external_ids:ovn-set-local-ip=true",
		"external_ids:ovn-remote-probe-interval=0", "external_ids:ovn-openflow-probe-interval=60", "other_config:bundle-idle-timeout=60",
		"external_ids:ovn-monitor-all=true", // all hosts need all data, and OVN is faster if it need not compute which data a host needs
		"external_ids:ovn-bridge="+ovnBridge, "external_ids:ovn-bridge-datapath-type="+lab.Datapath())
	return err
}

func startController(h *lab.Host) (*lab.Process, error) {
	return h.Start("ovn-controller", append(ovnLog, "unix:/run/openvswitch/db.sock")...)
}

// ovnNetwork returns arguments for the end of a command line of ovn-nbctl. They add a logical switch,
// such as net1 for number 1, and connect it to the router r.
func ovnNetwork(number int, mac, address string) []string {
	ls, leg := fmt.Sprint("net", number), fmt.Sprint("leg", number)
	return []string{
		"--", "ls-add", ls, "--", "lrp-add", "r", leg, mac, address,
		"--", "lsp-add", ls, "to-" + leg, "--", "lsp-set-type", "to-" + leg, "router", "--", "lsp-set-addresses", "to-" + leg, "router",
		"--", "lsp-set-options", "to-" + leg, "router-port=" + leg,
	}
}
