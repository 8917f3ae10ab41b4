package api

import (
	"encoding/json"
	"time"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// The documents that the API answers with. Huma makes the schemas of its description, GET
// /v1/openapi.json, out of these types and their tags, those of [controller.Status], and those
// of package topology, which are the bodies of writes too.

// A Problem is the body of every answer that is no success (RFC 9457).
type Problem struct {
	Title  string `json:"title" doc:"The words for the status"`
	Status int    `json:"status" doc:"The HTTP status"`
	Detail string `json:"detail" doc:"What is wrong, and what to do about it"`
	// Errors are the mistakes of a request, each with its place.
	Errors []Mistake `json:"errors,omitempty" doc:"Every mistake, with its place"`
	// InUseBy lists what keeps an object from being deleted.
	InUseBy []Reference `json:"in_use_by,omitempty" doc:"What refers to the object that should be deleted"`
}

// A Mistake is something wrong with a request.
type Mistake struct {
	Pointer   string `json:"pointer,omitempty" doc:"Where in the body, as a JSON pointer (RFC 6901)"`
	Parameter string `json:"parameter,omitempty" doc:"Which parameter of the path, the query or the header"`
	Line      int    `json:"line,omitempty" doc:"Where in the body, from 1"`
	Column    int    `json:"column,omitempty" doc:"Where in the line, in characters from 1"`
	Detail    string `json:"detail" doc:"What is wrong"`
}

// A Reference names an object.
type Reference struct {
	Kind string `json:"kind" doc:"network, router, interface or port"`
	ID   string `json:"id"`
}

// Written is the answer to a write.
type Written struct {
	Revision uint64               `json:"revision" doc:"That the intent has now"`
	Applied  *bool                `json:"applied,omitempty" doc:"With wait=applied: the switches have confirmed it"`
	Pending  []controller.Pending `json:"pending,omitempty" doc:"What is waited for, if it is not applied"`
	Objects  []Outcome            `json:"objects,omitempty" doc:"What became of each object, and in a plan, what would"`
	Warnings []Mistake            `json:"warnings,omitempty" doc:"What is allowed but probably not meant"`
	Plan     *PlanDocument        `json:"plan,omitempty" doc:"What changes on this host"`
}

// An Outcome says what became of an object.
type Outcome struct {
	Kind string    `json:"kind" enum:"network,router,port"`
	ID   string    `json:"id"`
	Op   ledger.Op `json:"op" enum:"created,updated,unchanged,deleted"`
}

// A PlanDocument is what a write changes on this host.
type PlanDocument struct {
	Routers  []RouterPlan `json:"routers" doc:"Those whose flows change"`
	OVSDB    []RowChange  `json:"ovsdb" doc:"Rows of Open vSwitch's database, changed in one transaction"`
	Problems []string     `json:"problems,omitempty" doc:"What keeps parts of it from coming true"`
}

// A RouterPlan is what a write changes on a router's bridge.
type RouterPlan struct {
	Router    string   `json:"router"`
	Bridge    string   `json:"bridge"`
	Connected bool     `json:"connected" doc:"If not, the numbers of its ports are not known, and all its flows are listed as added"`
	Add       []string `json:"add" doc:"Flows, in the words of ovs-ofctl --names"`
	Modify    []string `json:"modify" doc:"Flows as they will be; they keep their counters"`
	Delete    []string `json:"delete" doc:"Flows that go"`
}

// A RowChange is what is done to a row of the database.
type RowChange struct {
	Op      string         `json:"op" enum:"insert,update,remove"`
	Table   string         `json:"table"`
	Row     string         `json:"row" doc:"Its name"`
	Router  string         `json:"router"`
	Columns map[string]any `json:"columns,omitempty" doc:"The columns that are written, of maps only the keys; null for a key that goes"`
}

// A Page is a part of a list.
type Page[D any] struct {
	Revision uint64 `json:"revision" doc:"Of the intent when the page was made: watch from there"`
	Items    []D    `json:"items"`
	Next     string `json:"next,omitempty" doc:"For after, if there is more"`
}

// An ObjectStatus says how far an object has come.
type ObjectStatus struct {
	Kind       string      `json:"kind"`
	ID         string      `json:"id"`
	Source     string      `json:"source" doc:"The file that declares it, or the store that it was written to"`
	Conditions []Condition `json:"conditions"`
	Machine    *Machine    `json:"machine,omitempty" doc:"Of a port: whether its machine is on the integration bridge"`
}

// A Condition is one thing that can be said of an object.
type Condition struct {
	Type    string   `json:"type" enum:"accepted,programmed,degraded" doc:"accepted: it is part of the intent, always true here. programmed: the switches hold what it asks for. degraded: they refuse a part of it"`
	Status  bool     `json:"status"`
	Reasons []string `json:"reasons,omitempty" doc:"Why it is not programmed, or degraded"`
}

// An Event is one change, as GET /v1/watch tells it.
type Event struct {
	Revision uint64          `json:"revision"`
	Kind     string          `json:"kind"`
	ID       string          `json:"id"`
	Op       string          `json:"op"`
	Object   json.RawMessage `json:"object,omitempty"` // absent if it was deleted
}

// Flows are the answer of GET /v1/routers/{id}/flows.
type Flows struct {
	Flows []FlowDocument `json:"flows"`
}

// A FlowDocument is a flow as the API shows it.
type FlowDocument struct {
	Table    uint8   `json:"table"`
	Priority uint16  `json:"priority"`
	Packets  uint64  `json:"packets" doc:"That hit it"`
	Bytes    uint64  `json:"bytes" doc:"Of these packets"`
	Age      float64 `json:"age" doc:"Seconds since it was installed"`
	Kind     string  `json:"kind,omitempty" doc:"Of the object that it serves: router, interface or port. Absent: it is not ours, or not wanted any more"`
	ID       string  `json:"id,omitempty" doc:"Of the object that it serves"`
	Does     string  `json:"does" doc:"What it is for"`
	Flow     string  `json:"flow" doc:"In the words of ovs-ofctl --names"`
}

// Counters are the answer of GET /v1/counters.
type Counters struct {
	At         float64             `json:"at" doc:"When they were told, in seconds since the daemon began; of a switch with very many flows they may be some seconds older"`
	Interfaces []InterfaceCounters `json:"interfaces" doc:"Of all routers whose switch was read, by router"`
	Ports      []PortCounters      `json:"ports" doc:"Those with the most packets, as many as --port-metrics says"`
}

// InterfaceCounters are the sums of one router interface, as the API shows them.
// They are those of the metrics.
type InterfaceCounters struct {
	Router          string            `json:"router"`
	Interface       string            `json:"interface"`
	RoutedPackets   uint64            `json:"routed_packets" doc:"That the switch routed out of the interface"`
	RoutedBytes     uint64            `json:"routed_bytes" doc:"Of these packets"`
	ReceivedPackets uint64            `json:"received_packets" doc:"That came in by the interface to be routed, or for the router itself"`
	ReceivedBytes   uint64            `json:"received_bytes" doc:"Of these packets"`
	KernelPackets   uint64            `json:"kernel_packets" doc:"From the kernel, that the switch sent out of the interface"`
	ARPReplies      uint64            `json:"arp_replies" doc:"ARP requests that the switch answered"`
	NDReplies       uint64            `json:"nd_replies" doc:"Neighbour solicitations that the switch answered"`
	EchoReplies     uint64            `json:"echo_replies" doc:"Pings to the interface's addresses that the switch answered"`
	TTLExpired      uint64            `json:"ttl_expired" doc:"Packets whose TTL ran out"`
	Limited         map[string]uint64 `json:"limited" doc:"Packets that were dropped because there were too many, by kind: resolution, echo, ttl and unknown"`
	Fallback        map[string]uint64 `json:"fallback" doc:"Packets that were handed to the kernel, or dropped without a fallback, by reason"`
}

// PortCounters are what was routed to a port.
type PortCounters struct {
	Router    string `json:"router"`
	Interface string `json:"interface" doc:"By which the router reaches it"`
	Port      string `json:"port"`
	Packets   uint64 `json:"packets"`
	Bytes     uint64 `json:"bytes"`
}

// A HistoryDocument is the answer of GET /v1/history.
type HistoryDocument struct {
	At         time.Time        `json:"at,omitzero" doc:"Of the latest sample. Absent: there is none yet"`
	Interval   time.Duration    `json:"interval" doc:"Seconds from one sample to the next"`
	Total      SeriesDocument   `json:"total" doc:"Of all routers, or of the router that was asked for"`
	Routers    []SeriesDocument `json:"routers" doc:"Those that have routed the most bits, busiest first"`
	Interfaces []SeriesDocument `json:"interfaces" doc:"Of the router that was asked for, by ID"`
	Left       int              `json:"left,omitempty" doc:"Interfaces without a history, because there are too many"`
}

// A SeriesDocument has rates, oldest first. All series of an answer have the same length.
type SeriesDocument struct {
	Router    string    `json:"router,omitempty"`
	Interface string    `json:"interface,omitempty"`
	In        []float64 `json:"in" doc:"Bits a second that the switch received; -1: not known"`
	Out       []float64 `json:"out" doc:"Bits a second that the switch routed; -1: not known"`
	Kernel    []float64 `json:"kernel" doc:"Packets a second that were handed to the kernel; -1: not known"`
}

// A TraceDocument is the answer of GET /v1/trace.
type TraceDocument struct {
	Paths []PathDocument `json:"paths" doc:"That of the packet and, if it arrives and that can be told, that of its answer"`
}

// A PathDocument is the path of a packet as the API shows it.
type PathDocument struct {
	From      trace.End      `json:"from"`
	To        trace.End      `json:"to"`
	Packet    string         `json:"packet" doc:"What kind of packet"`
	Router    string         `json:"router,omitempty" doc:"That it takes. Absent: none"`
	Bridge    string         `json:"bridge,omitempty" doc:"Of the router"`
	Interface string         `json:"interface,omitempty" doc:"Of the router, by which it comes in"`
	Verdict   string         `json:"verdict" enum:"switched,routed,answered,kernel,dropped,unknown"`
	Says      string         `json:"says" doc:"What becomes of the packet, in words"`
	Assumed   bool           `json:"assumed,omitempty" doc:"The bridge is not connected: what it should hold was followed"`
	Steps     []StepDocument `json:"steps" doc:"The flows that it hits, in the order of their tables"`
	Exits     []ExitDocument `json:"exits" doc:"Where it leaves the bridge; if several, one of them"`
	Verified  bool           `json:"verified,omitempty" doc:"Open vSwitch was asked too, ofproto/trace"`
	Disagrees string         `json:"disagrees,omitempty" doc:"What Open vSwitch says differently, or where a machine is not where it should be"`
	FromPort  string         `json:"from_port,omitempty" doc:"The port of the integration bridge from which Open vSwitch was asked. Absent: from the router's bridge"`
	ToPort    string         `json:"to_port,omitempty" doc:"The port of the integration bridge to which the packet comes, says Open vSwitch. Absent: it was followed to the router's bridge"`
	Remark    string         `json:"remark,omitempty" doc:"What else there is to say of the ways between the machines and the router"`
	Answer    string         `json:"answer,omitempty" doc:"The ICMP error with which the router's kernel answers, where the packet ends there"`
}

// A StepDocument is a flow that a packet hits.
type StepDocument struct {
	Table    uint8  `json:"table"`
	Priority uint16 `json:"priority"`
	Cookie   string `json:"cookie"`
	Kind     string `json:"kind,omitempty" doc:"Of the object that it serves. Absent: it is not ours"`
	ID       string `json:"id,omitempty" doc:"Of the object that it serves"`
	Does     string `json:"does" doc:"What it is for"`
	Flow     string `json:"flow" doc:"In the words of ovs-ofctl --names"`
	Held     bool   `json:"held" doc:"The switch has this flow"`
	Packets  uint64 `json:"packets" doc:"That have hit it"`
	Bytes    uint64 `json:"bytes" doc:"Of these packets"`
}

// An ExitDocument is where a packet leaves a router's bridge.
type ExitDocument struct {
	Interface string  `json:"interface,omitempty" doc:"Of the router"`
	Network   string  `json:"network,omitempty"`
	Port      string  `json:"port,omitempty" doc:"Who gets it"`
	Source    string  `json:"eth_src"`
	To        string  `json:"eth_dst"`
	TTL       string  `json:"ttl"`
	Share     float64 `json:"share,omitempty" doc:"Of the flows of packets, where there are several next hops"`
}

// An ExplanationDocument is the answer of GET /v1/explain/{cookie}.
type ExplanationDocument struct {
	Cookie string `json:"cookie"`
	Ours   bool   `json:"ours" doc:"The cookie has our mark"`
	Router string `json:"router,omitempty" doc:"On whose bridge it is"`
	Kind   string `json:"kind,omitempty" doc:"Of the object that it serves"`
	ID     string `json:"id,omitempty" doc:"Of the object that it serves"`
	Does   string `json:"does" doc:"What it is for"`
}

// ExaminationDocument is the answer of GET /v1/examination.
type ExaminationDocument struct {
	Problems int               `json:"problems" doc:"How many findings are problems"`
	Warnings int               `json:"warnings" doc:"How many findings are warnings"`
	Findings []FindingDocument `json:"findings"`
}

// A FindingDocument is what an examination has found.
type FindingDocument struct {
	Level  string `json:"level" enum:"ok,note,warning,problem"`
	About  string `json:"about" doc:"Such as Open vSwitch, or router r1"`
	Says   string `json:"says"`
	Remedy string `json:"remedy,omitempty" doc:"What to do about it"`
}

// EventsDocument is the answer of GET /v1/events.
type EventsDocument struct {
	Events []EventDocument `json:"events" doc:"Oldest first"`
	Next   uint64          `json:"next" doc:"What since is to be to get what comes after"`
}

// An EventDocument is something that happened: what the log says.
type EventDocument struct {
	Seq     uint64         `json:"seq" doc:"Grows by one from event to event, and starts anew with the daemon"`
	Time    time.Time      `json:"time"`
	Level   string         `json:"level" enum:"info,warn,error"`
	Message string         `json:"message"`
	Router  string         `json:"router,omitempty" doc:"That it is about"`
	Fields  map[string]any `json:"fields,omitempty" doc:"What else there is to say"`
}

// A LogDocument says what is logged.
type LogDocument struct {
	Level    *string `json:"level,omitempty" enum:"debug,info,warn,error" doc:"The least important level that is logged"`
	OpenFlow *string `json:"openflow,omitempty" doc:"The router whose OpenFlow messages are logged at debug level; empty: none's"`
}
