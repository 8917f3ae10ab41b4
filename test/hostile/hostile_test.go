package hostile

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/ofdvr/ofdvr/ofproto"
)

// requests returns what a client sends whose attacks a seed decides.
func requests(_ *testing.T, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var all []byte
	for range 1000 {
		all = append(all, FuzzedRequest(r)...)
	}
	return all
}

// conversations returns what peers send whose attacks a seed decides, to a daemon that asks for
// everything.
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
			daemon.Write([]byte{4, 14, 0, 8, 0, 0, 0, 0}) // cut off: the peer ends
		}()
		if _, err := io.Copy(&all, daemon); err != nil {
			t.Fatal(err)
		}
		<-ended
	}
	return all.Bytes()
}

// The same seed makes the same attacks, and another one makes others.
func TestSeedDecides(t *testing.T) {
	for name, attacks := range map[string]func(*testing.T, uint64) []byte{"requests": requests, "conversations": conversations} {
		a, again, b := attacks(t, 1), attacks(t, 1), attacks(t, 2)
		if !bytes.Equal(a, again) || bytes.Equal(a, b) || len(a) < 10_000 {
			t.Errorf("%s: %d bytes, %d bytes, and with another seed %d bytes", name, len(a), len(again), len(b))
		}
	}
}
