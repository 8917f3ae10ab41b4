package ofconn_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// A controller waits for a bridge (ovs-vsctl set-controller br0 tcp:127.0.0.1:6653), adds a flow
// to it, and lists its flows.
func Example() {
	ln, err := net.Listen("tcp", "127.0.0.1:6653")
	if err != nil {
		log.Fatal(err)
	}
	nc, err := ln.Accept()
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	conn := ofconn.New(nc, ofconn.Config{})
	ended := make(chan error, 1)
	go func() {
		ended <- conn.Run(ctx, func(m ofproto.Message) { log.Printf("unsolicited: %#v", m) })
	}()

	flow := ofproto.Flow{
		FlowKey: ofproto.FlowKey{Priority: 100, Match: ofproto.MatchOf(
			ofproto.IPv4(), ofproto.IPv4Dst(netip.MustParsePrefix("10.0.2.0/24")))},
		Do: ofproto.ApplyActions(ofproto.DecTTL{}, ofproto.Output{Port: 2}),
	}
	err = conn.Commit(ctx, []ofproto.FlowMod{{Command: ofproto.FlowAdd, Flow: flow}})
	var refused *ofconn.CommitError
	if errors.As(err, &refused) {
		log.Fatalf("the switch refused %v: %v", refused.Refused[0].Mod, refused.Refused[0].Code)
	} else if err != nil {
		log.Fatal(err)
	}
	flows, err := conn.Flows(ctx, ofproto.AllFlows())
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range flows {
		fmt.Println(f.Packets, f.Flow) // in ovs-ofctl syntax
	}
	stop()
	<-ended
}
