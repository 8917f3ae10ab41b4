package metrics

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// A State is the state of the daemon at a scrape. Metrics are built from it at each
// scrape, so that removed objects leave no stale series.
type State struct {
	Revision     uint64         // of the intent
	Objects      map[string]int // number of objects in the intent, by kind
	Quarantined  map[string]int // objects that cannot be used, by kind
	Machines     map[string]int // ports that are up, by the state of their machine, see ofdvr_ports_seen
	FileMistakes int            // mistakes in the latest version of the topology file
	Store        *Store         // nil if no store is configured
	OVSDB        *OVSDB         // nil if no OVSDB is configured
	Etcd         *Etcd          // nil if no etcd is configured
	Standby      bool
	Problems     int      // problems that do not belong to a router
	States       []string // all possible values of Router.State
	Hosts        []Host
	Fabric       *Fabric // nil if the host has no fabric bridge, or its counters are not known
	Routers      []Router
	Interfaces   []Interface
	Routes       []Route
	Ports        []Port
}

// An OVSDB is the connection to ovsdb-server.
type OVSDB struct{ Connected bool }

// An Etcd is the store that hosts share.
type Etcd struct {
	Connected bool   // etcd answers
	CopyUsed  bool   // the intent is the copy on this host's disk
	Revision  uint64 // of etcd, that the intent includes; 0 while the copy is used
	Events    int64  // changed keys that etcd has reported
}

// A Host is another host of the intent with a tunnel.
type Host struct {
	ID       string
	Heard    bool // messages from it arrive
	Machines int  // plugged in there
}

// A Fabric has the counters of the fabric bridge.
type Fabric struct {
	SentPackets, SentBytes         uint64 // sent to other hosts through tunnels
	ReceivedPackets, ReceivedBytes uint64
	Dropped                        map[string]uint64 // packets, by reason
}

// A Store is the state of the store.
type Store struct {
	Writable  bool
	Bytes     int64 // size of the file
	FreeBytes int64 // size of the free pages in it
}

// A Router is the state of one router.
type Router struct {
	ID                 string
	Connected          bool
	Desired, Installed int // flows; Installed counts only desired flows
	Refused            int // changes that the switch refused
	Problems           int // problems in the router's status
	Foreign            int // flows, groups and meters of other programs
	State              string
	Connection         *Connection // nil if its bridge is not connected
	Counters           *Counters   // nil until they are known
}

// A Connection is the work in progress on a bridge's OpenFlow connection.
type Connection struct {
	Unsent   int // bytes that wait to be written
	Requests int // requests without a complete reply
}

// Counters has the counters of a router that do not belong to an interface, route or port.
type Counters struct {
	Age     float64           // age of the counters in seconds; less than 0 if the switch was not read yet
	Dropped map[string]uint64 // packets, by reason
}

// An Interface has the counters of one router interface.
type Interface struct {
	Router, ID                     string
	ReceivedPackets, ReceivedBytes uint64 // packets to be routed
	RoutedPackets, RoutedBytes     uint64 // packets routed out of the interface
	KernelPackets, KernelBytes     uint64 // packets from the kernel, sent out of the interface
	ARPReplies                     uint64
	NDReplies                      uint64
	EchoReplies                    uint64
	Limited                        map[string]uint64 // packets that meters dropped, by kind
	TTLExpired                     uint64
	Fallback                       map[string]uint64 // packets handed to the kernel, by reason
}

// A Route has the counters of one extra route.
type Route struct {
	Router, Destination string
	Packets, Bytes      map[string]uint64 // by action
}

// A Port has the counters of one port.
type Port struct {
	Router, Interface, ID string
	Packets, Bytes        uint64
}

// stateCollector collects metrics from the State that it reads at each scrape.
type stateCollector struct {
	read func(context.Context) (State, error)
}

// NewState returns a collector that calls read at each scrape.
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
	descRevision       = desc("intent_revision", "Revision of the intent, which grows with each change.")
	descObjects        = desc("intent_objects", "Objects of the intent, by kind: host, network, router or port.", "kind")
	descHeld           = desc("intent_quarantined_objects", "Objects of the topology file and the store that are invalid and not used, by kind: host, network, router or port.", "kind")
	descMachines       = desc("ports_seen", "Ports that are up, by state: seen (the machine is on the integration bridge, in the VLAN of its network), not_seen (there is no trace of it), elsewhere (it is in another VLAN, or has another MAC address), unknown (it cannot be looked for: ovs-vswitchd or ovsdb-server does not run or answer, or another daemon leads).", "state")
	descProblems       = desc("problems", "Problems that ofdvr status shows, by router; the router is empty for problems of the whole daemon.", byRouter...)
	descMistakes       = desc("topology_file_mistakes", "Mistakes in the latest version of the topology file. A running daemon does not use a version with mistakes; a starting one uses its valid objects.")
	descWritable       = desc("store_writable", "1 if the store, which holds the objects written through the API, is writable, else 0; absent without a store.")
	descSize           = desc("store_size_bytes", "Size of the store's file.")
	descFree           = desc("store_free_bytes", "Size of the free pages in the store's file, which later writes use first.")
	descBridges        = desc("connected_bridges", "Routing bridges that are connected.")
	descHeard          = desc("host_heard", "1 if messages from the other host arrive by its tunnel, else 0.", "host")
	descPlugged        = desc("host_machines", "Machines of networks between hosts that are plugged in on the other host, as it says.", "host")
	descSentPackets    = desc("fabric_sent_packets_total", "Packets that the fabric bridge sent to other hosts through tunnels. A broadcast counts once, even if several hosts get it.")
	descSentBytes      = desc("fabric_sent_bytes_total", "Bytes of the packets that the fabric bridge sent to other hosts through tunnels.")
	descCarriedPackets = desc("fabric_received_packets_total", "Packets that the fabric bridge received from other hosts through tunnels, without the messages of daemons to each other.")
	descCarriedBytes   = desc("fabric_received_bytes_total", "Bytes of the packets that the fabric bridge received from other hosts through tunnels.")
	descLost           = desc("fabric_dropped_packets_total", "Packets that the fabric bridge dropped, by reason: unknown (no port has the MAC address of the destination), broadcast (the key broadcast of the network excludes it), elsewhere (another host sent a packet for a machine that is not on this host, or not known), crowded (a machine that is not declared, beyond 1024 of them on this host and one network), "+
		"imposter (another host sent a packet with the MAC address of a machine of this host), forged (ARP requests whose sender's MAC address is zero or multicast), flood (broadcasts beyond 1000 a second on one network), hello (messages of other daemons beyond 5000 a second), unmatched (no other flow matched).", "reason")
	descOVSDB     = desc("ovsdb_connected", "1 if connected to ovsdb-server, else 0; absent if no OVSDB is configured.")
	descEtcd      = desc("etcd_connected", "1 if etcd answers, else 0; absent without etcd.")
	descCopy      = desc("etcd_copy_used", "1 if the intent is the copy on this host's disk, because etcd has not answered since the start, else 0; absent without etcd.")
	descKeys      = desc("etcd_revision", "Revision of etcd that the intent includes; 0 while the copy is used; absent without etcd.")
	descEvents    = desc("etcd_events_total", "Changes of keys that etcd has reported to this host.")
	descConnected = desc("router_connected", "1 if the router's bridge is connected, else 0.", byRouter...)
	descDesired   = desc("router_flows_desired", "Flows that the router's bridge should hold.", byRouter...)
	descInstalled = desc("router_flows_installed", "Desired flows that the switch has confirmed.", byRouter...)
	descRefused   = desc("router_flows_refused", "Flow changes that the router's bridge refused. They are retried periodically.", byRouter...)
	descForeign   = desc("router_foreign_flows", "Flows, groups and meters on the router's bridge that do not belong to ofdvr and are not changed.", byRouter...)
	descState     = desc("router_state", "1 for the router's current state, 0 for all others.", "router", "state")
	descUnsent    = desc("router_openflow_unsent_bytes", "Bytes waiting to be sent to the router's bridge, because it has not read earlier ones.", byRouter...)
	descRequests  = desc("router_openflow_requests", "Requests to the router's bridge without a complete reply.", byRouter...)
	descAge       = desc("router_counters_age_seconds", "Time since the counters of the router, its interfaces, routes and ports were read from the switch.", byRouter...)
	descDropped   = desc("router_dropped_packets_total",
		"Packets that the switch dropped, by reason: blackhole (an extra route of that type), unmatched (no flow matched), forged (ARP or neighbour solicitations for the router whose sender's MAC address is zero or multicast, or whose sender's IPv6 address is the router's own).", "router", "reason")
	descStandby         = desc("standby", "1 if another daemon leads and this one changes nothing, else 0.")
	descReceivedPackets = desc("interface_received_packets_total",
		"Packets received on the interface to be routed, that is, sent to its MAC address. This includes packets to the router itself and packets that are handed to the kernel.", byInterface...)
	descReceivedBytes = desc("interface_received_bytes_total", "Bytes of the packets received on the interface to be routed.", byInterface...)
	descPackets       = desc("interface_routed_packets_total", "Packets that the switch routed out of the interface.", byInterface...)
	descBytes         = desc("interface_routed_bytes_total", "Bytes of the packets that the switch routed out of the interface.", byInterface...)
	descKernelPackets = desc("interface_kernel_packets_total", "Packets from the kernel that the switch sent out of the interface: packets routed by the kernel, and its replies.", byInterface...)
	descKernelBytes   = desc("interface_kernel_bytes_total", "Bytes of the packets from the kernel that the switch sent out of the interface.", byInterface...)
	descARP           = desc("interface_arp_replies_total", "ARP requests for the interface's addresses that the switch answered.", byInterface...)
	descND            = desc("interface_nd_replies_total", "Neighbour solicitations for the interface's addresses that the switch answered.", byInterface...)
	descEcho          = desc("interface_echo_replies_total", "ICMP echo requests for the interface's addresses that the switch answered.", byInterface...)
	descLimited       = desc("interface_limited_packets_total",
		"Packets from the interface's network that were dropped because they exceeded answer_rate or unknown_rate per second, by kind: resolution (ARP requests and neighbour solicitations of one machine), echo (echo requests to the router), ttl (packets with an expired TTL), unknown (packets to unknown addresses).", "router", "interface", "kind")
	descTTL      = desc("interface_ttl_expired_packets_total", "Packets from the interface's network whose TTL expired at the router.", byInterface...)
	descFallback = desc("interface_fallback_packets_total",
		"Packets from the interface's network that were handed to the kernel, or dropped if the router has no namespace, by reason: "+
			"ttl (expired TTL), mtu (larger than the MTU of the destination network), exception (only the kernel can forward them, the kernel routes them differently, or the fast path is off), no_route (no connected subnet), "+
			"unknown (no port has the address), other (not to be routed).",
		"router", "interface", "reason")
	descRoutePackets = desc("route_packets_total",
		"Packets that match an extra route, by action of the switch: routed (sent to a next hop), kernel (handed to the kernel, because only the kernel can forward them or because the fast path is off; in the latter case packets from the destination count too), dropped (a blackhole route).", byRoute...)
	descRouteBytes  = desc("route_bytes_total", "Bytes of the packets that match an extra route, by action of the switch.", byRoute...)
	descPortPackets = desc("port_delivered_packets_total", "Packets that the switch routed to the port; only the ports with the most packets are reported.", byPort...)
	descPortBytes   = desc("port_delivered_bytes_total", "Bytes of the packets that the switch routed to the port; only the ports with the most packets are reported.", byPort...)
)

// Describe implements [prometheus.Collector].
func (stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descRevision, descObjects, descHeld, descMachines, descProblems, descMistakes, descWritable, descSize, descFree, descBridges, descOVSDB, descEtcd, descCopy, descKeys, descEvents, descHeard, descPlugged,
		descSentPackets, descSentBytes, descCarriedPackets, descCarriedBytes, descLost, descConnected,
		descDesired, descInstalled, descRefused, descForeign, descState, descUnsent, descRequests, descAge, descDropped, descStandby,
		descReceivedPackets, descReceivedBytes, descPackets, descBytes, descKernelPackets, descKernelBytes,
		descARP, descND, descEcho, descLimited, descTTL, descFallback,
		descRoutePackets, descRouteBytes, descPortPackets, descPortBytes,
	} {
		ch <- d
	}
}

// A sink receives the metrics of a scrape.
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
		if !errors.Is(err, context.Canceled) { // if canceled, the daemon is shutting down
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
	for state, n := range s.Machines {
		ch.gauge(descMachines, float64(n), state)
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
	if e := s.Etcd; e != nil {
		ch.gauge(descEtcd, number(e.Connected))
		ch.gauge(descCopy, number(e.CopyUsed))
		ch.gauge(descKeys, float64(e.Revision))
		ch.counter(descEvents, uint64(e.Events))
	}
	for _, h := range s.Hosts {
		ch.gauge(descHeard, number(h.Heard), h.ID)
		ch.gauge(descPlugged, float64(h.Machines), h.ID)
	}
	if f := s.Fabric; f != nil {
		ch.counter(descSentPackets, f.SentPackets)
		ch.counter(descSentBytes, f.SentBytes)
		ch.counter(descCarriedPackets, f.ReceivedPackets)
		ch.counter(descCarriedBytes, f.ReceivedBytes)
		for reason, n := range f.Dropped {
			ch.counter(descLost, n, reason)
		}
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
	ch.gauge(descDesired, float64(r.Desired), r.ID)
	ch.gauge(descInstalled, float64(r.Installed), r.ID)
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
