package main

import (
	"strings"
	"testing"
	"time"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/routing"
)

const spanningTopology = `hosts:
  - {id: h1, name: left, tunnel: {address: 192.0.2.1}}
  - {id: h2, tunnel: {type: vxlan, address: 192.0.2.2}}
  - {id: h3}
networks:
  - {id: blue, vni: 5001, broadcast: dhcp}
  - {id: red, vlan: 7}
ports:
  - {id: vm1, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10], host: h1}
  - {id: vm2, network: red, mac: "02:00:00:00:07:10"}
`

// spanning starts a daemon on the first of three hosts.
func spanning(t *testing.T) *server {
	t.Helper()
	inDir(t, map[string]string{"spanning.yaml": spanningTopology})
	d := startDaemon(t, nil, 0)
	d.hosts = []controller.HostStatus{{ID: "h1", Tunnel: "geneve 192.0.2.1", Self: true, Alive: true, Version: "v1", Ports: 1}, {ID: "h2", Tunnel: "vxlan 192.0.2.2", Problems: []string{"no messages from host h2"}}, {ID: "h3"}}
	out, _ := d.ofdvr(0, "apply", "-f", "spanning.yaml")
	if !strings.HasPrefix(out, "host/h1 created\nhost/h2 created\nhost/h3 created\nnetwork/blue created\n") {
		t.Errorf("apply prints\n%s", out)
	}
	return d
}

// Get shows hosts, and the objects that refer to them.
func TestGetHosts(t *testing.T) {
	d := spanning(t)
	for args, want := range map[string]string{
		"get hosts": `HOST  TUNNEL  ADDRESS
left  geneve  192.0.2.1
h2    vxlan   192.0.2.2
h3    -       -
`,
		"get h -o wide": `HOST  TUNNEL  ADDRESS    STATE   MACHINES  ID
left  geneve  192.0.2.1  self           1  h1
h2    vxlan   192.0.2.2  silent         0  h2
h3    -       -          -              0  h3
`,
		"get host left -o name":  "host/h1\n",
		"get hosts h2 -o yaml":   "hosts:\n  - {id: h2, tunnel: {type: vxlan, address: 192.0.2.2}}\n",
		"get networks -o wide":   "NETWORK  VLAN   MTU  VNI   ROUTERS  ID\nblue     -     1500  5001  -        blue\nred      7     1500  -     -        red\n",
		"get network --vni 5001": "NETWORK  VLAN   MTU\nblue     -     1500\n",
		"get ports --host left":  "PORT  NETWORK  MAC                ADDRESSES  SEEN\nvm1   blue     02:00:00:00:01:10  10.0.1.10  unknown\n",
		"get ports vm1 -o wide":  "PORT  NETWORK  MAC                ADDRESSES  SEEN     HOST  ROUTERS  ID\nvm1   blue     02:00:00:00:01:10  10.0.1.10  unknown  h1    -        vm1\n",
		"get all -o yaml":        spanningTopology,
		"get all -o name":        "host/h1\nhost/h2\nhost/h3\nnetwork/blue\nnetwork/red\nport/vm1\nport/vm2\n",
		"export":                 spanningTopology,
	} {
		d.prints(want, strings.Fields(args)...)
	}
	if out, _ := d.ofdvr(0, "plan", "spanning.yaml", "--all"); !strings.HasPrefix(out, "7 objects: 0 to create, 0 to update, 0 to delete, 7 unchanged;") {
		t.Errorf("plan prints\n%s", out)
	}
	d.fails(0, "no ports that match\n", "get", "ports", "--host", "h2")
	d.fails(1, "ofdvr: there is no such object: host \"h4\"\n", "get", "hosts", "h4")
	var out, errOut strings.Builder
	run(t.Context(), []string{"__complete", "describe", "host", "--api", d.endpoint, "h1", "h"}, &out, &errOut)
	if !strings.HasPrefix(out.String(), "h2\nh3\n:4\n") {
		t.Errorf("IDs are completed by %q", &out)
	}
	out.Reset()
	if status := run(t.Context(), []string{"check", "spanning.yaml"}, &out, &errOut); status != 0 || out.String() != "spanning.yaml: ok: 3 hosts, 2 networks, 0 routers, 2 ports\n" {
		t.Errorf("check exited with status %d and printed %s", status, &out)
	}
}

// Describe shows the tunnel, the state and the ports of a host. For other objects, it shows the
// keys about hosts.
func TestDescribeHosts(t *testing.T) {
	d := spanning(t)
	d.prints(`Host:        h1
From:        disk
Name:        left
Tunnel:      geneve, 192.0.2.1
State:       this host, with 1 machine plugged in
Version:     v1
Ports:       1 expected on it
             vm1, 02:00:00:00:01:10, 10.0.1.10, network blue
Accepted:    yes
Programmed:  yes
Degraded:    no
`, "describe", "host", "left")
	for args, want := range map[string]string{
		"describe host h2":      "State:       no message from this host has arrived\nProblem:     no messages from host h2\nPorts:       0 expected on it\n",
		"describe host h3":      "Tunnel:      none: networks with a VNI do not reach the host\n",
		"describe network blue": "VLAN:        chosen by each host\nVNI:         5001\nBroadcast:   dhcp\nMTU:         1500\n",
		"describe port vm1":     "MAC:         02:00:00:00:01:10\nHost:        h1\n",
	} {
		if out, _ := d.ofdvr(0, strings.Fields(args)...); !strings.Contains(out, want) {
			t.Errorf("ofdvr %s prints\n%s\nwant\n%s", args, out, want)
		}
	}
}

// With etcd, the table of hosts shows what the daemons have written there.
func TestGetHostsInEtcd(t *testing.T) {
	d := spanning(t)
	started := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	d.hosts = []controller.HostStatus{
		{ID: "h1", Tunnel: "geneve 192.0.2.1", Self: true, Alive: true, Version: "v1", InEtcd: &controller.HostInEtcd{Alive: true, Started: started, Revision: 42, Machines: 3, Problems: 1}},
		{ID: "h2", Tunnel: "vxlan 192.0.2.2", Alive: true, Version: "v2", InEtcd: &controller.HostInEtcd{}},
		{ID: "h3", Version: "v2", InEtcd: &controller.HostInEtcd{Alive: true, Started: started, Revision: 7}},
	}
	d.prints(`HOST  TUNNEL  ADDRESS    STATE        VERSION  REVISION  MACHINES  PROBLEMS
left  geneve  192.0.2.1  self         v1       42        3         1
h2    vxlan   192.0.2.2  not in etcd  v2       -         -         -
h3    -       -          alive        v2       7         0         0
`, "get", "hosts")
	for host, want := range map[string]string{
		"h2":   "In etcd:     its daemon is not in touch with etcd\n",
		"left": "In etcd:     alive since 2026-11-30 12:00:00, revision 42 confirmed, 3 machines, 1 problem\n",
	} {
		if out, _ := d.ofdvr(0, "describe", "host", host); !strings.Contains(out, want) {
			t.Errorf("describe host %s prints\n%s\nwant\n%s", host, out, want)
		}
	}
	d.hosts[1].Alive = false
	d.prints("HOST  TUNNEL  ADDRESS    STATE  VERSION  REVISION  MACHINES  PROBLEMS  ID\nh2    vxlan   192.0.2.2  away   v2       -         -         -         h2\n", "get", "hosts", "h2", "-o", "wide")
}

// The status shows the number of hosts if the intent has hosts.
func TestStatusCountsHosts(t *testing.T) {
	d := startDaemon(t, &routing.Model{Hosts: []routing.Host{{ID: "h1"}, {ID: "h2"}}}, 0)
	if out, _ := d.ofdvr(0, "status"); !strings.HasPrefix(out, "topology /etc/topology.yaml: 2 hosts, 0 networks, 0 routers, 0 ports\n") {
		t.Errorf("status prints\n%s", out)
	}
}

// If ports are expected on a host, only --cascade deletes it. The ports stay.
func TestDeleteHosts(t *testing.T) {
	d := spanning(t)
	d.fails(1, "ofdvr: host \"h1\" is in use by port \"vm1\"; delete that first, or use --cascade\n", "delete", "host", "left")
	d.prints("port/vm1 updated\nhost/h1 deleted\n", "delete", "host", "left", "--cascade")
	d.fails(1, "ofdvr: host \"h1\" does not exist\n", "delete", "hosts", "h1", "--cascade")
	d.prints("host/h2 deleted\n", "delete", "host/h2")
	d.prints("port/vm1 deleted\nport/vm2 deleted\nnetwork/blue deleted\nnetwork/red deleted\nhost/h3 deleted\n", "delete", "-f", "spanning.yaml", "--ignore-not-found")
	d.has()
}
