package metrics

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// A State is what is asked for at each scrape, so that what has gone leaves no
// stale series behind.
type State struct {
	Revision       uint64         // of the intent
	Objects        map[string]int // of the intent, by kind
	FileMistakes   int            // in the latest version of the topology file
	StoreWritable  bool
	OVSDBConnected bool
	Standby        bool
	States         []string // all that a Router's State can be
	Routers        []Router
	Interfaces     []Interface
}

// A Router is the state of one router.
type Router struct {
	ID              string
	Connected       bool
	Wanted, Present int // flows; Present of those that are wanted
	Refused         int // changes that the switch refuses
	Foreign         int // flows, groups and meters of others
	State           string
}

// An Interface is what the switch counted for one router interface.
type Interface struct {
	Router, ID                 string
	RoutedPackets, RoutedBytes uint64 // out of the interface
	ARPReplies                 uint64
	NDReplies                  uint64
	EchoReplies                uint64
	Limited                    uint64 // answers that were not given
	TTLExpired                 uint64
	Fallback                   map[string]uint64 // packets handed to the kernel, by reason
}

// stateCollector asks for the State at each scrape.
type stateCollector struct {
	read func(context.Context) (State, error)
}

// NewState returns a collector of what read returns.
func NewState(read func(context.Context) (State, error)) prometheus.Collector {
	return stateCollector{read}
}

var byInterface = []string{"router", "interface"}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ofdvr_"+name, help, labels, nil)
}

var (
	descRevision  = desc("intent_revision", "Revision of the intent; it grows with each change.")
	descObjects   = desc("intent_objects", "Objects of the intent.", "kind")
	descMistakes  = desc("topology_file_mistakes", "Mistakes in the latest version of the topology file, which is not taken in because of them; 0 if it was, or there is no file.")
	descWritable  = desc("store_writable", "1 if the store of what is written through the API can be written to, else 0.")
	descBridges   = desc("connected_bridges", "Routing bridges that are connected.")
	descOVSDB     = desc("ovsdb_connected", "1 if connected to ovsdb-server, else 0.")
	descConnected = desc("router_connected", "1 if the router's bridge is connected, else 0.", "router")
	descWanted    = desc("router_flows_wanted", "Flows that the router's bridge should hold.", "router")
	descInstalled = desc("router_flows_installed", "Wanted flows that the switch has confirmed.", "router")
	descRefused   = desc("router_flows_refused", "Changes of flows that the router's bridge refuses. They are tried again now and then.", "router")
	descForeign   = desc("router_foreign_flows", "Flows, groups and meters on the router's bridge that are not ours and are left alone.", "router")
	descState     = desc("router_state", "1 for the state that the router is in, 0 for all others.", "router", "state")
	descStandby   = desc("standby", "1 if another daemon leads and this one changes nothing, else 0.")
	descPackets   = desc("interface_routed_packets_total", "Packets that the switch routed out of the interface.", byInterface...)
	descBytes     = desc("interface_routed_bytes_total", "Bytes of the packets that the switch routed out of the interface.", byInterface...)
	descARP       = desc("interface_arp_replies_total", "ARP requests for the interface's addresses that the switch answered.", byInterface...)
	descND        = desc("interface_nd_replies_total", "Neighbour solicitations for the interface's addresses that the switch answered.", byInterface...)
	descEcho      = desc("interface_echo_replies_total", "ICMP echo requests for the interface's addresses that the switch answered.", byInterface...)
	descLimited   = desc("interface_limited_packets_total", "Packets from the interface's network that were not answered because there were more than answer_rate a second.", byInterface...)
	descTTL       = desc("interface_ttl_expired_packets_total", "Packets from the interface's network whose TTL ran out here.", byInterface...)
	descFallback  = desc("interface_fallback_packets_total",
		"Packets from the interface's network that were handed to the kernel, or dropped where the router has no namespace, by reason: "+
			"ttl (the TTL ran out), mtu (larger than the MTU of the network where they go), exception (only the kernel can send them on), no_route (no connected subnet), "+
			"unknown (no port has the address), other (not for the router to route).",
		append(byInterface[:2:2], "reason")...)
)

// Describe implements [prometheus.Collector].
func (stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descRevision, descObjects, descMistakes, descWritable, descBridges, descOVSDB, descConnected, descWanted, descInstalled, descRefused, descForeign, descState, descStandby,
		descPackets, descBytes, descARP, descND, descEcho, descLimited, descTTL, descFallback} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	s, err := c.read(context.Background())
	if err != nil {
		if !errors.Is(err, context.Canceled) { // else: shutting down
			ch <- prometheus.NewInvalidMetric(descBridges, err)
		}
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(descRevision, float64(s.Revision))
	for kind, n := range s.Objects {
		gauge(descObjects, float64(n), kind)
	}
	gauge(descMistakes, float64(s.FileMistakes))
	gauge(descWritable, number(s.StoreWritable))
	bridges := 0.0
	for _, r := range s.Routers {
		bridges += number(r.Connected)
		gauge(descConnected, number(r.Connected), r.ID)
		gauge(descWanted, float64(r.Wanted), r.ID)
		gauge(descInstalled, float64(r.Present), r.ID)
		gauge(descRefused, float64(r.Refused), r.ID)
		gauge(descForeign, float64(r.Foreign), r.ID)
		for _, state := range s.States {
			gauge(descState, number(state == r.State), r.ID, state)
		}
	}
	gauge(descBridges, bridges)
	gauge(descOVSDB, number(s.OVSDBConnected))
	gauge(descStandby, number(s.Standby))
	for _, i := range s.Interfaces {
		counter(descPackets, i.RoutedPackets, i.Router, i.ID)
		counter(descBytes, i.RoutedBytes, i.Router, i.ID)
		counter(descARP, i.ARPReplies, i.Router, i.ID)
		counter(descND, i.NDReplies, i.Router, i.ID)
		counter(descEcho, i.EchoReplies, i.Router, i.ID)
		counter(descLimited, i.Limited, i.Router, i.ID)
		counter(descTTL, i.TTLExpired, i.Router, i.ID)
		for reason, n := range i.Fallback {
			counter(descFallback, n, i.Router, i.ID, reason)
		}
	}
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
