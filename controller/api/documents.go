package api

import (
	"encoding/json"
	"time"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// These are the documents of the API's answers. Huma generates the schemas of GET /v1/openapi.json
// from these types and their tags, from [controller.Status], and from the documents of package
// topology. The bodies of writes are documents of package topology too.

// A Problem is the body of every error (RFC 9457).
type Problem struct {
	Title   string      `json:"title" doc:"Text of the HTTP status"`
	Status  int         `json:"status" doc:"The HTTP status"`
	Detail  string      `json:"detail" doc:"The problem, and what to do about it"`
	Errors  []Mistake   `json:"errors,omitempty" doc:"All mistakes of the request, with their places"`
	InUseBy []Reference `json:"in_use_by,omitempty" doc:"Objects that refer to the object, which therefore is not deleted"`
}

// A Mistake is one mistake in a request.
type Mistake struct {
	Pointer   string `json:"pointer,omitempty" doc:"Place in the body, as a JSON pointer (RFC 6901)"`
	Parameter string `json:"parameter,omitempty" doc:"Parameter of the path, the query or the header"`
	Line      int    `json:"line,omitempty" doc:"Line of the body, from 1"`
	Column    int    `json:"column,omitempty" doc:"Column of the line, in characters from 1"`
	Detail    string `json:"detail" doc:"The mistake"`
}

// A Reference names an object.
type Reference struct {
	Kind string `json:"kind" doc:"host, network, router, interface or port"`
	ID   string `json:"id"`
}

// Written is the answer to a write.
type Written struct {
	Revision uint64               `json:"revision" doc:"Revision of the intent after the write"`
	Applied  *bool                `json:"applied,omitempty" doc:"With wait=applied: the switches have confirmed the write"`
	Pending  []controller.Pending `json:"pending,omitempty" doc:"Parts that are not confirmed yet, with the reasons"`
	Objects  []Outcome            `json:"objects,omitempty" doc:"The result for each object, or in a plan the expected result"`
	Warnings []Mistake            `json:"warnings,omitempty" doc:"Values that are allowed but probably wrong"`
	Plan     *PlanDocument        `json:"plan,omitempty" doc:"Changes on this host"`
}

// An Outcome is the result of a write for one object.
type Outcome struct {
	Kind string    `json:"kind" enum:"host,network,router,port"`
	ID   string    `json:"id"`
	Op   ledger.Op `json:"op" enum:"created,updated,unchanged,deleted"`
}

// A PlanDocument has the changes of a write on this host.
type PlanDocument struct {
	Routers  []RouterPlan `json:"routers" doc:"Routers whose flows change"`
	OVSDB    []RowChange  `json:"ovsdb" doc:"Rows of Open vSwitch's database, changed in one transaction"`
	Problems []string     `json:"problems,omitempty" doc:"Reasons why parts of the plan cannot be carried out"`
}

// A RouterPlan has the changes of a write on a router's bridge.
type RouterPlan struct {
	Router    string   `json:"router" doc:"Empty: the bridge is the fabric bridge"`
	Bridge    string   `json:"bridge"`
	Connected bool     `json:"connected" doc:"False: the bridge is not connected, so its port numbers are not known, and all its flows are listed as added"`
	Add       []string `json:"add" doc:"Flows, in the syntax of ovs-ofctl --names"`
	Modify    []string `json:"modify" doc:"Flows with their new actions; they keep their counters"`
	Delete    []string `json:"delete" doc:"Flows that are deleted"`
}

// A RowChange is a change of a row in Open vSwitch's database.
type RowChange struct {
	Op      string         `json:"op" enum:"insert,update,remove"`
	Table   string         `json:"table"`
	Row     string         `json:"row" doc:"Name of the row"`
	Router  string         `json:"router"`
	Columns map[string]any `json:"columns,omitempty" doc:"Columns that are written. A map has only the keys that change; a key that is removed is null"`
}

// A Page is a part of a list.
type Page[D any] struct {
	Revision uint64 `json:"revision" doc:"Revision of the intent to watch from"`
	Items    []D    `json:"items"`
	Next     string `json:"next,omitempty" doc:"Value of after for the next page. Absent: this is the last page"`
}

// An ObjectStatus is the state of an object.
type ObjectStatus struct {
	Kind       string      `json:"kind"`
	ID         string      `json:"id"`
	Source     string      `json:"source" doc:"The source of the object: the topology file, the store or etcd"`
	Conditions []Condition `json:"conditions"`
	Machine    *Machine    `json:"machine,omitempty" doc:"Only for a port: whether its machine is on the integration bridge"`
	// Host is absent for other objects.
	Host *controller.HostStatus `json:"host,omitempty" doc:"Only for a host: whether it is alive, as in the status"`
}

// A Condition is one aspect of an object's state, in the form of Kubernetes' conditions.
type Condition struct {
	Type     string    `json:"type" enum:"Accepted,Programmed,Degraded" doc:"Accepted: the object is part of the intent. Programmed: the switches have confirmed all its flows. Degraded: the switches refuse some of its flows"`
	Status   string    `json:"status" enum:"True,False"`
	Reason   string    `json:"reason" enum:"Valid,Confirmed,Pending,NothingRefused,Refused" doc:"The reason of the status, for programs"`
	Message  string    `json:"message" doc:"The reason of the status, for people; may be empty"`
	Observed uint64    `json:"observed_revision" doc:"The revision of the intent that the condition is about"`
	Changed  time.Time `json:"last_transition_time,omitzero" doc:"The time when the status changed last. Absent: it has not changed since the daemon started"`
}

// An Event is one change in the stream of GET /v1/watch.
type Event struct {
	Revision uint64          `json:"revision"`
	Kind     string          `json:"kind"`
	ID       string          `json:"id"`
	Op       string          `json:"op"`
	Object   json.RawMessage `json:"object,omitempty"` // absent if the object was deleted, and for conditions
	// Conditions are the conditions of the object, if Op is conditions.
	Conditions []Condition `json:"conditions,omitempty"`
}

// Flows is the answer of GET /v1/routers/{id}/flows.
type Flows struct {
	Flows []FlowDocument `json:"flows"`
}

// A FlowDocument is a flow of a switch.
type FlowDocument struct {
	Table    uint8   `json:"table"`
	Priority uint16  `json:"priority"`
	Packets  uint64  `json:"packets" doc:"Packets that hit the flow"`
	Bytes    uint64  `json:"bytes" doc:"Bytes of these packets"`
	Age      float64 `json:"age" doc:"Seconds since the flow was installed"`
	Kind     string  `json:"kind,omitempty" doc:"Kind of the object that the flow serves: router, interface or port. Absent: the flow does not belong to ofdvr, or is no longer desired"`
	ID       string  `json:"id,omitempty" doc:"ID of the object that the flow serves"`
	Does     string  `json:"does" doc:"Purpose of the flow"`
	Flow     string  `json:"flow" doc:"The flow in the syntax of ovs-ofctl --names"`
}

// Counters is the answer of GET /v1/counters.
type Counters struct {
	At         float64             `json:"at" doc:"Time of the reading, in seconds since the daemon started; counters of a switch with very many flows may be some seconds older"`
	Interfaces []InterfaceCounters `json:"interfaces" doc:"Interfaces of all routers whose switch was read, by router"`
	Ports      []PortCounters      `json:"ports" doc:"Ports with the most packets, as many as --port-metrics says"`
	Fabric     *FabricCounters     `json:"fabric,omitempty" doc:"Packets between hosts. Absent: no network spans hosts, or the bridge was not read"`
}

// FabricCounters are the packets of the bridge that connects hosts, equal to the sums in the
// metrics.
type FabricCounters struct {
	SentPackets     uint64            `json:"sent_packets" doc:"Packets sent to other hosts through tunnels; a broadcast counts once"`
	SentBytes       uint64            `json:"sent_bytes" doc:"Bytes of these packets"`
	ReceivedPackets uint64            `json:"received_packets" doc:"Packets received from other hosts through tunnels"`
	ReceivedBytes   uint64            `json:"received_bytes" doc:"Bytes of these packets"`
	Dropped         map[string]uint64 `json:"dropped" doc:"Packets dropped, by reason: see ofdvr_fabric_dropped_packets_total"`
}

// InterfaceCounters are the sums of one router interface, equal to the sums in the
// metrics.
type InterfaceCounters struct {
	Router          string            `json:"router"`
	Interface       string            `json:"interface"`
	RoutedPackets   uint64            `json:"routed_packets" doc:"Packets that the switch routed out of the interface"`
	RoutedBytes     uint64            `json:"routed_bytes" doc:"Bytes of these packets"`
	ReceivedPackets uint64            `json:"received_packets" doc:"Packets received on the interface, to be routed or for the router itself"`
	ReceivedBytes   uint64            `json:"received_bytes" doc:"Bytes of these packets"`
	KernelPackets   uint64            `json:"kernel_packets" doc:"Packets from the kernel that the switch sent out of the interface"`
	ARPReplies      uint64            `json:"arp_replies" doc:"ARP requests that the switch answered"`
	NDReplies       uint64            `json:"nd_replies" doc:"Neighbour solicitations that the switch answered"`
	EchoReplies     uint64            `json:"echo_replies" doc:"Pings to the interface's addresses that the switch answered"`
	TTLExpired      uint64            `json:"ttl_expired" doc:"Packets with an expired TTL"`
	Limited         map[string]uint64 `json:"limited" doc:"Packets dropped by a rate limit, by kind: resolution, echo, ttl and unknown"`
	Fallback        map[string]uint64 `json:"fallback" doc:"Packets sent to the kernel, or dropped without a fallback, by reason"`
}

// PortCounters are the packets that were routed to a port.
type PortCounters struct {
	Router    string `json:"router"`
	Interface string `json:"interface" doc:"Router interface that reaches the port"`
	Port      string `json:"port"`
	Packets   uint64 `json:"packets"`
	Bytes     uint64 `json:"bytes"`
}

// A HistoryDocument is the answer of GET /v1/history.
type HistoryDocument struct {
	At         time.Time        `json:"at,omitzero" doc:"Time of the latest sample. Absent: no sample exists yet"`
	Interval   time.Duration    `json:"interval" doc:"Seconds from one sample to the next"`
	Total      SeriesDocument   `json:"total" doc:"Rates of all routers, or of the router in the request"`
	Routers    []SeriesDocument `json:"routers" doc:"Rates of the routers that have routed the most bits, busiest first"`
	Interfaces []SeriesDocument `json:"interfaces" doc:"Rates of the interfaces of the router in the request, by ID"`
	Left       int              `json:"left,omitempty" doc:"Interfaces without a history, because there are too many"`
}

// A SeriesDocument has rates, the oldest first. All series of an answer have the same length.
type SeriesDocument struct {
	Router    string    `json:"router,omitempty"`
	Interface string    `json:"interface,omitempty"`
	In        []float64 `json:"in" doc:"Bits a second that the switch received; -1: not known"`
	Out       []float64 `json:"out" doc:"Bits a second that the switch routed; -1: not known"`
	Kernel    []float64 `json:"kernel" doc:"Packets a second that were handed to the kernel; -1: not known"`
}

// A TraceDocument is the answer of GET /v1/trace.
type TraceDocument struct {
	Paths []PathDocument `json:"paths" doc:"The path of the packet and, if the packet arrives, the path of its reply"`
}

// A PathDocument is the path of a packet.
type PathDocument struct {
	From      trace.End      `json:"from"`
	To        trace.End      `json:"to"`
	Packet    string         `json:"packet" doc:"The packet, in words"`
	Router    string         `json:"router,omitempty" doc:"Router on the path. Absent: none"`
	Bridge    string         `json:"bridge,omitempty" doc:"Bridge of the router"`
	Interface string         `json:"interface,omitempty" doc:"Router interface that receives the packet"`
	Host      string         `json:"host,omitempty" doc:"Host that routes the packet. Absent: there is one host"`
	Verdict   string         `json:"verdict" enum:"switched,routed,answered,kernel,dropped,unknown"`
	Says      string         `json:"says" doc:"What happens to the packet, in words"`
	Assumed   bool           `json:"assumed,omitempty" doc:"The bridge is not connected: the path follows its desired flows"`
	Steps     []StepDocument `json:"steps" doc:"Flows that the packet hits, by table"`
	Exits     []ExitDocument `json:"exits" doc:"Places where the packet leaves the bridge. If there are several, it takes one of them"`
	VerificationDocument
	Answer     string              `json:"answer,omitempty" doc:"ICMP error of the router's kernel, if the packet ends there"`
	NoAnswer   string              `json:"no_answer,omitempty" doc:"Why the sender's host has not answered. Absent: it has answered, or was not asked. Present: the path follows the flows that its switch should hold"`
	Departures []DepartureDocument `json:"departures,omitempty" doc:"The packets that leave for other hosts by a tunnel. If there are several, it is one of them"`
	Arrivals   []ArrivalDocument   `json:"arrivals,omitempty" doc:"For each departure, the path on the other host. Absent: other hosts were not asked"`
}

// A VerificationDocument is the result of a comparison with Open vSwitch.
type VerificationDocument struct {
	Verified  bool   `json:"verified,omitempty" doc:"The path was compared with ovs-appctl ofproto/trace"`
	Disagrees string `json:"disagrees,omitempty" doc:"Difference from ovs-appctl ofproto/trace, or a machine that is not where the intent expects it"`
	FromPort  string `json:"from_port,omitempty" doc:"Port of the integration bridge where ofproto/trace began. Absent: it began at the router's bridge, or at the tunnel"`
	ToPort    string `json:"to_port,omitempty" doc:"Port of the integration bridge where ofproto/trace ended. Absent: it ended at the router's bridge"`
	Remark    string `json:"remark,omitempty" doc:"Remark on the paths between the machines and the router"`
}

// A DepartureDocument is a packet that leaves for another host by a tunnel.
type DepartureDocument struct {
	Host    string `json:"host" doc:"The other host"`
	Network string `json:"network" doc:"Network with the VNI of the packet in the tunnel"`
	Packet  string `json:"packet" doc:"The packet in the syntax of a match of ovs-ofctl"`
	Size    int    `json:"size" doc:"Its bytes, with the Ethernet header"`
}

// An ArrivalDocument is the path of a packet on the host to which it comes by a tunnel.
type ArrivalDocument struct {
	Host     string        `json:"host" doc:"The host"`
	NoAnswer string        `json:"no_answer,omitempty" doc:"Why the host has not answered. Absent: it has answered"`
	Steps    []ArrivalStep `json:"steps" doc:"Flows that the packet hits, in order"`
	Arrives  bool          `json:"arrives" doc:"The packet comes to the machine with its destination MAC address"`
	Says     string        `json:"says" doc:"Outcome for the packet, in words"`
	VerificationDocument
}

// An ArrivalStep is a flow of a bridge that a packet hits.
type ArrivalStep struct {
	Bridge string `json:"bridge"`
	StepDocument
}

// A StepDocument is a flow that a packet hits.
type StepDocument struct {
	Table    uint8  `json:"table"`
	Priority uint16 `json:"priority"`
	Cookie   string `json:"cookie"`
	Kind     string `json:"kind,omitempty" doc:"Kind of the object that the flow serves. Absent: the flow does not belong to ofdvr"`
	ID       string `json:"id,omitempty" doc:"ID of the object that the flow serves"`
	Does     string `json:"does" doc:"Purpose of the flow"`
	Flow     string `json:"flow" doc:"The flow in the syntax of ovs-ofctl --names"`
	Held     bool   `json:"held" doc:"The switch holds this flow"`
	Packets  uint64 `json:"packets" doc:"Packets that have hit the flow"`
	Bytes    uint64 `json:"bytes" doc:"Bytes of these packets"`
}

// An ExitDocument is where a packet leaves a router's bridge.
type ExitDocument struct {
	Interface string  `json:"interface,omitempty" doc:"Router interface"`
	Network   string  `json:"network,omitempty"`
	Port      string  `json:"port,omitempty" doc:"Port that receives the packet"`
	Source    string  `json:"eth_src"`
	To        string  `json:"eth_dst"`
	TTL       string  `json:"ttl"`
	Share     float64 `json:"share,omitempty" doc:"Share of the traffic that takes this exit, if there are several next hops"`
	Host      string  `json:"host,omitempty" doc:"The other host that gets the packet by a tunnel. Absent: the packet stays on its host"`
}

// An ExplanationDocument is the answer of GET /v1/explain/{cookie}.
type ExplanationDocument struct {
	Cookie string `json:"cookie"`
	Ours   bool   `json:"ours" doc:"The cookie belongs to a flow of ofdvr"`
	Router string `json:"router,omitempty" doc:"Router whose bridge has the flow"`
	Kind   string `json:"kind,omitempty" doc:"Kind of the object that the flow serves"`
	ID     string `json:"id,omitempty" doc:"ID of the object that the flow serves"`
	Does   string `json:"does" doc:"Purpose of the flow"`
}

// ExaminationDocument is the answer of GET /v1/examination.
type ExaminationDocument struct {
	Problems int               `json:"problems" doc:"Number of problems"`
	Warnings int               `json:"warnings" doc:"Number of warnings"`
	Findings []FindingDocument `json:"findings"`
}

// A FindingDocument is one finding of an examination.
type FindingDocument struct {
	Level  string `json:"level" enum:"ok,note,warning,problem"`
	About  string `json:"about" doc:"Subject, such as Open vSwitch, or router r1"`
	Says   string `json:"says"`
	Remedy string `json:"remedy,omitempty" doc:"What to do"`
}

// An EventsDocument is the answer of GET /v1/events.
type EventsDocument struct {
	Events []EventDocument `json:"events" doc:"Oldest first"`
	Next   uint64          `json:"next" doc:"Value of since for the events after these"`
}

// An EventDocument is an event of the log.
type EventDocument struct {
	Seq     uint64         `json:"seq" doc:"Number of the event; it restarts with the daemon"`
	Time    time.Time      `json:"time"`
	Level   string         `json:"level" enum:"info,warn,error"`
	Message string         `json:"message"`
	Router  string         `json:"router,omitempty" doc:"Router of the event"`
	Fields  map[string]any `json:"fields,omitempty" doc:"Further fields"`
	Age     float64        `json:"age" doc:"Seconds since the event"`
}

// A LogDocument has the log settings.
type LogDocument struct {
	Level    *string `json:"level,omitempty" enum:"debug,info,warn,error" doc:"Lowest level that is logged"`
	OpenFlow *string `json:"openflow,omitempty" doc:"Router whose OpenFlow messages are logged at level debug; empty: none"`
}
