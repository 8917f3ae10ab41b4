package libof_test

import (
	"fmt"
	"net"

	"github.com/contiv/libOpenflow/openflow13"

	"github.com/ofdvr/ofdvr/ofproto/libof"
)

// What FlowMods returns is what ofconn.Conn.Commit and Program take.
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
