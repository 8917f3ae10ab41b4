package main

import (
	"fmt"
	"strings"
	"testing"
)

// An object is shown by its name and found by its name, as long as no other object has the
// same name.
func TestNames(t *testing.T) {
	d := applied(t, map[string]string{"named.yaml": `networks:
  - {id: blue, name: Office, vlan: 1}
routers:
  - {id: r2, name: edge, description: to the lab, labels: {site: a, tier: edge}}
ports:
  - {id: p1, name: web, labels: {tier: web}, network: blue, mac: "02:00:00:00:01:21", addresses: [10.0.1.21]}
  - {id: p2, name: twin, labels: {tier: db}, network: blue, mac: "02:00:00:00:01:22"}
  - {id: p3, name: twin, network: green, mac: "02:00:00:00:01:23"}
`})
	d.ofdvr(0, "apply", "named.yaml")
	for args, want := range map[string]string{
		"get ports":                          "PORT  NETWORK  MAC                ADDRESSES  SEEN\nweb   Office   02:00:00:00:01:21  10.0.1.21  unknown\np2    Office   02:00:00:00:01:22  -          unknown\np3    green    02:00:00:00:01:23  -          unknown\nvm1   Office   02:00:00:00:01:10  10.0.1.10  unknown\nvm2   green    02:00:00:00:02:10  10.0.2.10  unknown\n",
		"get port web -o wide":               "PORT  NETWORK  MAC                ADDRESSES  SEEN     ROUTERS  ID\nweb   Office   02:00:00:00:01:21  10.0.1.21  unknown  r1       p1\n",
		"get ports -l tier -o name":          "port/p1\nport/p2\n",
		"get ports -l tier!=db,!x -o name":   "port/p1\nport/p3\nport/vm1\nport/vm2\n",
		"get ports --network Office -o name": "port/p1\nport/p2\nport/vm1\n",
		"get ports --router none -o name":    "",
		"get networks -l tier=web -o name":   "",
		"get network/Office router/edge":     "NETWORK  VLAN   MTU\nOffice      1  1500\n\nROUTER  BRIDGE  NETWORKS\nedge    rb-r2   -\n",
	} {
		if out, _ := d.ofdvr(0, strings.Fields(args)...); out != want {
			t.Errorf("%s prints\n%s\nwant\n%s", args, out, want)
		}
	}
	out, _ := d.ofdvr(0, "describe", "router", "edge")
	for _, want := range []string{"Router:      r2\n", "Name:        edge\n", "Description: to the lab\n", "Labels:      site=a\n", "             tier=edge\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("describe prints\n%s\nwithout %q", out, want)
		}
	}
	const twins = "ofdvr: several ports have the name \"twin\": give the ID of one instead: p2, p3\n"
	d.fails(1, twins, "get", "port", "twin")
	d.fails(1, twins, "describe", "port", "twin")
	d.fails(1, twins, "delete", "port", "twin")
	d.prints("port/p1 deleted\n", "delete", "port", "web")
	if _, errOut := d.ofdvr(1, "flows", "nothing"); !strings.Contains(errOut, "nothing") {
		t.Errorf("flows of a router that does not exist: %s", errOut)
	}
	if _, errOut := d.ofdvr(64, "get", "ports", "-l", "a=b=c"); !strings.Contains(errOut, `label selector "a=b=c"`) {
		t.Errorf("a wrong selector: %s", errOut)
	}
}

// The status has the revision and the hash of the intent.
func TestStatusHasHash(t *testing.T) {
	d := applied(t, nil)
	out, _ := d.ofdvr(0, "status")
	now := d.ledger.Intent()
	if want := fmt.Sprintf("intent: revision %d, hash ", now.Revision); !strings.Contains(out, want) {
		t.Errorf("status prints\n%s\nwithout %q", out, want)
	}
}
