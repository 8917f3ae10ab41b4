package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/controller/api"
)

// Tables show the name of an object and commands accept it, if no other object has the same name.
func TestNames(t *testing.T) {
	d := applied(t, map[string]string{"named.yaml": `networks:
  - {id: blue, name: Office, vlan: 1}
routers:
  - {id: r2, name: edge, description: to the lab, labels: {site: a, tier: edge}, interfaces: [{id: r2-green, network: green, mac: "02:00:00:00:02:02", addresses: [10.0.2.2/24]}]}
ports:
  - {id: p1, name: web, labels: {tier: web}, network: blue, mac: "02:00:00:00:01:21", addresses: [10.0.1.21]}
  - {id: p2, name: twin, labels: {tier: db}, network: blue, mac: "02:00:00:00:01:22"}
  - {id: p3, name: twin, network: green, mac: "02:00:00:00:01:23"}
`})
	d.ofdvr(0, "apply", "named.yaml")
	for args, want := range map[string]string{
		"get ports":                               "PORT  NETWORK  MAC                ADDRESSES  SEEN\nweb   Office   02:00:00:00:01:21  10.0.1.21  unknown\np2    Office   02:00:00:00:01:22  -          unknown\np3    green    02:00:00:00:01:23  -          unknown\nvm1   Office   02:00:00:00:01:10  10.0.1.10  unknown\nvm2   green    02:00:00:00:02:10  10.0.2.10  unknown\n",
		"get port web -o wide":                    "PORT  NETWORK  MAC                ADDRESSES  SEEN     HOST  ROUTERS  ID\nweb   Office   02:00:00:00:01:21  10.0.1.21  unknown  -     r1       p1\n",
		"get ports -l tier -o name":               "port/p1\nport/p2\n",
		"get ports -l tier!=db,!x -o name":        "port/p1\nport/p3\nport/vm1\nport/vm2\n",
		"get ports --network Office -o name":      "port/p1\nport/p2\nport/vm1\n",
		"get ports --router none -o name":         "",
		"get networks -l tier=web -o name":        "",
		"get interfaces":                          "INTERFACE  ROUTER  NETWORK  MAC                ADDRESSES\nr1-blue    r1      Office   02:00:00:00:01:01  10.0.1.1/24\nr1-green   r1      green    02:00:00:00:02:01  10.0.2.1/24\nr2-green   edge    green    02:00:00:00:02:02  10.0.2.2/24\n",
		"get interfaces --router edge -o name":    "interface/r2-green\n",
		"get interfaces --network Office -o yaml": "interfaces:\n  - {router: r1, id: r1-blue, network: blue, mac: \"02:00:00:00:01:01\", addresses: [10.0.1.1/24]}\n",
		"get interfaces -o json":                  "{\"interfaces\": [\n  {\"router\":\"r1\",\"id\":\"r1-blue\",\"network\":\"blue\",\"mac\":\"02:00:00:00:01:01\",\"addresses\":[\"10.0.1.1/24\"]},\n  {\"router\":\"r1\",\"id\":\"r1-green\",\"network\":\"green\",\"mac\":\"02:00:00:00:02:01\",\"addresses\":[\"10.0.2.1/24\"]},\n  {\"router\":\"r2\",\"id\":\"r2-green\",\"network\":\"green\",\"mac\":\"02:00:00:00:02:02\",\"addresses\":[\"10.0.2.2/24\"]}\n]}\n",
		"get interfaces --network none -o json":   "{\"interfaces\": []}\n",
		"get interfaces --network none -o yaml":   "interfaces: []\n",
		"get network/Office router/edge":          "NETWORK  VLAN   MTU\nOffice      1  1500\n\nROUTER  BRIDGE  NETWORKS\nedge    rb-r2   green\n",
	} {
		if out, _ := d.ofdvr(0, strings.Fields(args)...); out != want {
			t.Errorf("%s prints\n%s\nwant\n%s", args, out, want)
		}
	}
	d.counts = counted()
	for args, want := range map[string]string{
		"status":                                   "\nedge    rb-r2 ",
		"top routers -n 1 --interval 1s":           "\nr1 ",
		"top ports -n 1 --interval 1s":             "\nedge    r2-green   p3 ",
		"flows":                                    "router edge\n",
		"trace web 10.0.2.10 --router edge":        "web to 10.0.2.10 through r2",
		"events --router edge":                     "",
		"log-level --openflow edge":                "OpenFlow messages of router: r2\n",
		"__complete describe router --api API e":   "edge\n:4",
		"__complete describe router --api API r":   "r1\nr2\n:4",
		"__complete get network --api API Of":      "Office\n:4",
		"__complete describe port --api API web p": "p2\np3\n:4", // web is the name of p1
		"__complete describe port --api API t":     ":4",         // two are called twin
	} {
		words := strings.Fields(strings.ReplaceAll(args, "API", d.endpoint))
		var out, errOut strings.Builder
		if words[0] != "__complete" {
			words = append(words, "--api", d.endpoint)
		}
		run(t.Context(), words, &out, &errOut)
		if !strings.Contains(out.String()+errOut.String(), want) {
			t.Errorf("%s prints\n%s%s\nwithout %q", args, &out, &errOut, want)
		}
	}
	d.fails(1, "ofdvr: there is no such object: router \"none\"\n", "events", "--router", "none")
	d.fails(1, "ofdvr: there is no such object: router \"none\"\n", "log-level", "--openflow", "none")
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

// An event shows the name of its router.
func TestEventShowsName(t *testing.T) {
	var out strings.Builder
	printLogged(&out, api.EventDocument{Level: "warn", Message: "repaired", Router: "r2", Fields: map[string]any{"bridge": "rb-r2", "why": "it was gone"}}, shownNames{"r2": "the edge"})
	if got := out.String(); !strings.HasSuffix(got, "  WARN   repaired  router=\"the edge\"  bridge=rb-r2  why=\"it was gone\"\n") {
		t.Error(got)
	}
}

// Texts have names instead of UUIDs of objects, but not in names of other things.
func TestTextsHaveNames(t *testing.T) {
	const id = "5f0f3c64-8f5d-4e0a-9a5d-0c1e2f3a4b5%d"
	ids := make([]any, 5)
	for i := range ids {
		ids[i] = fmt.Sprintf(id, i)
	}
	d := applied(t, map[string]string{"named.yaml": fmt.Sprintf(`networks:
  - {id: %[1]s, name: My office, vlan: 9}
ports:
  - {id: %[2]s, name: web, network: %[1]s, mac: "02:00:00:00:01:21", addresses: [10.0.1.21]}
  - {id: %[3]s, name: twin, network: %[1]s, mac: "02:00:00:00:01:22"}
  - {id: %[4]s, name: twin, network: %[1]s, mac: "02:00:00:00:01:23"}
`, ids[0], ids[1], ids[2], ids[3])})
	d.ofdvr(0, "apply", "named.yaml")
	client, err := api.NewClient(api.Endpoint(d.endpoint), api.Access{})
	if err != nil {
		t.Fatal(err)
	}
	names := newNamer(t.Context(), client)
	for text, want := range map[string]string{
		"port %[2]s has no machine":                 "port web has no machine",
		"%[2]s (10.0.1.21, network %[1]s)":          "web (10.0.1.21, network 'My office')",
		"ports %[2]s, %[3]s and %[4]s":              "ports web, %[3]s and %[4]s", // two are called twin
		"ip netns exec qrouter-%[1]s ip route":      "ip netns exec qrouter-%[1]s ip route",
		"port %[1]s":                                "port %[1]s", // it is a network
		"port %[5]s does not exist":                 "port %[5]s does not exist",
		"/v1/ports/%[2]s":                           "/v1/ports/%[2]s",
		"nothing, and 12345678-1234-1234-1234-1234": "nothing, and 12345678-1234-1234-1234-1234",
	} {
		for i, id := range ids {
			text, want = strings.ReplaceAll(text, fmt.Sprintf("%%[%d]s", i+1), id.(string)), strings.ReplaceAll(want, fmt.Sprintf("%%[%d]s", i+1), id.(string))
		}
		if got := names.text(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
