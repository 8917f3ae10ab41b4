package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// A TraceDocument is the answer of GET /v1/trace.
type TraceDocument struct {
	Ways []WayDocument `json:"ways" doc:"That of the packet and, if it can be told, that of its answer"`
}

// A WayDocument is the way of a packet as the API shows it.
type WayDocument struct {
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
	Disagrees string         `json:"disagrees,omitempty" doc:"What Open vSwitch says differently"`
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

type traceInput struct {
	From   string `query:"from" required:"true" doc:"Where the packet comes from: the ID of a port, or an address"`
	To     string `query:"to" required:"true" doc:"Where it goes: the ID of a port, or an address"`
	Router string `query:"router" doc:"That it takes, if there are several"`
	Proto  string `query:"proto" default:"icmp" doc:"icmp, tcp, udp, sctp or the number of an IP protocol"`
	Sport  uint16 `query:"sport" doc:"Source port"`
	Dport  uint16 `query:"dport" doc:"Destination port"`
	Size   int    `query:"size" default:"84" minimum:"20" maximum:"65535" doc:"Bytes of the IP packet"`
	TTL    int    `query:"ttl" default:"64" minimum:"0" maximum:"255"`
	Verify bool   `query:"verify" doc:"Ask Open vSwitch too"`
}

func (s *service) registerTrace(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "trace", Method: http.MethodGet, Path: "/v1/trace", Summary: "The way of a packet, and of its answer",
		Tags: []string{"status"}, Errors: []int{404, 409, 422, 503},
	}, s.trace)
	huma.Register(a, huma.Operation{
		OperationID: "explain", Method: http.MethodGet, Path: "/v1/explain/{cookie}", Summary: "What the flows with a cookie are for",
		Tags: []string{"status"}, Errors: []int{422, 503},
	}, s.explain)
}

func (s *service) trace(ctx context.Context, in *traceInput) (*struct{ Body TraceDocument }, error) {
	proto, err := trace.ParseProto(in.Proto)
	if err != nil {
		p := problem(http.StatusUnprocessableEntity, "the request has a mistake")
		p.Errors = []Mistake{{Parameter: "proto", Detail: err.Error()}}
		return nil, p
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	ways, err := s.switches.Trace(ctx, trace.Query{From: in.From, To: in.To, Router: in.Router,
		Packet: trace.Packet{Proto: proto, SrcPort: in.Sport, DstPort: in.Dport, Size: in.Size, TTL: uint8(in.TTL)}}, in.Verify)
	if err != nil {
		return nil, failure(err)
	}
	out := TraceDocument{}
	for i := range ways {
		out.Ways = append(out.Ways, wayDocument(&ways[i]))
	}
	return &struct{ Body TraceDocument }{out}, nil
}

func wayDocument(w *controller.TracedWay) WayDocument {
	d := WayDocument{
		From: w.From, To: w.To, Packet: w.Packet.String(), Bridge: w.Bridge, Verdict: string(w.Verdict), Says: w.Says(),
		Assumed: w.Assumed, Verified: w.Verified, Steps: []StepDocument{}, Exits: []ExitDocument{},
	}
	if w.Router != nil {
		d.Router, d.Interface = w.Router.ID, w.In.ID
	}
	if w.Disagrees != nil {
		d.Disagrees = w.Disagrees.Error()
	}
	for i := range w.Steps {
		st := &w.Steps[i]
		sd := StepDocument{Table: uint8(st.Flow.Table), Priority: st.Flow.Priority, Cookie: fmt.Sprintf("%#x", uint64(st.Flow.Cookie)), Does: st.Does, Flow: w.Text[i]}
		if st.Object != nil {
			sd.Kind, sd.ID = st.Object.Kind.String(), st.Object.ID
		}
		if h := w.Held[i]; h != nil {
			sd.Held, sd.Packets, sd.Bytes = true, h.Packets, h.Bytes
		}
		d.Steps = append(d.Steps, sd)
	}
	for _, e := range w.Exits {
		ed := ExitDocument{Port: e.Port, Source: e.Src, To: e.Dst, TTL: e.TTL, Share: e.Share}
		if e.Interface != nil {
			ed.Interface, ed.Network = e.Interface.ID, e.Interface.Network
		}
		d.Exits = append(d.Exits, ed)
	}
	return d
}

func (s *service) explain(ctx context.Context, in *struct {
	Cookie string `path:"cookie" doc:"As ovs-ofctl prints it"`
}) (*struct{ Body ExplanationDocument }, error) {
	n, err := strconv.ParseUint(in.Cookie, 0, 64)
	if err != nil {
		p := problem(http.StatusUnprocessableEntity, "the request has a mistake")
		p.Errors = []Mistake{{Parameter: "cookie", Detail: "want a number of 64 bits, such as 0xfd038f991dc72312"}}
		return nil, p
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	e, ours, err := s.switches.Explain(ctx, ofproto.Cookie(n))
	if err != nil {
		return nil, failure(err)
	}
	out := ExplanationDocument{Cookie: fmt.Sprintf("%#x", n), Ours: ours, Router: e.Router, Does: e.Does}
	if !ours {
		out.Does = "is not ours"
	}
	if e.Object != nil {
		out.Kind, out.ID = e.Object.Kind.String(), e.Object.ID
	}
	return &struct{ Body ExplanationDocument }{out}, nil
}
