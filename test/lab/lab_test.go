package lab_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/ofdvr/ofdvr/test/lab"
)

func TestMachinesOnOneVLANReachEachOther(t *testing.T) {
	h := lab.Boot(t)
	vm1 := lab.Plug(t, h, lab.MachineConfig{
		Name: "vm1", VLAN: 1, MAC: "02:00:00:00:01:10", MTU: 1400,
		Addresses: []string{"10.0.1.10/24", "fd00:1::10/64"},
		Gateways:  []string{"10.0.1.1", "fd00:1::1"},
	})
	vm2 := lab.Plug(t, h, lab.MachineConfig{Name: "vm2", VLAN: 1, Addresses: []string{"10.0.1.11/24", "fd00:1::11/64"}})

	for _, dst := range []string{"10.0.1.11", "fd00:1::11"} {
		r, err := vm1.Ping(t.Context(), dst, lab.PingOptions{Count: 2})
		if err != nil {
			t.Fatal(err)
		}
		if r.Sent != 2 || r.Received != 2 || len(r.Replies) != 2 {
			t.Fatalf("ping %s: %+v", dst, r)
		}
		if p := r.Replies[1]; p.From != dst || p.Seq != 2 || p.TTL != 64 || p.RTT <= 0 || p.RTT > time.Second {
			t.Errorf("ping %s: second reply is %+v", dst, p)
		}
	}

	link := lab.Run(t, vm1, "ip", "-o", "link", "show", "eth0")
	for _, want := range []string{"mtu 1400", vm1.MAC, "state UP"} {
		if !strings.Contains(link, want) {
			t.Errorf("vm1's interface lacks %q: %s", want, link)
		}
	}
	for _, f := range []string{"-4", "-6"} {
		if got := lab.Run(t, vm1, "ip", f, "route", "show", "default"); !strings.Contains(got, "via") {
			t.Errorf("ip %s has no default route: %q", f, got)
		}
	}

	if err := vm2.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := vm1.Ping(t.Context(), "10.0.1.11", lab.PingOptions{Wait: 50 * time.Millisecond}); !errors.Is(err, lab.ErrNoReply) {
		t.Errorf("a removed machine: %v", err)
	}
}

func TestMachinesOnDifferentVLANsDoNotReachEachOther(t *testing.T) {
	h := lab.Boot(t)
	// These names are also keywords of ip(8).
	a := lab.Plug(t, h, lab.MachineConfig{Name: "a", VLAN: 1, Addresses: []string{"10.0.1.10/24"}})
	lab.Plug(t, h, lab.MachineConfig{Name: "dev", VLAN: 2, Addresses: []string{"10.0.1.11/24"}})
	r, err := a.Ping(t.Context(), "10.0.1.11", lab.PingOptions{Wait: 100 * time.Millisecond})
	if !errors.Is(err, lab.ErrNoReply) || r.Sent != 1 || r.Received != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestHostTmpIsIsolated(t *testing.T) {
	h := lab.Boot(t)
	if got := lab.Run(t, h, "stat", "-f", "-c", "%T", "/tmp"); got != "overlayfs\n" {
		why := "/tmp is on " + strings.TrimSpace(got) + ": no overlayfs here"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	f, err := os.CreateTemp("/tmp", "ofdvr-lab-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	lab.Run(t, h, "rm", f.Name())
	if _, err := os.Stat(f.Name()); err != nil {
		t.Error(err)
	}
}

// TestDaemon runs a script in place of the daemon.
func TestDaemon(t *testing.T) {
	h := lab.Boot(t)
	path, err := h.WriteFile("fake", `#!/bin/sh
echo "did $*"
[ "$1" = serve ] || exit 0
trap 'echo reloaded' HUP
trap 'exit 7' TERM
echo ready
while :; do sleep 0.01; done
`)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OFDVR_BINARY", path)
	if out, err := h.Ofdvr(t.Context(), "status", "-o", "json"); err != nil || out != "did status -o json\n" {
		t.Errorf("got %q, %v", out, err)
	}
	for range 2 {
		d := lab.Serve(t, h, "serve", "--topology", path)
		logs := func(want string) func() error {
			return func() error {
				if !strings.Contains(d.Log(), want) {
					return fmt.Errorf("the log is %q", d.Log())
				}
				return nil
			}
		}
		lab.Eventually(t, 5*time.Second, "the daemon", logs("did serve --topology "+path+"\nready\n"))
		if err := d.Signal(syscall.SIGHUP); err != nil {
			t.Error(err)
		}
		lab.Eventually(t, 5*time.Second, "the reload", logs("reloaded"))
		for range 2 { // the second call finds a process that has already stopped
			if code, err := d.Stop(t.Context()); err != nil || code != 7 {
				t.Errorf("stopped with status %d, %v", code, err)
			}
		}
	}
}

func TestCaptureAndSend(t *testing.T) {
	h := lab.Boot(t)
	vm := lab.Plug(t, h, lab.MachineConfig{Name: "vm", MAC: "02:00:00:00:00:01"})
	sink := lab.Plug(t, h, lab.MachineConfig{Name: "sink", MAC: "02:00:00:00:00:02"})
	ours := func(f lab.Frame) bool { return f.Packet().LinkLayer().(*layers.Ethernet).SrcMAC[5] == 0xee }
	sent, received := lab.Record(t, vm, ours), lab.Record(t, sink, ours)

	// Packet sockets receive frames without the VLAN tag. VLAN 7 passes because the ports are
	// trunks.
	mac := func(last byte) []byte { return []byte{2, 0, 0, 0, 0, last} }
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{},
		&layers.Ethernet{SrcMAC: mac(0xee), DstMAC: mac(2), EthernetType: layers.EthernetTypeDot1Q},
		&layers.Dot1Q{VLANIdentifier: 7, Type: 0x88b5},
		gopacket.Payload(make([]byte, 50)))
	if err != nil {
		t.Fatal(err)
	}
	if err := vm.Send(buf.Bytes()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	tagged := func(f lab.Frame) bool {
		tag, ok := f.Packet().Layer(layers.LayerTypeDot1Q).(*layers.Dot1Q)
		return ok && tag.VLANIdentifier == 7
	}
	for _, c := range []struct {
		name     string
		capture  *lab.Capture
		outgoing bool
	}{{"sender", sent, true}, {"receiver", received, false}} {
		f, err := c.capture.Await(ctx, "the tagged frame", tagged)
		if err != nil {
			t.Fatal(err)
		}
		if string(f.Data) != string(buf.Bytes()) || f.Outgoing != c.outgoing {
			t.Errorf("%s: got outgoing %v\n% x, want %v\n% x", c.name, f.Outgoing, f.Data, c.outgoing, buf.Bytes())
		}
	}

	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = received.Await(over, "a unicorn", func(lab.Frame) bool { return false })
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "a unicorn, saw 1 other") {
		t.Errorf("wait for a frame that never comes: %v", err)
	}
	if err := received.Close(); err != nil {
		t.Error(err)
	}
	if received.Count(tagged) != 1 {
		t.Errorf("recorded %d frames", len(received.Frames()))
	}
}

func TestHostsDoNotDisturbEachOther(t *testing.T) {
	for n := range 2 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			h := lab.Boot(t)
			name := fmt.Sprintf("only%d", n) // a different name on each host; the addresses are the same
			vm1 := lab.Plug(t, h, lab.MachineConfig{Name: name, VLAN: 1, Addresses: []string{"10.0.1.10/24"}})
			lab.Plug(t, h, lab.MachineConfig{Name: "vm2", VLAN: 1, Addresses: []string{"10.0.1.11/24"}})
			if _, err := vm1.Ping(t.Context(), "10.0.1.11", lab.PingOptions{Count: 5}); err != nil {
				t.Error(err)
			}
			if got := lab.Run(t, h, "ovs-vsctl", "list-ports", "br-int"); got != name+"\nvm2\n" {
				t.Errorf("ports are %q", got)
			}
			if got := lab.Run(t, h, "ls", "/run/netns"); got != name+"\nvm2\n" {
				t.Errorf("namespaces are %q", got)
			}
			if got := lab.Run(t, h, "cat", "/proc/sys/net/ipv4/ip_forward"); got != "0\n" {
				t.Errorf("ip_forward is %q", got)
			}
		})
	}
}

func TestSwitchAndDatabaseRestart(t *testing.T) {
	h := lab.Boot(t)
	vm1 := lab.Plug(t, h, lab.MachineConfig{Name: "vm1", VLAN: 1, Addresses: []string{"10.0.1.10/24"}})
	lab.Plug(t, h, lab.MachineConfig{Name: "vm2", VLAN: 1, Addresses: []string{"10.0.1.11/24"}})

	h.Switch().Kill()
	if code, err := h.Switch().Wait(t.Context()); err != nil || code != 137 {
		t.Errorf("killed switch: status %d, %v", code, err)
	}
	if _, err := vm1.Ping(t.Context(), "10.0.1.11", lab.PingOptions{Wait: 50 * time.Millisecond}); !errors.Is(err, lab.ErrNoReply) {
		t.Errorf("without a switch: %v", err)
	}
	if err := h.StartSwitch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := vm1.Ping(t.Context(), "10.0.1.11", lab.PingOptions{}); err != nil {
		t.Error(err)
	}

	if code, err := h.Database().Stop(t.Context()); err != nil || code != 143 {
		t.Errorf("stopped database: status %d, %v", code, err)
	}
	if err := h.StartDatabase(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.AddBridge(t.Context(), "br-new"); err != nil { // needs both the switch and the database
		t.Error(err)
	}
}

func TestDialIntoTheHost(t *testing.T) {
	h := lab.Boot(t)
	vm := lab.Plug(t, h, lab.MachineConfig{Name: "vm", Addresses: []string{"10.0.1.10/24"}})
	path, err := h.WriteFile("index.html", "hello\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := lab.Run(t, h, "cat", path); got != "hello\n" {
		t.Fatalf("the host reads %q", got)
	}
	server, err := vm.Start("python3", "-m", "http.server", "--bind", "10.0.1.10", "--directory", h.Dir(), "8000")
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: vm.Dial, DisableKeepAlives: true}}
	lab.Eventually(t, 10*time.Second, "the page", func() error {
		resp, err := client.Get("http://10.0.1.10:8000/index.html")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello\n" {
			return fmt.Errorf("got %q, %v", body, err)
		}
		return nil
	})
	if _, err := h.HTTP().Get("http://10.0.1.10:8000/"); err == nil {
		t.Error("the host's own namespace reaches the machine's network")
	}
	if !strings.Contains(server.Log(), "GET /index.html") {
		t.Errorf("the server's log is %q", server.Log())
	}
	if err := server.Signal(syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if _, err := server.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestErrorsNameTheCommandAndItsOutput(t *testing.T) {
	h := lab.Boot(t)
	_, err := h.Vsctl(t.Context(), "add-port", "br-none", "p 1")
	for _, want := range []string{`ovs-vsctl --timeout=20 add-port br-none "p 1"`, "no bridge named br-none"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	report := h.Report(t.Context())
	for _, want := range []string{"Bridge br-int", "flows of br-int", "actions=NORMAL", "ovs-vswitchd.log"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
}

// Any number of goroutines may enter the namespace of a machine, but the program itself stays
// outside. So it survives the removal of the machine, which kills all processes in that namespace.
func TestProgramStaysOutOfNamespaces(t *testing.T) {
	h := lab.Boot(t)
	m := lab.Plug(t, h, lab.MachineConfig{Name: "m", MAC: "02:00:00:00:00:01", Addresses: []string{"10.0.0.1/24"}})
	before, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				conn, err := m.ListenPacket(t.Context(), "udp4", "10.0.0.1:0")
				if err != nil {
					t.Error(err)
					return
				}
				conn.Close()
			})
		}
		all.Wait()
		if now, _ := os.Readlink("/proc/self/ns/net"); now != before {
			t.Fatalf("the program is in network namespace %s, was in %s", now, before)
		}
	}
	if err := m.Remove(t.Context()); err != nil {
		t.Fatal(err)
	}
}
