package libof_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/contiv/libOpenflow/openflow13"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/ofproto/libof"
	"github.com/ofdvr/ofdvr/ofproto/ofconn"
)

// The example replaces all flows of a bridge by one flow that makes it an ordinary switch. It
// uses one bundle, so the bridge is never without flows.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	nc, err := net.Dial("unix", "/run/openvswitch/br0.mgmt")
	if err != nil {
		log.Fatal(err)
	}
	conn := ofconn.New(nc, ofconn.Config{})
	go conn.Run(ctx, func(ofproto.Message) {})

	all := openflow13.NewFlowMod()
	all.Command, all.TableId = openflow13.FC_DELETE, 0xff
	normal := openflow13.NewFlowMod()
	do := openflow13.NewInstrApplyActions()
	do.AddAction(openflow13.NewActionOutput(openflow13.P_NORMAL), false)
	normal.AddInstruction(do)

	mods, err := libof.FlowMods(all, normal)
	if err != nil {
		log.Fatal(err)
	}
	if err := conn.Commit(ctx, mods); err != nil {
		log.Fatal(err)
	}
}

// The result of FlowMods is an argument of ofconn.Conn.Commit and Program.
func ExampleFlowMods() {
	host := net.IPv4(10, 0, 0, 7)
	f := openflow13.NewFlowMod()
	f.Priority = 100
	f.Match.AddField(*openflow13.NewEthTypeField(0x800))
	f.Match.AddField(*openflow13.NewIpv4DstField(host, nil))
	do := openflow13.NewInstrApplyActions()
	do.AddAction(openflow13.NewActionDecNwTtl(), false)
	do.AddAction(openflow13.NewActionOutput(3), false)
	f.AddInstruction(do)

	mods, err := libof.FlowMods(f)
	fmt.Println(mods, err)
	// Output:
	// [add cookie=0x0, table=0, priority=100,ip,nw_dst=10.0.0.7 actions=dec_ttl,output:3] <nil>
}
