package metrics

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// A State is what is asked for at each scrape, so that what has gone leaves no
// stale series behind.
type State struct {
	Revision     uint64         // of the intent
	Objects      map[string]int // of the intent, by kind
	Quarantined  map[string]int // objects that cannot be used, by kind
	FileMistakes int            // in the latest version of the topology file
	Store        *Store         // nil if there is none
	OVSDB        *OVSDB         // nil if none is configured
	Standby      bool
	Problems     int      // of the daemon as a whole
	States       []string // all that a Router's State can be
	Routers      []Router
	Interfaces   []Interface
	Routes       []Route
	Ports        []Port
}

// An OVSDB is the connection to ovsdb-server.
type OVSDB struct{ Connected bool }

// A Store is the state of the store.
type Store struct {
	Writable  bool
	Bytes     int64 // of its file
	FreeBytes int64 // of these, in pages that are free
}

// A Router is the state of one router.
type Router struct {
	ID              string
	Connected       bool
	Wanted, Present int // flows; Present of those that are wanted
	Refused         int // changes that the switch refuses
	Problems        int // that the status names
	Foreign         int // flows, groups and meters of others
	State           string
	Connection      *Connection // nil if its bridge is not connected
	Counters        *Counters   // nil while there are none
}

// A Connection is what is under way on the connection of a bridge.
type Connection struct {
	Unsent   int // bytes
	Requests int // that are not answered
}

// Counters are what the switch counted for a router as a whole.
type Counters struct {
	Age     float64           // in seconds; less than 0: it was not read yet
	Dropped map[string]uint64 // packets, by reason
}

// An Interface is what the switch counted for one router interface.
type Interface struct {
	Router, ID                     string
	ReceivedPackets, ReceivedBytes uint64 // to be routed
	RoutedPackets, RoutedBytes     uint64 // out of the interface
	KernelPackets, KernelBytes     uint64 // from the kernel, out of the interface
	ARPReplies                     uint64
	NDReplies                      uint64
	EchoReplies                    uint64
	Limited                        map[string]uint64 // packets that meters dropped, by kind
	TTLExpired                     uint64
	Fallback                       map[string]uint64 // packets handed to the kernel, by reason
}

// A Route is what the switch counted for one extra route.
type Route struct {
	Router, Destination string
	Packets, Bytes      map[string]uint64 // by what became of them
}

// A Port is what the switch counted for one port.
type Port struct {
	Router, Interface, ID string
	Packets, Bytes        uint64
}

// stateCollector asks for the State at each scrape.
type stateCollector struct {
	read func(context.Context) (State, error)
}

// NewState returns a collector of what read returns.
func NewState(read func(context.Context) (State, error)) prometheus.Collector {
	return stateCollector{read}
}

var (
	byRouter    = []string{"router"}
	byInterface = []string{"router", "interface"}
	byRoute     = []string{"router", "destination", "action"}
	byPort      = []string{"router", "interface", "port"}
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ofdvr_"+name, help, labels, nil)
}

var (
	descRevision  = desc("intent_revision", "Revision of the intent; it grows with each change.")
	descObjects   = desc("intent_objects", "Objects of the intent, by kind: network, router or port.", "kind")
	descHeld      = desc("intent_quarantined_objects", "Objects of the topology file and the store that cannot be used and are left out, by kind: network, router or port.", "kind")
	descProblems  = desc("problems", "Problems that ofdvr status names, by router; those of the daemon as a whole have an empty router.", byRouter...)
	descMistakes  = desc("topology_file_mistakes", "Mistakes in the latest version of the topology file. While the daemon runs, such a version is not used at all; at the start, the objects without mistakes are used.")
	descWritable  = desc("store_writable", "1 if the store of what is written through the API can be written to, else 0; absent if there is no store.")
	descSize      = desc("store_size_bytes", "Size of the store's file.")
	descFree      = desc("store_free_bytes", "Bytes of the store's file in pages that are free: what is written next goes there.")
	descBridges   = desc("connected_bridges", "Routing bridges that are connected.")
	descOVSDB     = desc("ovsdb_connected", "1 if connected to ovsdb-server, else 0; absent if no database is configured.")
	descConnected = desc("router_connected", "1 if the router's bridge is connected, else 0.", byRouter...)
	descWanted    = desc("router_flows_wanted", "Flows that the router's bridge should hold.", byRouter...)
	descInstalled = desc("router_flows_installed", "Wanted flows that the switch has confirmed.", byRouter...)
	descRefused   = desc("router_flows_refused", "Changes of flows that the router's bridge refuses. They are tried again now and then.", byRouter...)
	descForeign   = desc("router_foreign_flows", "Flows, groups and meters on the router's bridge that are not ours and are left alone.", byRouter...)
	descState     = desc("router_state", "1 for the state that the router is in, 0 for all others.", "router", "state")
	descUnsent    = desc("router_openflow_unsent_bytes", "Bytes that wait to be sent to the router's bridge, because it does not read what was sent before.", byRouter...)
	descRequests  = desc("router_openflow_requests", "Requests that the router's bridge has not answered in full yet.", byRouter...)
	descAge       = desc("router_counters_age_seconds", "Time since the switch was read, from which are the counters of the router, its interfaces, routes and ports.", byRouter...)
	descDropped   = desc("router_dropped_packets_total",
		"Packets that the switch dropped, by reason: blackhole (an extra route of that type is for them), unmatched (no flow is for them), forged (they ask for the router's MAC address, and their sender gives zero or a group's as its own, or an IPv6 address of the router).", "router", "reason")
	descStandby         = desc("standby", "1 if another daemon leads and this one changes nothing, else 0.")
	descReceivedPackets = desc("interface_received_packets_total",
		"Packets that came in by the interface to be routed: sent to its MAC address. Those for the router itself, and those that the kernel gets in the end, are among them.", byInterface...)
	descReceivedBytes = desc("interface_received_bytes_total", "Bytes of the packets that came in by the interface to be routed.", byInterface...)
	descPackets       = desc("interface_routed_packets_total", "Packets that the switch routed out of the interface.", byInterface...)
	descBytes         = desc("interface_routed_bytes_total", "Bytes of the packets that the switch routed out of the interface.", byInterface...)
	descKernelPackets = desc("interface_kernel_packets_total", "Packets from the kernel that the switch sent out of the interface: what the kernel has routed, and its answers.", byInterface...)
	descKernelBytes   = desc("interface_kernel_bytes_total", "Bytes of the packets from the kernel that the switch sent out of the interface.", byInterface...)
	descARP           = desc("interface_arp_replies_total", "ARP requests for the interface's addresses that the switch answered.", byInterface...)
	descND            = desc("interface_nd_replies_total", "Neighbour solicitations for the interface's addresses that the switch answered.", byInterface...)
	descEcho          = desc("interface_echo_replies_total", "ICMP echo requests for the interface's addresses that the switch answered.", byInterface...)
	descLimited       = desc("interface_limited_packets_total",
		"Packets from the interface's network that were dropped because there were more than answer_rate or unknown_rate a second, by kind: resolution (ARP and neighbour solicitations of one machine), echo (requests to the router), ttl (packets whose TTL ran out here), unknown (for addresses that nobody is known to have).", "router", "interface", "kind")
	descTTL      = desc("interface_ttl_expired_packets_total", "Packets from the interface's network whose TTL ran out here.", byInterface...)
	descFallback = desc("interface_fallback_packets_total",
		"Packets from the interface's network that were handed to the kernel, or dropped where the router has no namespace, by reason: "+
			"ttl (the TTL ran out), mtu (larger than the MTU of the network where they go), exception (only the kernel can send them on, it routes them in another way, or their fast path is off), no_route (no connected subnet), "+
			"unknown (no port has the address), other (not for the router to route).",
		"router", "interface", "reason")
	descRoutePackets = desc("route_packets_total",
		"Packets for an extra route, by what the switch did with them: routed (sent to a next hop), kernel (handed to the kernel, which alone can send them on, or because the fast path is off; then those from its destination too), dropped (a black hole).", byRoute...)
	descRouteBytes  = desc("route_bytes_total", "Bytes of the packets for an extra route, by what the switch did with them.", byRoute...)
	descPortPackets = desc("port_delivered_packets_total", "Packets that the switch routed to the port, of those ports that have the most.", byPort...)
	descPortBytes   = desc("port_delivered_bytes_total", "Bytes of the packets that the switch routed to the port, of those ports that have the most packets.", byPort...)
)

// Describe implements [prometheus.Collector].
func (stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descRevision, descObjects, descHeld, descProblems, descMistakes, descWritable, descSize, descFree, descBridges, descOVSDB, descConnected,
		descWanted, descInstalled, descRefused, descForeign, descState, descUnsent, descRequests, descAge, descDropped, descStandby,
		descReceivedPackets, descReceivedBytes, descPackets, descBytes, descKernelPackets, descKernelBytes,
		descARP, descND, descEcho, descLimited, descTTL, descFallback,
		descRoutePackets, descRouteBytes, descPortPackets, descPortBytes,
	} {
		ch <- d
	}
}

// A sink takes what there is at a scrape.
type sink chan<- prometheus.Metric

func (ch sink) gauge(d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (ch sink) counter(d *prometheus.Desc, v uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// Collect implements [prometheus.Collector].
func (c stateCollector) Collect(to chan<- prometheus.Metric) {
	s, err := c.read(context.Background())
	if err != nil {
		if !errors.Is(err, context.Canceled) { // else: shutting down
			to <- prometheus.NewInvalidMetric(descBridges, err)
		}
		return
	}
	ch := sink(to)
	ch.gauge(descRevision, float64(s.Revision))
	for kind, n := range s.Objects {
		ch.gauge(descObjects, float64(n), kind)
	}
	for kind, n := range s.Quarantined {
		ch.gauge(descHeld, float64(n), kind)
	}
	ch.gauge(descProblems, float64(s.Problems), "")
	ch.gauge(descMistakes, float64(s.FileMistakes))
	if s.Store != nil {
		ch.gauge(descWritable, number(s.Store.Writable))
		ch.gauge(descSize, float64(s.Store.Bytes))
		ch.gauge(descFree, float64(s.Store.FreeBytes))
	}
	if s.OVSDB != nil {
		ch.gauge(descOVSDB, number(s.OVSDB.Connected))
	}
	ch.gauge(descStandby, number(s.Standby))
	bridges := 0.0
	for i := range s.Routers {
		bridges += number(s.Routers[i].Connected)
		ch.router(&s.Routers[i], s.States)
	}
	ch.gauge(descBridges, bridges)
	for i := range s.Interfaces {
		ch.iface(&s.Interfaces[i])
	}
	for _, r := range s.Routes {
		for action, n := range r.Packets {
			ch.counter(descRoutePackets, n, r.Router, r.Destination, action)
			ch.counter(descRouteBytes, r.Bytes[action], r.Router, r.Destination, action)
		}
	}
	for _, p := range s.Ports {
		ch.counter(descPortPackets, p.Packets, p.Router, p.Interface, p.ID)
		ch.counter(descPortBytes, p.Bytes, p.Router, p.Interface, p.ID)
	}
}

func (ch sink) router(r *Router, states []string) {
	ch.gauge(descConnected, number(r.Connected), r.ID)
	ch.gauge(descWanted, float64(r.Wanted), r.ID)
	ch.gauge(descInstalled, float64(r.Present), r.ID)
	ch.gauge(descRefused, float64(r.Refused), r.ID)
	ch.gauge(descProblems, float64(r.Problems), r.ID)
	ch.gauge(descForeign, float64(r.Foreign), r.ID)
	for _, state := range states {
		ch.gauge(descState, number(state == r.State), r.ID, state)
	}
	if c := r.Connection; c != nil {
		ch.gauge(descUnsent, float64(c.Unsent), r.ID)
		ch.gauge(descRequests, float64(c.Requests), r.ID)
	}
	if c := r.Counters; c != nil {
		if c.Age >= 0 {
			ch.gauge(descAge, c.Age, r.ID)
		}
		for reason, n := range c.Dropped {
			ch.counter(descDropped, n, r.ID, reason)
		}
	}
}

func (ch sink) iface(i *Interface) {
	for d, n := range map[*prometheus.Desc]uint64{
		descReceivedPackets: i.ReceivedPackets, descReceivedBytes: i.ReceivedBytes,
		descPackets: i.RoutedPackets, descBytes: i.RoutedBytes,
		descKernelPackets: i.KernelPackets, descKernelBytes: i.KernelBytes,
		descARP: i.ARPReplies, descND: i.NDReplies, descEcho: i.EchoReplies,
		descTTL: i.TTLExpired,
	} {
		ch.counter(d, n, i.Router, i.ID)
	}
	for kind, n := range i.Limited {
		ch.counter(descLimited, n, i.Router, i.ID, kind)
	}
	for reason, n := range i.Fallback {
		ch.counter(descFallback, n, i.Router, i.ID, reason)
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
