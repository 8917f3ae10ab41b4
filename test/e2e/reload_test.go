package e2e

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A port that is removed from the file loses its flow, and an added port gets a flow. All other
// flows stay and keep their counters.
func TestReloadIsMinimal(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	vm3 := s.plug(vm("vm3", "10.0.2.11"))
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 3})
	s.counted(bridge, 3, "table=3,", "nw_dst=10.0.2.10 ")
	s.aged(bridge)
	before, counted := s.flows(bridge), s.scrape()

	s.reload(twoNetworks + `  - {id: vm3, network: green, mac: "02:00:00:00:02:11", addresses: [10.0.2.11]}` + "\n")
	with := s.flows(bridge)
	if err := untouched(before, with, nil); err != nil {
		t.Error(err)
	}
	if n := len(with.flows) - len(before.flows); n != 2 || len(with.find("nw_dst=10.0.2.11 ")) != 1 || len(with.find("table=4,", "dl_src=02:00:00:00:02:11 ")) != 1 {
		t.Errorf("got %d new flows, want one for 10.0.2.11 and one that limits vm3: %v", n, with.find("10.0.2.11 "))
	}
	tap := s.recordIn(netns, blueTap, isIPv4)
	pingTTL(t, vm1, vm3.IP(), 63)
	seen(t, tap, "the tap", 0, "the packets to the new port", echo("", vm3.IP()))

	s.reload(twoNetworks)
	after := s.flows(bridge)
	mustBeUntouched(t, before, after)
	now := s.scrape()
	// Without a port the kernel resolves the address.
	pingTTL(t, vm1, vm3.IP(), 63)
	await(t, tap, "the packet to the former port", echo(vm1.IP(), vm3.IP()))

	for operation, want := range map[string]float64{"add": 2, "delete": 2, "modify": 0} {
		name := fmt.Sprintf("ofdvr_flow_mods_total{operation=%q}", operation)
		if n := now[name] - counted[name]; n != want {
			t.Errorf("%s grew by %v, want %v", name, n, want)
		}
	}
}

// If a port gets another MAC address, its flow is modified in place, and the machine's limit
// is replaced.
func TestReloadMovesAPort(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	const modified, deleted = `ofdvr_flow_mods_total{operation="modify"}`, `ofdvr_flow_mods_total{operation="delete"}`
	pingTTL(t, vm1, vm2.IP(), 63)
	counted := s.scrape()
	lab.Run(t, vm2, "ip", "link", "set", "eth0", "address", "02:00:00:00:02:99")
	s.reload(strings.ReplaceAll(twoNetworks, "02:00:00:00:02:10", "02:00:00:00:02:99"))
	at := record(t, vm2, all(came, echo("", "")))
	pingTTL(t, vm1, vm2.IP(), 63)
	if p := await(t, at, "the request", echo("", "")); p.eth.DstMAC.String() != "02:00:00:00:02:99" {
		t.Errorf("the request was sent to %v", p.eth.DstMAC)
	}
	if now := s.scrape(); now[modified] != counted[modified]+1 || now[deleted] != counted[deleted]+1 {
		t.Errorf("%v flows were modified and %v deleted, want 1 and 1", now[modified]-counted[modified], now[deleted]-counted[deleted])
	}
}

// A file with mistakes, or a missing file, changes nothing. The log and the status have the
// positions of the mistakes. A correct file ends the problem.
func TestBrokenFileChangesNothing(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	pingTTL(t, vm1, vm2.IP(), 63)
	s.aged(bridge)
	flows, database := s.flows(bridge), s.database()

	s.write(strings.Replace(twoNetworks, "network: green, mac", "network: grey, mac", 2))
	s.signal(syscall.SIGHUP)
	for _, place := range []string{":9:33: ", ":12:24: "} {
		s.logged("topology.yaml" + place)
	}
	s.logged("topology rejected, the previous one stays in use")
	s.eventually("the status to report a problem", func() error {
		if len(s.status().Problems) == 0 {
			return errors.New("no problem")
		}
		return nil
	})
	st := s.status()
	for _, want := range []string{":9:33: ", ":12:24: ", "grey"} {
		if st.Settled || !strings.Contains(st.Problems[0], want) {
			t.Errorf("the status has no problem with %q: settled %v, problems %v", want, st.Settled, st.Problems)
		}
	}
	mustBeUntouched(t, flows, s.flows(bridge))
	if got := s.database(); got != database {
		t.Errorf("the database has changed:\n%s", diff(database, got))
	}
	pingTTL(t, vm1, vm2.IP(), 63)

	s.sh("", "rm "+s.file)
	s.signal(syscall.SIGHUP)
	s.logged("no such file or directory")

	s.reload(twoNetworks)
	mustBeUntouched(t, flows, s.flows(bridge))
	if p := s.status().Problems; len(p) > 0 {
		t.Errorf("problems remain: %v", p)
	}
}

// twoRouters is twoNetworks with a third interface on r1, and a router r2 on one network.
var twoRouters = strings.NewReplacer(
	"routers:", `  - {id: red, vlan: 3}
  - {id: pink, vlan: 4}
routers:
  - id: r2
    interfaces:
      - {id: r2-pink, network: pink, mac: "02:00:00:00:04:01", addresses: [10.0.4.1/24]}`,
	"ports:", `      - {id: r1-red, network: red, mac: "02:00:00:00:03:01", addresses: [10.0.3.1/24]}
ports:`).Replace(twoNetworks)

// Objects that are removed from the file are removed from Open vSwitch and from the kernel. All
// other objects stay unchanged.
func TestReloadRemovesInterfacesAndRouters(t *testing.T) {
	t.Parallel()
	s := bare(t, twoNetworks)
	s.serve()
	s.settle()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	database := s.database()
	s.aged(bridge)
	flows := s.flows(bridge)

	s.reload(twoRouters)
	vm4 := s.plug(vm("vm4", "10.0.4.10"))
	pingTTL(t, vm1, "10.0.3.1", 64)
	pingTTL(t, vm4, "10.0.4.1", 64)
	if err := untouched(flows, s.flows(bridge), nil); err != nil {
		t.Error(err)
	}
	if got := s.vsctl("list-ports", "rb-r2"); got != "pr-r2-pink\nqr-r2-pink" {
		t.Errorf("r2's ports are %q", got)
	}
	if err := vm4.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}

	s.reload(twoNetworks)
	if got := s.database(); got != database {
		t.Errorf("the database has changed:\n%s", diff(database, got))
	}
	mustBeUntouched(t, flows, s.flows(bridge))
	if got := s.sh("", "ls /run/netns"); got != "qrouter-r1\nvm1\nvm2\n" {
		t.Errorf("the namespaces are %q", got)
	}
	s.eventually("the tap to be removed", func() error { // ovs-vswitchd removes it
		if got := s.sh(netns, "ip -brief link"); strings.Contains(got, "qr-r1-red") {
			return errors.New(got)
		}
		return nil
	})
	if st := s.status(); len(st.Routers) != 1 || st.Routers[0].ID != "r1" {
		t.Errorf("the status has %+v", st.Routers)
	}
	pingTTL(t, vm1, vm2.IP(), 63)
	pingTTL(t, vm1, "10.0.2.1", 64)

	s.reload("networks: [{id: blue, vlan: 1}]\n")
	if got := s.vsctl("list-br"); got != "br-int" {
		t.Errorf("bridges are left: %q", got)
	}
	if got := s.vsctl("list-ports", "br-int"); got != "vm1\nvm2" {
		t.Errorf("br-int has the ports %q", got)
	}
	if got := s.sh("", "ls /run/netns"); got != "vm1\nvm2\n" {
		t.Errorf("the namespaces are %q", got)
	}
}

// takenIn waits until the daemon's intent has n ports.
func (s *site) takenIn(n int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("the daemon to have %d ports", n), func() error {
		if got := s.status().Intent.Ports; got != n {
			return fmt.Errorf("the daemon has %d", got)
		}
		return nil
	})
	s.settle()
}

// vm3 is one more port for twoNetworks.
const vm3 = `  - {id: vm3, network: green, mac: "02:00:00:00:02:11", addresses: [10.0.2.11]}` + "\n"

// A changed topology file is loaded without a signal, whatever method replaces it.
func TestFileIsWatched(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	s.aged(bridge)
	before := s.flows(bridge)
	two, err := s.WriteFile("two.yaml", twoNetworks)
	if err != nil {
		t.Fatal(err)
	}
	three, err := s.WriteFile("three.yaml", twoNetworks+vm3)
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(way, script string) {
		t.Helper()
		for i, from := range []string{three, two} {
			s.sh("", "from="+from+" file="+s.file+"; "+script)
			if s.takenIn(3 - i); t.Failed() {
				t.Fatalf("by way of %s", way)
			}
		}
	}
	replaced("writing to it", `cat $from >$file`)
	replaced("renaming another over it", `cp $from $file.new && mv $file.new $file`)
	replaced("removing the file and creating it again", `rm $file && cp $from $file`)
	s.sh("", `dir=$(dirname `+s.file+`)/data; mkdir -p $dir; cp `+two+` $dir/topology.yaml; ln -s data $dir/../..data
		ln -s ..data/topology.yaml `+s.file+`.link && mv `+s.file+`.link `+s.file)
	// As with a ConfigMap, a symbolic link to a directory is replaced.
	replaced("replacing a symbolic link to the file's directory", `dir=$(dirname $file)/$(date +%s%N); mkdir $dir && cp $from $dir/topology.yaml && ln -s $dir $file.tmp && mv -T $file.tmp $(dirname $file)/..data`)
	if err := untouched(before, s.flows(bridge), nil); err != nil {
		t.Error(err)
	}
}

// A half-written file is never loaded, even if half a list of ports is a valid shorter list.
// The time until the other half is written does not matter.
func TestHalfWrittenFileIsNotLoaded(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	s.aged(bridge)
	before := s.flows(bridge)
	half := strings.Index(twoNetworks, "  - {id: vm2")
	if half < 0 {
		t.Fatal("no second port")
	}
	rest, err := s.WriteFile("rest", twoNetworks[half:]+vm3)
	if err != nil {
		t.Fatal(err)
	}
	first, err := s.WriteFile("first", twoNetworks[:half])
	if err != nil {
		t.Fatal(err)
	}
	s.sh("", "mkfifo /run/go")
	writer, err := s.Start("sh", "-ec", "exec 3>"+s.file+"; cat "+first+" >&3; read x </run/go; cat "+rest+" >&3")
	if err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP) // a reload on request does not load half of the file either
	s.sh("", "touch "+s.file)
	s.eventually("the first half to be written", func() error {
		if got := s.sh("", "cat "+s.file); got != twoNetworks[:half] {
			return errors.New(got)
		}
		return nil
	})
	// Ten seconds later the daemon logs that it waits.
	s.logged("a process has had the file open for writing for long")
	if n := s.status().Intent.Ports; n != 2 {
		t.Errorf("half a file was loaded: %d ports", n)
	}
	mustBeUntouched(t, before, s.flows(bridge))
	pingTTL(t, vm1, vm2.IP(), 63)
	s.sh("", "echo go >/run/go")
	if code, err := writer.Wait(within(t)); err != nil || code != 0 {
		t.Fatal(code, err)
	}
	s.takenIn(3)
}

// The file and the objects written through the API form one intent. The API cannot change the
// file's objects. If both have an object, the file's version is used.
func TestFileAndStore(t *testing.T) {
	t.Parallel()
	s := ready(t, twoNetworks)
	vm1, third := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm3", "10.0.2.11"))
	const body = `{"network": "green", "mac": "02:00:00:00:02:11", "addresses": ["10.0.2.11"]}`
	s.must(201, "PUT", "/v1/ports/vm3"+applied, body)
	tap := s.recordIn(netns, blueTap, isIPv4)
	pingTTL(t, vm1, third.IP(), 63)
	seen(t, tap, "the tap", 0, "the packets to the port", echo("", third.IP()))
	if a := s.must(403, "DELETE", "/v1/ports/vm2", ""); !strings.Contains(a.text, "declared in "+s.file) {
		t.Error(a.text)
	}
	s.must(403, "PUT", "/v1/routers/r1", `{}`)
	if got := s.ofdvr(0, "status"); !strings.Contains(got, "topology "+s.file+": 2 networks, 1 router, 2 ports\nstore /var/lib/ofdvr/intent.db: 0 networks, 0 routers, 1 port\n") {
		t.Error(got)
	}

	// A file that conflicts with the store changes nothing, and the log has the position.
	s.write(twoNetworks + `  - {id: vm4, network: green, mac: "02:00:00:00:02:11"}` + "\n")
	s.logged(`topology.yaml:13:36: ports[2].mac: mac 02:00:00:00:02:11 is already used by port \"vm3\" on network \"green\"`)
	if n := s.scrape()["ofdvr_topology_file_mistakes"]; n != 1 {
		t.Errorf("%v mistakes are counted", n)
	}

	// If the file gets an object of the API, no packet is lost. From then on the object belongs to
	// the file.
	s.aged(bridge)
	flows := s.flows(bridge)
	s.write(twoNetworks + vm3)
	s.takenIn(3)
	s.eventually("the problem to end", func() error {
		if p := s.status().Problems; len(p) > 0 {
			return errors.New(p[0])
		}
		return nil
	})
	mustBeUntouched(t, flows, s.flows(bridge))
	s.must(403, "DELETE", "/v1/ports/vm3", "")
	s.write(twoNetworks)
	s.takenIn(2)
	s.stop()
	s.serve()
	s.settle()
	if n := s.status().Intent.Ports; n != 2 {
		t.Errorf("%d ports after a restart", n)
	}
}

// Names, descriptions and labels change no flow, and no row of the database.
func TestNamesChangeNoFlow(t *testing.T) {
	t.Parallel()
	s, vm1, vm2 := pair(t)
	ping(t, vm1, vm2.IP(), lab.PingOptions{Count: 3})
	s.aged(bridge)
	before, counted := s.flows(bridge), s.scrape()
	named := twoNetworks
	for id, meta := range map[string]string{"id: blue,": "name: Büro", "id: r1": "name: edge", "id: vm1,": "name: web, labels: {tier: web, example.com/rack: 7}"} {
		end := ""
		if id == "id: r1" {
			meta = "\n    " + meta + "\n    description: between the two\n    labels: {site: a}"
		} else {
			meta, end = " "+meta, ","
		}
		if !strings.Contains(named, id) {
			t.Fatalf("the topology has no %q", id)
		}
		named = strings.Replace(named, id, id+meta+end, 1)
	}
	s.reload(named)
	mustBeUntouched(t, before, s.flows(bridge))
	now := s.scrape()
	for _, operation := range []string{"add", "modify", "delete"} {
		name := fmt.Sprintf("ofdvr_flow_mods_total{operation=%q}", operation)
		if n := now[name] - counted[name]; n != 0 {
			t.Errorf("%s grew by %v", name, n)
		}
	}
	pingTTL(t, vm1, vm2.IP(), 63)
}
