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

type traceInput struct {
	From   string `query:"from" required:"true" doc:"Source: the ID or name of a port, or an address"`
	To     string `query:"to" required:"true" doc:"Destination: the ID or name of a port, or an address"`
	Router string `query:"router" doc:"Router of the path, if there are several"`
	Proto  string `query:"proto" default:"icmp" doc:"icmp, tcp, udp, sctp or the number of an IP protocol"`
	Sport  uint16 `query:"sport" doc:"Source port"`
	Dport  uint16 `query:"dport" doc:"Destination port"`
	Size   int    `query:"size" default:"84" minimum:"20" maximum:"65535" doc:"Bytes of the IP packet"`
	TTL    int    `query:"ttl" default:"64" minimum:"0" maximum:"255"`
	Verify bool   `query:"verify" doc:"Compare with ovs-appctl ofproto/trace"`
	All    bool   `query:"all_hosts" doc:"If hosts share their intent in etcd, ask the other hosts of the path for their parts"`
}

func (s *service) registerTrace(a huma.API) {
	huma.Register(a, huma.Operation{
		OperationID: "trace", Method: http.MethodGet, Path: "/v1/trace", Summary: "The path of a packet, and of its reply",
		Tags: []string{"status"}, Errors: []int{404, 409, 422, 503},
	}, s.trace)
	huma.Register(a, huma.Operation{
		OperationID: "arrival", Method: http.MethodGet, Path: "/v1/arrival", Summary: "The path of a packet that comes from another host by a tunnel",
		Tags: []string{"status"}, Errors: []int{404, 422, 503},
	}, s.arrival)
	huma.Register(a, huma.Operation{
		OperationID: "explain", Method: http.MethodGet, Path: "/v1/explain/{cookie}", Summary: "The purpose of the flows with a cookie",
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
	for name, port := range map[string]uint16{"sport": in.Sport, "dport": in.Dport} {
		if port != 0 && !trace.HasPorts(proto) {
			p := problem(http.StatusUnprocessableEntity, "the request has a mistake")
			p.Errors = []Mistake{{Parameter: name, Detail: fmt.Sprintf("packets of protocol %s have no ports: want proto=tcp, udp or sctp", in.Proto)}}
			return nil, p
		}
	}
	within, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	paths, err := s.switches.Trace(within, trace.Query{From: in.From, To: in.To, Router: in.Router,
		Packet: trace.Packet{Proto: proto, SrcPort: in.Sport, DstPort: in.Dport, Size: in.Size, TTL: uint8(in.TTL)}}, in.Verify)
	if err != nil {
		return nil, failure(err)
	}
	out := TraceDocument{}
	for i := range paths {
		out.Paths = append(out.Paths, pathDocument(&paths[i]))
	}
	if in.All {
		s.traceOthers(ctx, in, out.Paths)
	}
	return &struct{ Body TraceDocument }{out}, nil
}

func pathDocument(w *controller.TracedPath) PathDocument {
	d := PathDocument{
		From: w.From, To: w.To, Packet: w.Packet.String(), Bridge: w.Bridge, Verdict: string(w.Verdict), Says: w.Says(),
		Assumed: w.Assumed, Host: w.Host, VerificationDocument: verificationDocument(&w.Verification), Steps: []StepDocument{}, Exits: []ExitDocument{},
	}
	if w.Router != nil {
		d.Router, d.Interface, d.Answer = w.Router.ID, w.In.ID, w.Answer()
	}
	for i := range w.Steps {
		d.Steps = append(d.Steps, stepDocument(&w.Steps[i], w.Text[i], w.Held[i]))
	}
	for _, e := range w.Exits {
		ed := ExitDocument{Port: e.Port, Source: e.Src, To: e.Dst, TTL: e.TTL, Share: e.Share, Host: e.Host}
		if e.Interface != nil {
			ed.Interface, ed.Network = e.Interface.ID, e.Interface.Network
		}
		d.Exits = append(d.Exits, ed)
	}
	for _, o := range w.Departures {
		d.Departures = append(d.Departures, DepartureDocument{Host: o.Host, Network: o.Network, Packet: o.Packet.Headers.String(), Size: o.Packet.Size})
	}
	return d
}

func verificationDocument(v *controller.Verification) VerificationDocument {
	d := VerificationDocument{Verified: v.Verified, FromPort: v.Between[0], ToPort: v.Between[1], Remark: v.Remark}
	if v.Disagrees != nil {
		d.Disagrees = v.Disagrees.Error()
	}
	return d
}

func stepDocument(s *trace.Step, text string, held *ofproto.FlowStats) StepDocument {
	d := StepDocument{Table: uint8(s.Flow.Table), Priority: s.Flow.Priority, Cookie: fmt.Sprintf("%#x", uint64(s.Flow.Cookie)), Does: s.Does, Flow: text}
	if s.Object != nil {
		d.Kind, d.ID = s.Object.Kind.String(), s.Object.ID
	}
	if held != nil {
		d.Held, d.Packets, d.Bytes = true, held.Packets, held.Bytes
	}
	return d
}

func (s *service) explain(ctx context.Context, in *struct {
	Cookie string `path:"cookie" doc:"The cookie as ovs-ofctl prints it"`
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
