package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ofdvr/ofdvr/test/lab"
)

// A machine that moves and then sends nothing is reached on its new host: the integration bridge
// there forgets that packets of the machine came from other hosts.
func TestSilentMachineMoves(t *testing.T) {
	t.Parallel()
	f := readyFleet(t, 2, blueAndGreen, strings.Fields("b11 b21"))
	h2, m := f.hosts[1], f.machines["b11"].MachineConfig
	learned := func(want bool) {
		t.Helper()
		h2.eventually(fmt.Sprintf("br-int to know the machine: %v", want), func() error {
			if table := lab.Run(t, h2.Host, "ovs-appctl", "fdb/show", lab.IntegrationBridge); strings.Contains(table, m.MAC) != want {
				return fmt.Errorf("the table is\n%s", table)
			}
			return nil
		})
	}
	f.datagram(t, "b11", datagram{eth: broadcast, dst: "255.255.255.255", from: 7, to: 7}, 1)
	learned(true)
	f.unplug("b11")
	lab.Run(t, h2.Host, "ovs-vsctl", "add-port", lab.IntegrationBridge, "silent", "--", "set", "interface", "silent", "type=internal", "external_ids:iface-id=b11")
	learned(false)
}
