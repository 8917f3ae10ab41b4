package e2e

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/test/lab"
)

// extensions matches the text of flows that are not plain OpenFlow 1.3.
var extensions = regexp.MustCompile(`move:|load:|check_pkt_larger|NXM_|nw_ttl=|ip_frag=|nd_options_type|nd_reserved|reg\d+=`)

// badExperimenter is OFPBAC_BAD_EXPERIMENTER.
const badExperimenter ofproto.ErrorCode = 2<<16 | 2

// An oldSwitch is a proxy between a bridge and the daemon. Like a switch without extensions, it
// refuses messages that need them. It passes all other messages to the bridge.
type oldSwitch struct {
	refused atomic.Int32
}

// stand listens for the bridge until the test ends, and returns the address.
func (o *oldSwitch) stand(s *site) string {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ln, err := s.ListenIn(ctx, "", "tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			bridge, err := ln.Accept()
			if err != nil {
				return
			}
			daemon, err := s.Dial(ctx, "tcp", "127.0.0.1:6653")
			if err != nil {
				bridge.Close() // it reconnects
				continue
			}
			o.pass(ctx, bridge, daemon)
		}
	}()
	s.t.Cleanup(func() {
		stop()
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

// pass relays messages until one side closes.
func (o *oldSwitch) pass(ctx context.Context, bridge, daemon net.Conn) {
	end := func() {
		bridge.Close()
		daemon.Close()
	}
	defer context.AfterFunc(ctx, end)()
	back := make(chan []byte, 1000) // messages to the daemon: from the bridge, and refusals by the proxy
	go func() {
		for {
			m, err := message(bridge)
			if err != nil {
				end()
				close(back)
				return
			}
			back <- m
		}
	}()
	refusals := make(chan []byte, 1000)
	go func() {
		defer end()
		for {
			m, err := message(daemon)
			if err != nil {
				return
			}
			if o.knows(m) {
				bridge.Write(m)
				continue
			}
			o.refused.Add(1)
			refusals <- ofproto.ErrorMessage{Code: badExperimenter, Data: string(m[:min(len(m), 64)])}.Append(nil, binary.BigEndian.Uint32(m[4:]))
		}
	}()
	for {
		select {
		case m := <-refusals: // a refusal must precede the reply to a later barrier
			daemon.Write(m)
			continue
		default:
		}
		select {
		case m := <-refusals:
			daemon.Write(m)
		case m, ok := <-back:
			if !ok {
				return
			}
			for len(refusals) > 0 {
				daemon.Write(<-refusals)
			}
			daemon.Write(m)
		}
	}
}

// message reads one OpenFlow message.
func message(r io.Reader) ([]byte, error) {
	m := make([]byte, ofproto.HeaderLen)
	if _, err := io.ReadFull(r, m); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(m[2:]))
	if n < len(m) {
		return nil, errors.New("too short")
	}
	m = append(m, make([]byte, n-len(m))...)
	_, err := io.ReadFull(r, m[ofproto.HeaderLen:])
	return m, err
}

// knows reports whether a switch without extensions understands m.
func (o *oldSwitch) knows(m []byte) bool {
	decoded, err := ofproto.Decode(m)
	if err != nil {
		return true
	}
	if add, ok := decoded.(ofproto.BundleAdd); ok {
		decoded = add.Message
	}
	switch mod := decoded.(type) {
	case ofproto.FlowMod:
		return !extensions.MatchString(mod.Flow.String())
	case ofproto.GroupMod, ofproto.MeterMod:
		return false
	}
	return true
}

// A switch without extensions of OpenFlow 1.3 can route. The kernel handles the packets that the
// switch cannot handle. The status lists the missing capabilities.
func TestSwitchWithoutExtensions(t *testing.T) {
	t.Parallel()
	s := bare(t, byName)
	s.handMade()
	vm1, vm2 := s.plug(vm("vm1", "10.0.1.10")), s.plug(vm("vm2", "10.0.2.10"))
	var old oldSwitch
	s.serve("--ovsdb", "")
	s.vsctl("set-controller", "br-x", "tcp:"+old.stand(s), "--", "set", "controller", "br-x", "max_backoff=1000")
	s.settle()
	if old.refused.Load() == 0 {
		t.Fatal("nothing was refused")
	}
	if got := s.sh("", "ovs-ofctl -O OpenFlow13 dump-flows br-x"); extensions.MatchString(got) || strings.Contains(got, "table=250") {
		t.Errorf("the bridge has flows with extensions:\n%s", got)
	}
	tap := s.recordIn("mine", "t-blue", nil)
	pingTTL(t, vm1, vm2.IP(), 63)
	pingTTL(t, vm1, "10.0.2.1", 64)
	await(t, tap, "the ARP request at the tap", arpFor(1, "10.0.1.1"))
	await(t, tap, "the ping to the gateway at the tap", echo(vm1.IP(), "10.0.2.1"))
	seen(t, tap, "the tap", 0, "routed packets", echo(vm1.IP(), vm2.IP()))
	if got := s.ofdvr(0, "status", "-o", "json"); strings.Contains(got, "capabilities") {
		t.Errorf("status lists capabilities:\n%s", got)
	}
	s.logged("switch lacks capabilities, the kernel routes the packets that need them")

	// Without the proxy, the same bridge has all capabilities.
	s.vsctl("set-controller", "br-x", "tcp:127.0.0.1:6653", "--", "set", "controller", "br-x", "max_backoff=1000")
	want := "arp_responder nd_responder echo_responder match_ttl check_pkt_larger"
	if lab.OnKernel(t, "the switch cannot answer solicitations: the datapath cannot write the options of an advertisement") {
		want = strings.Replace(want, "nd_responder ", "", 1)
	}
	s.eventually("the daemon to probe the switch again", func() error {
		var st struct {
			Routers []struct{ Capabilities []string }
		}
		if err := json.Unmarshal([]byte(s.ofdvr(0, "status", "-o", "json")), &st); err != nil {
			return err
		}
		if got := strings.Join(st.Routers[0].Capabilities, " "); !strings.HasPrefix(got, want) {
			return fmt.Errorf("its capabilities are %q", got)
		}
		return nil
	})
	s.settle()
	tap = s.recordIn("mine", "t-blue", nil)
	pingTTL(t, vm1, "10.0.2.1", 64)
	seen(t, tap, "the tap", 0, "pings", echo("", ""))
}
