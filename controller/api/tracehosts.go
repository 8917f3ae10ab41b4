package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/inquiry"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing/trace"
)

// traceOthers completes the paths of a trace with the parts of other hosts, if hosts share their intent
// in etcd. Each host traces the path of a packet that its machine sends, and the path of a packet that
// comes to it by a tunnel.
func (s *service) traceOthers(ctx context.Context, in *traceInput, paths []PathDocument) {
	if s.others.Ask == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	var all sync.WaitGroup
	for i := range paths {
		all.Go(func() {
			p := &paths[i]
			if p.Host != "" && p.Host != s.others.Host {
				s.traceSender(ctx, in, i, p)
			}
			p.Arrivals = make([]ArrivalDocument, len(p.Departures))
			var each sync.WaitGroup
			for k := range p.Departures {
				each.Go(func() { p.Arrivals[k] = s.askArrival(ctx, p.Host, &p.Departures[k], in.Verify) })
			}
			each.Wait()
		})
	}
	all.Wait()
}

// traceSender replaces *p, path i of a trace, by the path according to the sender's host.
func (s *service) traceSender(ctx context.Context, in *traceInput, i int, p *PathDocument) {
	args := map[string]string{"from": in.From, "to": in.To, "proto": in.Proto, "size": strconv.Itoa(in.Size), "ttl": strconv.Itoa(in.TTL),
		"verify": strconv.FormatBool(in.Verify)}
	if in.Router != "" {
		args["router"] = in.Router
	}
	for name, port := range map[string]uint16{"sport": in.Sport, "dport": in.Dport} {
		if port != 0 {
			args[name] = strconv.Itoa(int(port))
		}
	}
	var d TraceDocument
	err := s.askOne(ctx, p.Host, inquiry.Question{Kind: kindTrace, Args: args}, &d)
	switch {
	case err != nil:
		p.NoAnswer = err.Error()
	case i >= len(d.Paths) || d.Paths[i].Host != p.Host:
		p.NoAnswer = "it has another intent, or another host for the machine"
	default:
		*p = d.Paths[i]
	}
}

// askArrival asks a host for its part of the path of a packet that comes from a host by a tunnel.
func (s *service) askArrival(ctx context.Context, from string, o *DepartureDocument, verify bool) ArrivalDocument {
	q := inquiry.Question{Kind: kindArrival, Args: map[string]string{"host": from, "network": o.Network, "packet": o.Packet, "size": strconv.Itoa(o.Size), "verify": strconv.FormatBool(verify)}}
	var d ArrivalDocument
	if err := s.askOne(ctx, o.Host, q, &d); err != nil {
		return ArrivalDocument{Host: o.Host, NoAnswer: err.Error(), Steps: []ArrivalStep{}}
	}
	d.Host = o.Host
	return d
}

// askOne asks a host, which may be this one, and decodes its answer.
func (s *service) askOne(ctx context.Context, host string, q inquiry.Question, out any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	q.From, q.To = s.others.Host, []string{host}
	var a inquiry.Answer
	if host == s.others.Host {
		a = s.selfAnswer(ctx, q)
	} else {
		answers, err := s.others.Ask(ctx, q, q.To)
		if err != nil {
			return err
		}
		if len(answers) != 1 {
			return fmt.Errorf("%d answers", len(answers))
		}
		a = answers[0]
	}
	if a.Error != "" {
		return fmt.Errorf("%s", a.Error)
	}
	if err := json.Unmarshal(a.Body, out); err != nil {
		return fmt.Errorf("its answer cannot be read; do the hosts run different versions of ofdvr? %w", err)
	}
	return nil
}

type arrivalInput struct {
	Host    string `query:"host" required:"true" doc:"ID of the host that the packet comes from"`
	Network string `query:"network" required:"true" doc:"Network with the VNI of the packet in the tunnel"`
	Packet  string `query:"packet" required:"true" doc:"The packet in the syntax of a match of ovs-ofctl"`
	Size    int    `query:"size" default:"98" minimum:"34" maximum:"65549" doc:"Its bytes, with the Ethernet header"`
	Verify  bool   `query:"verify" doc:"Compare with ovs-appctl ofproto/trace"`
}

func (s *service) arrival(ctx context.Context, in *arrivalInput) (*struct{ Body ArrivalDocument }, error) {
	headers, err := ofproto.ParseMatch(in.Packet)
	if err != nil {
		p := problem(http.StatusUnprocessableEntity, "the request has a mistake")
		p.Errors = []Mistake{{Parameter: "packet", Detail: err.Error()}}
		return nil, p
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	packet := trace.Bare(ofproto.Packet{Headers: headers, Size: in.Size})
	t, err := s.switches.Arrive(ctx, controller.Arrival{Host: in.Host, Network: in.Network, Packet: packet}, in.Verify)
	if err != nil {
		return nil, failure(err)
	}
	d := ArrivalDocument{Host: s.others.Host, Arrives: t.Arrives, Says: t.Says, Steps: []ArrivalStep{}, VerificationDocument: verificationDocument(&t.Verification)}
	for i := range t.Steps {
		st := &t.Steps[i]
		d.Steps = append(d.Steps, ArrivalStep{st.Bridge, stepDocument(&st.Step, st.Text, st.Held)})
	}
	return &struct{ Body ArrivalDocument }{d}, nil
}
