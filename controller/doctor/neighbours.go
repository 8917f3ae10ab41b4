package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// nearlyFull is the share of a neighbour table, in percent, above which its fill level is
// a problem.
const nearlyFull = 80

// neighbourTables checks the fill level of the kernel's neighbour tables. All network
// namespaces share them. The kernel reports the level only in the machine's own
// namespace.
func (e *examination) neighbourTables() {
	for _, t := range []struct{ name, stat, limit string }{
		{"ARP", "/proc/net/stat/arp_cache", "ipv4"}, {"IPv6", "/proc/net/stat/ndisc_cache", "ipv6"},
	} {
		key := "net." + t.limit + ".neigh.default.gc_thresh3"
		entries, most, err := neighbours(t.stat, "/proc/sys/"+strings.ReplaceAll(key, ".", "/"), os.ReadFile)
		switch {
		case err != nil: // this process is not in the machine's own namespace
		case 100*entries >= nearlyFull*most:
			e.find(Problem, "neighbours", "raise "+key+", and find the machine that scans: see ofdvr_interface_limited_packets_total, and ip neigh in the routers' namespaces",
				"the kernel's %s table has %d entries of at most %d, which all namespaces share: machines may not be found", t.name, entries, most)
		default:
			e.find(Fine, "neighbours", "", "the kernel's %s table has %d entries of at most %d", t.name, entries, most)
		}
	}
}

// neighbours returns the number of entries of a neighbour table and the maximum number. It reads
// them from the kernel's files stat and limit.
func neighbours(stat, limit string, read func(string) ([]byte, error)) (entries, most int, err error) {
	b, err := read(stat)
	if err != nil {
		return 0, 0, err
	}
	_, rows, _ := strings.Cut(string(b), "\n") // skip the column headers; the row of each processor has the same number
	first, _, _ := strings.Cut(strings.TrimSpace(rows), " ")
	n, err := strconv.ParseUint(first, 16, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", stat, err)
	}
	if b, err = read(limit); err != nil {
		return 0, 0, err
	}
	if most, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", limit, err)
	}
	return int(n), most, nil
}
