package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// external is twoNetworks on a user's bridge br-x. %s says how the bridge is
// identified.
const external = `
networks:
  - {id: blue}
  - {id: green}
routers:
  - id: r1
    bridge: {managed: false, %s}
    interfaces:
      - {id: r1-blue, network: blue, mac: "02:00:00:00:01:01", addresses: [10.0.1.1/24], patch_port: x-blue, tap_port: t-blue}
      - {id: r1-green, network: green, mac: "02:00:00:00:02:01", addresses: [10.0.2.1/24], patch_port: x-green, tap_port: t-green}
ports:
  - {id: vm1, network: blue, mac: "02:00:00:00:01:10", addresses: [10.0.1.10]}
  - {id: vm2, network: green, mac: "02:00:00:00:02:10", addresses: [10.0.2.10]}
`

var byName = fmt.Sprintf(external, "name: br-x")

// handMade makes the bridge br-x with its ports, and its namespace, as a user would.
func (s *site) handMade() {
	s.t.Helper()
	s.sh("", `
		ovs-vsctl add-br br-x -- set bridge br-x datapath_type=`+lab.Datapath()+` fail_mode=secure protocols=OpenFlow13 \
			other_config:disable-in-band=true other_config:datapath-id=00000000000000aa -- set-controller br-x tcp:127.0.0.1:6653
		ovs-vsctl set controller br-x max_backoff=1000 # reconnect soon
		ip netns add mine
		ip netns exec mine sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
		n=1
		for net in blue green; do
			ovs-vsctl add-port br-int int-$net tag=$n -- set interface int-$net type=patch options:peer=x-$net \
				-- add-port br-x x-$net -- set interface x-$net type=patch options:peer=int-$net \
				-- add-port br-x t-$net -- set interface t-$net type=internal
			ip link set t-$net netns mine address 02:00:00:00:0$n:01
			ip -n mine addr add 10.0.$n.1/24 dev t-$net
			ip -n mine link set t-$net up
			n=$((n+1))
		done`)
}

// ofdvr routes on a user's bridge without changing the database. The bridge is
// identified by its name or by its datapath ID.
func TestExternalBridge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, recognize string }{
		{"by name", "name: br-x"},
		{"by datapath ID", "datapath_id: 00000000000000aa"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := bare(t, fmt.Sprintf(external, c.recognize))
			s.handMade()
			vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
			database, transactions := s.database(), s.transactions()
			s.serve("--ovsdb", "")
			s.settle()
			tap := s.recordIn("mine", "t-blue", isIPv4)
			pingTTL(t, vm1, vm2.IP(), 63)
			pingTTL(t, vm2, vm1.IP(), 63)
			seen(t, tap, "the tap", 0, "routed packets", isIPv4)
			pingTTL(t, vm1, "10.0.2.1", 64) // by the namespace
			if got := s.database(); got != database {
				t.Errorf("the database has changed:\n%s", diff(database, got))
			}
			if got := s.transactions(); len(got) != len(transactions) {
				t.Errorf("the database has new transactions: %v", got[len(transactions):])
			}
			st := s.status()
			if r := st.Routers[0]; st.OVSDB != nil || r.Managed || r.Bridge != "br-x" || r.DatapathID != "00000000000000aa" {
				t.Errorf("the status is %+v", st)
			}
			if got := s.sh("", "ls /run/netns"); got != "mine\nvm1\nvm2\n" {
				t.Errorf("namespaces: %q", got)
			}
		})
	}
}

// External and managed routers work side by side. The daemon does not change the user's bridge.
func TestExternalBesideManaged(t *testing.T) {
	t.Parallel()
	s := bare(t, strings.Replace(byName, "routers:", `  - {id: red, vlan: 3}
routers:
  - id: r2
    interfaces:
      - {id: r2-red, network: red, mac: "02:00:00:00:03:01", addresses: [10.0.3.1/24]}`, 1))
	s.handMade()
	before := s.vsctl("--columns=name,ports,controller,fail_mode,other_config,external_ids", "list", "bridge", "br-x")
	vm1, vm2, vm3 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10")), s.plug(vm("vm3", "10.0.3.10"))
	s.serve()
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)
	pingTTL(t, vm3, "10.0.3.1", 64)
	if got := s.vsctl("--columns=name,ports,controller,fail_mode,other_config,external_ids", "list", "bridge", "br-x"); got != before {
		t.Errorf("the user's bridge has changed; it is now\n%s\nand was\n%s", got, before)
	}
}

// Ports of an external bridge may be added, removed and renumbered. Their flows are updated,
// and the flows of other ports are not touched.
func TestExternalPortsComeAndGo(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	s.vsctl("del-port", "br-x", "x-green")
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.serve("--ovsdb", "")
	s.eventually("the status to name the missing port", func() error {
		for _, p := range s.status().Routers[0].Problems {
			if strings.Contains(p, "br-x has no port x-green") {
				return nil
			}
		}
		return fmt.Errorf("%+v", s.status().Routers)
	})
	pingTTL(t, vm1, "10.0.1.1", 64) // the other interface works
	s.eventually("flows", func() error {
		if len(s.flows("br-x").find(`in_port="x-blue"`)) == 0 {
			return errors.New("none")
		}
		return nil
	})
	s.aged("br-x")
	before := s.flows("br-x")
	inPort := func(number string) {
		t.Helper()
		s.eventually("the flows to use port number "+number, func() error {
			out, err := s.Ofctl(t.Context(), "dump-flows", "br-x")
			if err == nil && strings.Count(out, "in_port="+number+",") < 5 {
				err = errors.New(out)
			}
			return err
		})
		s.settle()
		pingTTL(t, vm1, vm2.IP(), 63)
		pingTTL(t, vm2, vm1.IP(), 63)
		pingTTL(t, vm2, "10.0.1.1", 64)
	}
	add := func(number string) {
		t.Helper()
		s.vsctl("add-port", "br-x", "x-green", "--", "set", "interface", "x-green", "type=patch", "options:peer=int-green", "ofport_request="+number)
	}
	add("77") // added
	inPort("77")
	s.vsctl("del-port", "br-x", "x-green") // removed
	s.eventually("the flows to be deleted", func() error {
		if found := s.flows("br-x").find("x-green"); len(found) > 0 {
			return fmt.Errorf("%v", found)
		}
		if found := s.flows("br-x").find("10.0.2.10"); len(found) > 0 {
			return fmt.Errorf("%v", found)
		}
		return nil
	})
	add("78") // added with another number
	inPort("78")
	s.vsctl("set", "interface", "x-green", "ofport_request=79") // renumbered
	inPort("79")
	if err := untouched(before, s.flows("br-x"), func(key string) bool { return strings.Contains(key, `in_port="x-blue"`) }); err != nil {
		t.Error(err)
	}
}

// If no router has a switch, the switch is refused, with one line in the log.
// The flows of the refused switch stay, and other switches are not affected.
func TestUnknownSwitchIsRefused(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks, "--log-level", "debug")
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	pingTTL(t, vm1, vm2.IP(), 63)
	s.aged(bridge)
	before := s.flows(bridge)
	s.vsctl("add-br", "br-y", "--", "set", "bridge", "br-y", "datapath_type="+lab.Datapath(), "fail_mode=secure", "protocols=OpenFlow13",
		"other_config:disable-in-band=true", "other_config:datapath-id=00000000000000bb", "--", "set-controller", "br-y", "tcp:127.0.0.1:6653")
	s.vsctl("set", "controller", "br-y", "max_backoff=1000")
	s.logged("refused switch, its flows are untouched")
	for _, want := range []string{"br-y", "00000000000000bb"} {
		s.logged(want)
	}
	if _, err := s.Ofctl(t.Context(), "add-flow", "br-y", "cookie=0xfd00000000000001,priority=5,ip,actions=drop"); err != nil {
		t.Fatal(err)
	}
	strange := s.flows("br-y")
	refusals := strings.Count(s.daemon.Log(), "refused switch again")
	s.eventually("the switch to connect again", func() error {
		if strings.Count(s.daemon.Log(), "refused switch again") == refusals {
			return errors.New("it has not connected again")
		}
		return nil
	})
	mustBeUntouched(t, strange, s.flows("br-y"))
	mustBeUntouched(t, before, s.flows(bridge))
	if n := strings.Count(s.daemon.Log(), "refused switch, its flows are untouched"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
	s.settle() // an unknown switch is no problem of a router
}

// A switch that connects before its router is in the file is accepted when the router is added.
func TestUnknownSwitchBecomesARouter(t *testing.T) {
	t.Parallel()
	s := bare(t, "networks: [{id: blue, vlan: 1}]\n")
	s.handMade()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.serve("--ovsdb", "")
	s.logged("refused switch, its flows are untouched")
	if len(s.flows("br-x").flows) != 0 {
		t.Error("the unknown switch has flows")
	}
	s.reload(byName)
	pingTTL(t, vm1, vm2.IP(), 63)
}

// withoutRouter has only the networks of byName.
var withoutRouter, _, _ = strings.Cut(byName, "routers:")

// The flows of a removed router are deleted from its external bridge. If the bridge is not
// connected, this happens when it connects. Until then, the status and a waiting write report the
// bridge. Foreign flows stay.
func TestRouterGoesFromAnExternalBridge(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	s.serve("--ovsdb", "")
	s.settle()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	s.sh("", "ovs-ofctl -O OpenFlow13 add-flow br-x cookie=7,table=9,priority=9,actions=drop")
	gone := func() {
		t.Helper()
		s.eventually("our flows to be gone", func() error {
			out := s.sh("", "ovs-ofctl -O OpenFlow13 dump-flows br-x; ovs-ofctl -O OpenFlow13 dump-meters br-x; ovs-ofctl -O OpenFlow13 dump-groups br-x")
			if strings.Contains(out, "cookie=0xfd") || strings.Contains(out, "bands=") || !strings.Contains(out, "cookie=0x7,") {
				return errors.New(out)
			}
			return nil
		})
		if _, err := vm1.Ping(t.Context(), vm2.IP(), lab.PingOptions{Wait: shortly}); err == nil {
			t.Error("the bridge still forwards")
		}
		s.settle()
	}
	back := func() {
		t.Helper()
		s.reload(byName)
		pingTTL(t, vm1, vm2.IP(), 63)
	}
	back()
	s.reload(withoutRouter)
	gone()

	back()
	s.vsctl("del-controller", "br-x", "--", "set-controller", "br-x", "tcp:127.0.0.1:9") // the bridge cannot connect to this address
	s.sh("", "ovs-ofctl -O OpenFlow13 dump-flows br-x")
	s.eventually("the bridge to be away", func() error {
		if s.status().Routers[0].Connected {
			return errors.New("the bridge is connected")
		}
		return nil
	})
	s.write(withoutRouter)
	s.mentions("router r1 was removed from bridge br-x, which is not connected", "set-controller br-x")
	s.daemon.Kill() // the next daemon knows the bridge from the file
	s.serve("--ovsdb", "")
	s.mentions("router r1 was removed from bridge br-x, which is not connected")
	s.vsctl("set-controller", "br-x", "tcp:127.0.0.1:6653")
	gone()

	back()
	s.stop()
	s.write(withoutRouter) // while no daemon runs
	s.serve("--ovsdb", "")
	gone()

	s.stop()
	s.write(byName)
	s.serve("--ovsdb", "")
	s.settle()
	s.reload(strings.ReplaceAll(byName, "id: r1", "id: r2")) // another router gets the bridge
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)
}

// The daemon does not wait for a bridge that was deleted with its router.
func TestExternalBridgeIsDeleted(t *testing.T) {
	t.Parallel()
	for _, recognize := range []string{"name: br-x", "datapath_id: 00000000000000aa"} {
		t.Run(recognize, func(t *testing.T) {
			t.Parallel()
			externalBridgeIsDeleted(t, fmt.Sprintf(external, recognize))
		})
	}
}

func externalBridgeIsDeleted(t *testing.T, topology string) {
	s := bare(t, topology)
	s.handMade()
	s.serve()
	s.settle()
	s.eventually("the bridge to be recorded", func() error {
		if out := s.sh("", "cat /run/ofdvr/external-bridges.json"); !strings.Contains(out, `"local":true`) {
			return errors.New(out)
		}
		return nil
	})
	s.stop()
	s.vsctl("del-br", "br-x")
	s.write(withoutRouter)
	s.serve()
	s.settle()
	if out := s.sh("", "cat /run/ofdvr/external-bridges.json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("the file of external bridges still has the bridge: %s", out)
	}
}

// If the identifier of a bridge changes from its name to its datapath ID, it is still the same
// bridge. Its flows stay, and no write waits for it to connect. The same holds if another router
// got the bridge while it was disconnected.
func TestExternalBridgeIdentifierChanges(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	s.serve("--ovsdb", "")
	s.settle()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	noted := func(want string) {
		t.Helper()
		s.eventually("the file of external bridges to be up to date", func() error {
			if out := strings.TrimSpace(s.sh("", "cat /run/ofdvr/external-bridges.json")); out != want {
				return errors.New(out)
			}
			return nil
		})
	}
	pingTTL(t, vm1, vm2.IP(), 63)
	s.aged("br-x")
	before := s.flows("br-x")
	byID := fmt.Sprintf(external, "datapath_id: 00000000000000aa")
	s.reload(byID)
	mustBeUntouched(t, before, s.flows("br-x"))
	noted(`[{"router":"r1","datapath_id":170,"local":false}]`)

	s.vsctl("del-controller", "br-x")
	s.eventually("the bridge to be away", func() error {
		if s.status().Routers[0].Connected {
			return errors.New("the bridge is connected")
		}
		return nil
	})
	s.write(withoutRouter)
	s.mentions("router r1 was removed from bridge with datapath ID 00000000000000aa, which is not connected")
	s.write(strings.Replace(byName, "id: r1\n", "id: r2\n", 1))
	s.eventually("the other router to get the bridge", func() error {
		if st := s.status(); len(st.Routers) != 1 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	s.vsctl("set-controller", "br-x", "tcp:127.0.0.1:6653")
	s.settle()
	pingTTL(t, vm1, vm2.IP(), 63)
	noted(`[{"router":"r2","bridge":"br-x","local":false}]`)
}
