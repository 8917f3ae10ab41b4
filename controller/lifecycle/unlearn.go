package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// While a machine is on another host, its broadcasts make the integration bridge learn its MAC
// address on the port to the fabric bridge. When the machine comes to this host and is silent, the
// bridge would send packets for it back to the fabric bridge, which drops them, until the entry
// expires after 300 s.

// arrive adds the ports that are plugged in now, and were not before, to database.arrived.
func (d *database) arrive(before []string) {
	for _, id := range d.plugged {
		if _, known := slices.BinarySearch(before, id); !known {
			d.arrived = append(d.arrived, id)
		}
	}
}

// unlearn deletes the MAC table's entries of machines that have come to this host, on ports to the
// fabric bridge. After an error, the next pass tries again.
func (p *pass) unlearn(ctx context.Context) {
	d := &p.database
	if len(d.arrived) == 0 || !d.tagged() {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, ovstrace.AnswerTime, fmt.Errorf("no answer in %v", ovstrace.AnswerTime))
	defer cancel()
	err := p.unlearnAll(ctx, d.arrived)
	if err == nil {
		d.arrived = nil
		p.resolved(cannotUnlearn, routing.FabricBridge)
		return
	}
	d.again(time.Now())
	err = fmt.Errorf("delete stale entries of the MAC table of bridge %s: machines that have come to this host may not be reached until they send a packet: %w", p.cfg.IntegrationBridge, err)
	d.problems.add(routing.FabricBridge, err.Error())
	p.warn(cannotUnlearn, routing.FabricBridge, err)
}

func (p *pass) unlearnAll(ctx context.Context, arrived []string) error {
	conn, err := ovstrace.DialBeside(ctx, p.cfg.OVSDB)
	if err != nil {
		return err
	}
	defer conn.Close()
	table, err := ovstrace.MACTable(ctx, conn, p.cfg.IntegrationBridge)
	if err != nil {
		return err
	}
	// The command fdb/del deletes only static entries (OVS
	// ofproto/ofproto-dpif.c). Therefore each entry is made static first. If
	// the daemon ends in between, it finds the entry when it starts again.
	for _, e := range p.stale(arrived, table) {
		vlan, mac := strconv.Itoa(int(e.VLAN)), e.MAC.String()
		if _, err := ovstrace.Call(ctx, conn, "fdb/add", p.cfg.IntegrationBridge, e.port, vlan, mac); err != nil {
			return err
		}
		if _, err := ovstrace.Call(ctx, conn, "fdb/del", p.cfg.IntegrationBridge, vlan, mac); err != nil {
			return err
		}
	}
	return nil
}

// A staleEntry is an entry of a MAC table for a machine of this host, on a port to the fabric
// bridge.
type staleEntry struct {
	ovstrace.MACEntry
	port string // the port of the integration bridge to the fabric bridge
}

// stale returns the stale entries of a MAC table for machines with the given IDs.
func (p *pass) stale(ids []string, table []ovstrace.MACEntry) (out []staleEntry) {
	for _, id := range ids {
		q, ok := p.want.Index.Port(id)
		if !ok {
			continue
		}
		n, _ := p.want.Index.Network(q.Network)
		peer := n.FabricPeer()
		row, ok := p.database.rows.interfaces[port{p.cfg.IntegrationBridge, peer}]
		for _, e := range table {
			if ok && e.MAC == q.MAC && e.Port == ofproto.PortNo(row.OFPort) {
				out = append(out, staleEntry{e, peer})
			}
		}
	}
	return out
}
