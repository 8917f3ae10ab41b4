package controller

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// limitMemory is the time for which the status reports a limit after it was last reached.
const limitMemory = 5 * time.Minute

// A LimitStatus reports that a limit was reached recently: a request or connection was refused
// or ended, or a part was left out. It is not a problem of the routers.
type LimitStatus struct {
	Limit  string    `json:"limit"` // metric and reason
	Says   string    `json:"says"`
	Remedy string    `json:"remedy"`
	Count  int       `json:"count"` // since Since
	Since  time.Time `json:"since"` // the start of the period; a pause longer than limitMemory begins a new one
	Last   time.Time `json:"last"`
	By     string    `json:"by,omitempty"` // the latest peer, client, bridge or interface
}

// String returns the text without the remedy.
func (l LimitStatus) String() string {
	const format = "2006-01-02 15:04:05"
	by := ""
	if l.By != "" {
		by = " (" + l.By + ")"
	}
	if l.Count == 1 {
		return fmt.Sprintf("%s: once, at %s%s", l.Says, l.Last.Format(format), by)
	}
	return fmt.Sprintf("%s: %d times since %s, the last time at %s%s", l.Says, l.Count, l.Since.Format(format), l.Last.Format(format), by)
}

// limits records the limits that were reached recently.
type limits struct {
	mu  sync.Mutex
	hit map[string]*LimitStatus // reached limits by name; at most one for each text
}

func (l *limits) reached(name, by string, n int, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.hit[name]
	if h == nil || now.Sub(h.Last) > limitMemory {
		says, remedy, _ := strings.Cut(cmp.Or(limitTexts[name], name), "; ")
		h = &LimitStatus{Limit: name, Says: says, Remedy: remedy, Since: now}
		if l.hit == nil {
			l.hit = make(map[string]*LimitStatus)
		}
		l.hit[name] = h
	}
	h.Count += n
	h.Last, h.By = now, by
}

// recent returns the limits that were reached recently, sorted by name.
func (l *limits) recent(now time.Time) (out []LimitStatus) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range l.hit {
		if now.Sub(h.Last) <= limitMemory {
			out = append(out, *h)
		}
	}
	slices.SortFunc(out, func(a, b LimitStatus) int { return cmp.Compare(a.Limit, b.Limit) })
	return out
}

// HTTPLimited records that a limit of the HTTP server at address was reached. reason is one of
// ofdvr_http_limited_total.
func (c *Controller) HTTPLimited(reason, address string) {
	c.limits.reached("http_limited "+reason, "a client of "+address, 1, time.Now())
}

// memoryShort records that a bridge reports more than fits into its share of memory.
func (c *Controller) memoryShort(bridge string) {
	c.limits.reached("switch_memory", fmt.Sprintf("bridge %q", bridge), 1, time.Now())
	if n, ok := c.refusals.sample("memory " + bridge); ok {
		says, remedy, _ := strings.Cut(limitTexts["switch_memory"], "; ")
		c.log.Warn(says+"; "+remedy, zap.String("bridge", bridge), zap.Int("unlogged", n))
	}
}

// limitTexts has for each limit the effect and, after "; ", the remedy.
var limitTexts = func() map[string]string {
	texts := map[string]string{
		"accept":        "a connection of a switch could not be accepted; see the log for the reason, such as too many open files, and which files ofdvr has open (ls /proc/$(pidof ofdvr)/fd)",
		"switch_memory": "a bridge reports more unwanted ports, flows, groups or meters than the daemon has memory for, so it reads them in parts, and ports lack names; find the bridge (ofdvr status, ovs-ofctl dump-flows), and delete the unwanted objects or stop the peer",

		"http_limited queue_timeout":        "a request waited too long for its turn and was refused; let fewer programs read this address, or let them read less often",
		"http_limited response_too_large":   "an answer would have been too large and was refused; read it at the API (--api)",
		"http_limited too_many_clients":     "a watcher was refused, because there are too many; close pages and programs that watch this address, or have them use the API (--api)",
		"http_limited too_many_connections": "a connection was closed for a new one, because too many were open; find the clients that have them (ss -tnp), and let these reuse connections",
		"http_limited read_timeout":         "a client that does not read was disconnected; check whether the client or its network hangs (ss -tnp)",
		"http_limited response_memory":      "a client that read an old answer slowly was disconnected to free memory; let fewer clients read large answers at the same time",
		"http_limited body_too_large":       "a request with a body that is too long was refused; send fewer objects at a time",
		"http_limited body_timeout":         "a request with a body that came too slowly was refused; check whether the client or its network hangs",
		"http_limited body_memory":          "a request was refused, because the bodies of all requests need too much memory, and its body was the slowest; let fewer clients send large bodies at the same time",
	}
	for _, r := range refusalReasons {
		texts["openflow_disconnects "+r.reason] = r.text
	}
	for kind, what := range map[string]string{"resolution": "ARP requests and neighbour solicitations", "echo": "echo requests to the router", "ttl": "packets whose TTL ran out"} {
		texts["interface_limited_packets "+kind] = what + " beyond answer_rate were dropped; see which machine sends them (ovs-tcpdump, or tcpdump on the tap), or raise the router's answer_rate"
	}
	texts["interface_limited_packets unknown"] = "packets to unknown addresses beyond unknown_rate were dropped; see which machine scans the subnet (tcpdump on the tap), or raise the router's unknown_rate"
	texts["fabric_dropped_packets flood"] = "broadcasts to other hosts beyond 1000 a second on one network were dropped; see which machine sends them (ofdvr flows br-fabric, tcpdump), or set broadcast: dhcp or none for the network"
	texts["fabric_dropped_packets crowded"] = "packets of machines that are not declared were dropped, because one network has more than 1024 of them on this host; see which machine sends from many MAC addresses (ovs-appctl fdb/show br-int, tcpdump), or declare the ports of the machines"
	return texts
}()
