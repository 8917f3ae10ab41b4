package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/hostile"
	"github.com/ofdvr/ofdvr/test/lab"
)

// At the paths in --api and --openflow, the daemon deletes only sockets that an earlier daemon has
// left behind.
func TestForeignSocketPaths(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	for what, c := range map[string]struct{ script, want string }{
		"file":        {"echo theirs >/run/x", "/run/x is a regular file, not a socket: not a file of ofdvr, and left unchanged"},
		"link":        {"echo theirs >/run/y; ln -s /run/y /run/x", "/run/x is a symbolic link, not a socket"},
		"pipe":        {"mkfifo /run/x", "/run/x is a named pipe, not a socket"},
		"directory":   {"mkdir /run/x", "/run/x is a directory, not a socket"},
		"dead socket": {"mv /run/dead /run/sock; ln -s /run/sock /run/x", "/run/x is a symbolic link, not a socket"},
		"another user's": {"mv /run/dead /run/x; chown 65534 /run/x",
			"/run/x is a socket of user 65534: not a file of ofdvr"},
	} {
		const world = "ls -land --time-style=full-iso /run/x; cat /run/y 2>/dev/null || true; [ ! -f /run/x ] || cat /run/x"
		s.sh("", "rm -rf /run/x /run/y /run/sock /run/dead")
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.Path("/run/dead"), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		dead.Close()
		s.sh("", c.script)
		before := s.sh("", world)
		mustHave(t, s.ofdvr(1, "serve", "--topology", s.file, "--api", "unix:/run/x"), "listen on API socket: "+c.want)
		mustHave(t, s.ofdvr(1, "serve", "--topology", s.file, "--openflow", "tcp:127.0.0.1:6653,punix:/run/x"), "listen for switches on punix:/run/x: "+c.want)
		if after := s.sh("", world); after != before {
			t.Errorf("%s: changed:\n%s", what, diff(before, after))
		}
	}
	s.sh("", "rm -rf /run/x")
	address := &net.UnixAddr{Name: s.Path("/run/x"), Net: "unixgram"}
	live, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	mustHave(t, s.ofdvr(1, "serve", "--topology", s.file, "--api", "unix:/run/x"), "listen on API socket /run/x: another ofdvr answers there")
	mustHave(t, s.ofdvr(1, "serve", "--topology", s.file, "--openflow", "tcp:127.0.0.1:6653,punix:/run/x"), "another controller uses this socket")
	if nc, err := net.DialUnix("unixgram", nil, address); err != nil {
		t.Errorf("the other program has lost its socket: %v", err)
	} else {
		nc.Close()
	}

	// If a file replaces the socket, it stays when the daemon ends.
	s.serve("--api", "unix:/run/ofdvr/api.sock,unix:/run/z")
	s.settle()
	s.sh("", "rm /run/z; echo theirs >/run/z")
	s.stop()
	if got := s.sh("", "cat /run/z"); got != "theirs\n" {
		t.Errorf("the file has %q", got)
	}
}

// If a program holds the lock of /run/netns, this delays only the creation of the machine's first
// namespace. The status reports it, and SIGTERM still ends the daemon.
func TestHeldLockBlocksOnlyFirstNamespace(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	s.sh("", "mkdir -p /run/netns; while umount -l /run/netns 2>/dev/null; do :; done")
	release := s.holdLock("/run/netns", hostile.Nobody)
	s.serve()
	const problem = "(sleep) holds the lock of /run/netns, which every program that makes the first namespace needs"
	s.eventually("the status to name the held lock", func() error { return lacks(fmt.Sprint(s.status().Routers[0].Problems), problem) })
	mustHave(t, s.ofdvr(1, "doctor"), problem)
	if code, body := s.get("/healthz"); code != 200 {
		t.Errorf("healthz: %d %s", code, body)
	}
	s.stop() // the daemon must stop even while the lock is held
	s.serve()
	s.eventually("the status to name the held lock again", func() error { return lacks(fmt.Sprint(s.status().Routers[0].Problems), problem) })
	release()
	s.settle()
	release = s.holdLock("/run/netns", hostile.Nobody)
	s.reload(twoRouters) // a second namespace
	s.sh("", "ip netns exec "+netns+" ip link set "+blueTap+" down")
	s.eventually("the tap to be set up again", func() error { return lacks(s.sh(netns, "ip -o link show "+blueTap), ",UP") })
	s.stop()
	release()
}

// If the router's namespace has the inode of the machine's own namespace, it gets no settings and
// routes of the router, and is not deleted.
func TestHostNamespaceIsUntouched(t *testing.T) {
	t.Parallel()
	routes := strings.Replace(twoNetworks, "  - id: r1\n", "  - id: r1\n    routes: [{destination: 198.51.100.0/24, type: blackhole}]\n", 1)
	s := bare(t, routes)
	s.plug(vm("vm1", "10.0.1.10")) // the first machine's namespace creates /run/netns
	s.sh("", "touch /run/netns/"+netns+"; mount --bind /proc/self/ns/net /run/netns/"+netns)
	world := func() string {
		return s.sh("", `(cd /proc/sys/net && grep -rs . ipv4/conf/all ipv4/conf/default ipv4/conf/lo ipv6/conf/all ipv6/conf/default ipv6/conf/lo ipv4/ip_forward ipv4/fib_multipath_hash_policy | grep -v stable_secret | sort)
			ip -o addr show lo; ip route show table all | grep -v 'dev vm1'; ls -i /run/netns`)
	}
	before := world()
	s.serve()
	const problem = "/run/netns/qrouter-r1 is the network namespace of the machine itself or of ofdvr, so nothing is changed in it"
	s.eventually("the status to name the namespace", func() error { return lacks(fmt.Sprint(s.status().Routers[0].Problems), problem) })
	mustHave(t, s.ofdvr(1, "doctor"), problem)
	if after := world(); after != before {
		t.Errorf("changed:\n%s", diff(before, after))
	}
	s.stop()
	s.ofdvr(0, "cleanup")
	if after := world(); after != before {
		t.Errorf("changed by cleanup:\n%s", diff(before, after))
	}
	s.serve()
	s.sh("", "umount /run/netns/"+netns+"; rm /run/netns/"+netns)
	s.settle()
	if lab.Datapath() == lab.Userspace {
		s.ofdvr(0, "doctor")
	}
}

// If other programs have links and ports with the names of the topology's bridges, taps and patch
// ports, these stay unchanged. The status names them, and all other objects work. When they are
// gone, the blocked objects are made.
func TestNamesInUseByOthers(t *testing.T) {
	t.Parallel()
	s := bare(t, strings.NewReplacer("{id: r1-blue,", "{id: r1-blue, tap_port: vpn0,", "{id: r1-red,", "{id: r1-red, patch_port: theirs-0,",
		"  - id: r2\n", "  - id: r2\n    bridge: {name: vpn1}\n").Replace(twoRouters))
	machine := s.plug(vm("vm2", "10.0.2.10"))
	s.sh("", `
		ip tuntap add vpn0 mode tap
		ip addr add 192.0.2.1/24 dev vpn0
		ip addr add 2001:db8::1/64 dev vpn0 nodad
		ip link set vpn0 up alias theirs
		ip link add virbr0 type bridge
		ip tuntap add vpn1 mode tap
		ip link set vpn1 master virbr0 up
		ovs-vsctl add-port br-int theirs-0 tag=7 -- set interface theirs-0 type=internal external_ids:iface-id=theirs \
			-- add-port br-int pi-r1-red -- set interface pi-r1-red type=internal external_ids:owner=them`)
	world := func() string {
		return s.sh("", `for l in vpn0 vpn1 virbr0 theirs-0; do ip -d -o link show $l | sed 's/qlen [0-9]*//; s/designated[^ ]* [^ ]*//g; s/[a-z_]*timer *[0-9.]*//g; s/bridge_id [^ ]*//; s/state [A-Z]*//'; ip -o addr show dev $l scope global; done
			ip route show table all dev vpn0 | sort
			for p in theirs-0 pi-r1-red; do ovs-vsctl --columns=name,tag,external_ids list port $p; ovs-vsctl --columns=name,type,external_ids,ofport list interface $p; done`)
	}
	before := world()
	problems := map[string]string{
		"r1": "tap vpn0: the name is in use by link vpn0 of another program (kind tuntap), which does not belong to ofdvr; remove it, or choose another name",
		"r2": "bridge vpn1: the name is in use by link vpn1 of another program (kind tuntap), which does not belong to ofdvr; remove it, or choose another name",
	}
	s.serve()
	for range 2 {
		for i, r := range []string{"r1", "r2"} {
			s.eventually("the status to name "+r, func() error { return lacks(fmt.Sprint(s.status().Routers[i].Problems), problems[r]) })
			mustHave(t, s.ofdvr(1, "doctor"), strings.SplitN(problems[r], "; ", 2)[0][len("tap vpn0: "):])
		}
		mustHave(t, s.ofdvr(1, "doctor"), "port theirs-0 on bridge br-int, which does not belong to ofdvr")
		s.eventually("green's address", func() error { return lacks(s.sh(netns, "ip -o addr"), "10.0.2.1/24") })
		pingTTL(t, machine, "10.0.2.1", 64)
		s.stop()
		if after := world(); after != before {
			t.Errorf("changed:\n%s", diff(before, after))
		}
		s.serve() // start the daemon again
	}
	s.stop()
	s.ofdvr(0, "cleanup")
	if after := world(); after != before {
		t.Errorf("changed by cleanup:\n%s", diff(before, after))
	}
	s.serve()
	s.sh("", "ip link del vpn0; ip link del vpn1; ovs-vsctl del-port theirs-0 -- del-port pi-r1-red")
	s.settle()
	if got := s.sh(netns, "ip -o link"); !strings.Contains(got, "vpn0") {
		t.Errorf("no tap vpn0 in %s", got)
	}
	s.sh("", "ovs-vsctl br-exists vpn1")

	// While the router's tap is in its namespace, another program makes a tap with the same name
	// outside. It is not adopted, not even after a crash of ovs-vswitchd.
	s.sh("", "ip tuntap add vpn0 mode tap; ip addr add 192.0.2.1/24 dev vpn0; ip link set vpn0 up")
	s.noticed()
	s.settle()
	mustHave(t, s.sh("", "ip -o addr show dev vpn0"), "192.0.2.1/24")
	if lab.Datapath() == lab.Userspace {
		s.Switch().Kill()
		if err := s.StartSwitch(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.eventually("the status to name the link", func() error {
			return lacks(fmt.Sprint(s.status().Routers[0].Problems), "another program's link has that name outside of the namespace, and was left unchanged")
		})
		mustHave(t, s.sh("", "ip -o addr show dev vpn0"), "192.0.2.1/24")
	}
}

// If a bridge of another controller has the name of a router's bridge, it keeps its controller and
// its flows.
func TestBridgeOfAnotherController(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	s.sh("", `
		ovs-vsctl add-br rb-r1 -- set bridge rb-r1 datapath_type=`+lab.Datapath()+` external_ids:owner=them other_config:datapath-id=00000000000000aa -- set-fail-mode rb-r1 secure \
			-- set-controller rb-r1 ptcp:6699:127.0.0.1
		ovs-ofctl -OOpenFlow13 add-flow rb-r1 cookie=7,priority=7,ip,actions=drop`)
	before, flows := s.database(), s.flows(bridge)
	s.serve()
	const problem = "bridge rb-r1: the name is in use by bridge rb-r1, which does not belong to ofdvr; remove it, or choose another name"
	s.eventually("the status to name the bridge", func() error { return lacks(fmt.Sprint(s.status().Routers[0].Problems), problem) })
	s.stop()
	s.ofdvr(0, "cleanup")
	if after := s.database(); after != before {
		t.Errorf("changed:\n%s", diff(before, after))
	}
	mustBeUntouched(t, flows, s.flows(bridge))
}

// everythingIn returns a namespace's settings, links, addresses, rules and routes, except those of taps.
func (s *site) everythingIn(netns string) string {
	s.t.Helper()
	return s.sh(netns, `(cd /proc/sys/net && grep -rs . ipv4/conf ipv6/conf ipv4/ip_forward ipv4/fib_multipath_hash_policy ipv6/fib_multipath_hash_policy | grep -v 'stable_secret\|/qr-' | sort)
		(ip -o link; ip -o addr) | grep -v ' qr-' | sed 's/qdisc [a-z]*//'; (ip route show table all; ip -6 route show table all) | grep -v ' qr-' | sort; ip rule; ip -6 rule`)
}

// When a router is removed, its namespace stays if it existed before the router, or if another
// program has a link in it. Its settings and lo are then as before, and it has no routes of ofdvr.
// This also holds if the router is removed while no daemon runs, and for ofdvr cleanup.
func TestKeptNamespaceIsAsBefore(t *testing.T) {
	t.Parallel()
	with := strings.Replace(twoRouters, "  - id: r1\n", `  - id: r1
    routes:
      - {destination: 198.51.100.0/24, type: blackhole}
      - {destination: 203.0.113.0/24, type: reject}
      - {destination: 192.0.2.0/24, nexthops: [{address: 10.0.1.254}]}
`, 1)
	without := strings.NewReplacer("\n  - {id: vm1, network: blue", "\n  # - {", "\n  - {id: vm2, network: green", "\n  # - {").Replace(twoRouters)
	without = without[:strings.Index(without, "  - id: r1\n")] + without[strings.Index(without, "ports:"):]
	s := bare(t, with)
	s.sh("", `ip netns add `+netns+`
		ip -n `+netns+` link add up0 type veth peer name up1
		ip netns exec `+netns+` sh -ec '
			ip link set up0 addrgenmode none; ip link set up1 addrgenmode none; ip link set up0 up; ip link set up1 up
			ip addr add 10.99.0.1/24 dev up0; ip route add 10.98.0.0/16 via 10.99.0.2; ip route add blackhole 10.97.0.0/16
			cd /proc/sys/net/ipv4/conf; echo 1 >all/rp_filter; echo 2 >default/arp_ignore; echo 1 >up1/proxy_arp'`)
	before := s.everythingIn(netns)
	asBefore := func(what string) {
		t.Helper()
		s.eventually("the namespace to be as before, "+what, func() error {
			if d := diff(before, s.everythingIn(netns)); d != "" {
				return fmt.Errorf("%s", d)
			}
			return nil
		})
	}
	routes := func(what string) {
		t.Helper()
		s.settle()
		mustHave(t, s.everythingIn(netns), "ipv4/ip_forward:1", "blackhole 198.51.100.0/24", "unreachable 203.0.113.0/24", "blackhole 10.97.0.0/16")
		if t.Failed() {
			t.Fatal(what)
		}
	}
	s.serve()
	routes("with the router")
	s.reload(without)
	asBefore("without the router")
	s.logged("restored the settings of a namespace that stays")
	s.reload(with)
	routes("with the router again")
	if text := "another program changed settings of a namespace"; strings.Contains(s.daemon.Log(), text) {
		t.Errorf("the log says that %s", text)
	}
	s.stop()
	s.write(without)
	s.serve()
	s.settle()
	asBefore("when the router was removed while no daemon ran")
	s.reload(with)
	routes("with the router a third time")
	s.stop()
	mustHave(t, s.ofdvr(0, "cleanup"), "restored the settings of namespace qrouter-r1: ", "removed route blackhole 198.51.100.0/24 from qrouter-r1", "set net.ipv4.ip_forward=0 in qrouter-r1")
	asBefore("after cleanup")
	if got := strings.TrimSpace(s.sh("", "ls /run/ofdvr/namespaces")); got != "" {
		t.Errorf("left: %s", got)
	}

	// Now a namespace of ofdvr that has to stay because another program has a link in it.
	s.sh("", "ip netns del "+netns+"; ip netns add fresh")
	s.serve()
	routesOurs := func() {
		s.settle()
		mustHave(t, s.everythingIn(netns), "ipv4/ip_forward:1", "blackhole 198.51.100.0/24")
	}
	routesOurs()
	s.sh("", "ip link add up0 netns "+netns+" type veth peer name up1 netns "+netns)
	s.write(without)
	const kept = "namespace qrouter-r1 was kept: it has links that do not belong to ofdvr: up0, up1"
	s.eventually("the status to name the kept namespace", func() error { return lacks(fmt.Sprint(s.status().Problems), kept) })
	s.sh("", "ip link add up0 netns fresh type veth peer name up1 netns fresh")
	noMACs := func(netns string) string {
		return s.sh(netns, `(cd /proc/sys/net && grep -rs . ipv4/conf ipv6/conf ipv4/ip_forward ipv4/fib_multipath_hash_policy ipv6/fib_multipath_hash_policy | grep -v 'stable_secret\|/qr-\|/up[01]/' | sort)
			ip -o addr; ip route show table all; ip -6 route show table all; ip -o link | grep -c UP || true`)
	}
	s.eventually("the namespace to be like a new one", func() error {
		if d := diff(noMACs("fresh"), noMACs(netns)); d != "" {
			return fmt.Errorf("%s", d)
		}
		return nil
	})
	s.sh(netns, "ip link del up0")
	s.settle()
	if got := s.sh("", "ls /run/netns"); strings.Contains(got, netns) {
		t.Errorf("the namespace is still there: %s", got)
	}
}
