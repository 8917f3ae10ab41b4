package hostile

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
)

// requests returns a client's requests for a seed.
func requests(_ *testing.T, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var all []byte
	for range 1000 {
		all = append(all, FuzzedRequest(r)...)
	}
	return all
}

// conversations returns the messages of peers for a seed, to a daemon that sends every request.
func conversations(t *testing.T, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var all bytes.Buffer
	for range 100 {
		daemon, peer := net.Pipe()
		attack := Mutated(r, []string{"a", "b"}, "br-a", "br-b")
		var asked []byte
		for xid, m := range []ofproto.Message{
			ofproto.Hello13(), ofproto.FeaturesRequest{}, ofproto.BarrierRequest{}, ofproto.RoleRequest{}, ofproto.Echo{},
			ofproto.Multipart{Body: ofproto.PortDescRequest{}}, ofproto.Multipart{Body: ofproto.FlowStatsRequest(ofproto.AllFlows())},
		} {
			asked = m.Append(asked, uint32(xid))
		}
		ended := make(chan struct{})
		go func() {
			attack(peer)
			peer.Close()
			close(ended)
		}()
		go func() {
			daemon.Write(asked)
			daemon.Write([]byte{4, 14, 0, 8, 0, 0, 0, 0}) // truncated: the peer ends
		}()
		if _, err := io.Copy(&all, daemon); err != nil {
			t.Fatal(err)
		}
		<-ended
	}
	return all.Bytes()
}

// The same seed gives the same attacks, and another seed gives others.
func TestAttacksDependOnSeed(t *testing.T) {
	for name, attacks := range map[string]func(*testing.T, uint64) []byte{"requests": requests, "conversations": conversations} {
		a, again, b := attacks(t, 1), attacks(t, 1), attacks(t, 2)
		if !bytes.Equal(a, again) || bytes.Equal(a, b) || len(a) < 10_000 {
			t.Errorf("%s: got %d bytes, %d bytes with the same seed, and %d bytes with another seed", name, len(a), len(again), len(b))
		}
	}
}

// Each of the endless flows is different and has the cookie.
func TestEndlessFlows(t *testing.T) {
	daemon, peer := net.Pipe()
	defer daemon.Close()
	go EndlessFlows(7)(peer, 5, ofproto.Multipart{Body: ofproto.FlowStatsRequest(ofproto.AllFlows())})
	seen := map[ofproto.FlowKey]bool{}
	for range 200 {
		header := make([]byte, 8)
		if _, err := io.ReadFull(daemon, header); err != nil {
			t.Fatal(err)
		}
		message := append(header, make([]byte, int(header[2])<<8+int(header[3])-len(header))...)
		if _, err := io.ReadFull(daemon, message[len(header):]); err != nil {
			t.Fatal(err)
		}
		m, err := ofproto.Decode(message)
		if err != nil || header[7] != 5 {
			t.Fatal(header, err)
		}
		for _, f := range m.(ofproto.Multipart).Body.(ofproto.FlowStatsReply) {
			if seen[f.FlowKey] || f.Cookie != 7 || f.Priority != uint16(len(seen)+1) {
				t.Fatalf("flow %d is %+v", len(seen), f)
			}
			seen[f.FlowKey] = true
		}
	}
	if len(seen) != 200*400 {
		t.Errorf("%d flows", len(seen))
	}
}
