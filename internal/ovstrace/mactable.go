package ovstrace

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A MACEntry is an entry of a bridge's MAC table. It has a source address of recent packets.
type MACEntry struct {
	Port ofproto.PortNo // the port of the packets; for a bond, its first port
	VLAN uint16         // 0 if the packets and their port have no tag
	MAC  ofproto.MAC
	Age  time.Duration // time since the last packet; 0 for an entry that does not age
}

// MACTable reads the MAC table of a bridge from ovs-vswitchd (fdb/show of ovs-appctl), over a
// connection to its control socket.
func MACTable(ctx context.Context, conn net.Conn, bridge string) ([]MACEntry, error) {
	text, err := Call(ctx, conn, "fdb/show", bridge)
	if err != nil {
		return nil, fmt.Errorf("read the MAC table of bridge %s: %w", bridge, err)
	}
	entries, err := ParseMACTable(text)
	if err != nil {
		return nil, fmt.Errorf("read the MAC table of bridge %s: %w", bridge, err)
	}
	return entries, nil
}

// ParseMACTable parses the output of fdb/show. The output has a heading, and a line for each
// entry with port, VLAN, MAC address and age in seconds (ofproto/ofproto-dpif.c).
func ParseMACTable(text string) ([]MACEntry, error) {
	var out []MACEntry
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		if len(w) == 0 || w[0] == "port" {
			continue
		}
		e, err := parseMACEntry(w)
		if err != nil {
			return nil, fmt.Errorf("%w in line %q", err, strings.TrimSpace(line))
		}
		out = append(out, e)
	}
	return out, nil
}

func parseMACEntry(w []string) (e MACEntry, err error) {
	if len(w) != 4 {
		return e, fmt.Errorf("want 4 words, not %d,", len(w))
	}
	port := uint64(ofproto.PortLocal)
	if w[0] != "LOCAL" {
		if port, err = strconv.ParseUint(w[0], 10, 32); err != nil {
			return e, fmt.Errorf("no port number %q", w[0])
		}
	}
	vlan, err := strconv.ParseUint(w[1], 10, 12)
	if err != nil {
		return e, fmt.Errorf("no VLAN %q", w[1])
	}
	if e.MAC, err = ofproto.ParseMAC(w[2]); err != nil {
		return e, err
	}
	if age, err := strconv.ParseUint(w[3], 10, 31); err == nil { // without a number, the entry is static
		e.Age = time.Duration(age) * time.Second
	}
	e.Port, e.VLAN = ofproto.PortNo(port), uint16(vlan)
	return e, nil
}
