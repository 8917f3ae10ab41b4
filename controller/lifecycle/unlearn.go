package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/ovstrace"
	"github.com/ofdvr/ofdvr/ofproto"
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
// fabric bridge.
func (p *pass) unlearn(ctx context.Context) {
	d := &p.database
	if len(d.arrived) == 0 || !d.tagged() {
		return
	}
	arrived := d.arrived
	d.arrived = nil
	ctx, cancel := context.WithTimeoutCause(ctx, ovstrace.AnswerTime, fmt.Errorf("no answer in %v", ovstrace.AnswerTime))
	defer cancel()
	conn, err := ovstrace.DialBeside(ctx, p.cfg.OVSDB)
	if err != nil {
		p.log.Warn("could not read the MAC table of the integration bridge", zap.Error(err))
		return
	}
	defer conn.Close()
	table, err := ovstrace.MACTable(ctx, conn, p.cfg.IntegrationBridge)
	if err != nil {
		p.log.Warn("could not read the MAC table of the integration bridge", zap.Error(err))
		return
	}
	for _, e := range p.stale(arrived, table) {
		if err := p.forget(ctx, e); err != nil {
			p.log.Warn("could not delete an entry of the integration bridge's MAC table: packets may not reach the machine until it sends one",
				zap.Stringer("mac", e.MAC), zap.Uint16("vlan", e.VLAN), zap.Error(err))
		}
	}
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

// forget deletes an entry of the integration bridge's MAC table. ovs-vswitchd deletes only static
// entries (fdb/del, ofproto/ofproto-dpif.c), so the entry becomes one before.
func (p *pass) forget(ctx context.Context, e staleEntry) error {
	vlan, mac := strconv.Itoa(int(e.VLAN)), e.MAC.String()
	return errors.Join(p.command(ctx, "fdb/add", p.cfg.IntegrationBridge, e.port, vlan, mac), p.command(ctx, "fdb/del", p.cfg.IntegrationBridge, vlan, mac))
}

// command runs a command of ovs-vswitchd.
func (p *pass) command(ctx context.Context, command string, args ...string) error {
	conn, err := ovstrace.DialBeside(ctx, p.cfg.OVSDB)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = ovstrace.Call(ctx, conn, command, args...)
	return err
}
