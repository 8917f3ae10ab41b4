package ofconn

import (
	"context"
	"fmt"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Features asks the switch who it is.
func (c *Conn) Features(ctx context.Context) (ofproto.Features, error) {
	m, err := c.Call(ctx, ofproto.FeaturesRequest{})
	if err != nil {
		return ofproto.Features{}, err
	}
	f, ok := m.(ofproto.Features)
	if !ok {
		return f, fmt.Errorf("features request: switch answered with %T", m)
	}
	return f, nil
}

// Ports asks the switch for its ports.
func (c *Conn) Ports(ctx context.Context) ([]ofproto.Port, error) {
	var ports []ofproto.Port
	err := c.multipart(ctx, ofproto.PortDescRequest{}, func(m ofproto.Message) (more, ok bool) {
		r, ok := m.(ofproto.PortDescReply)
		ports = append(ports, r.Ports...)
		return r.More, ok
	})
	if err != nil {
		return nil, fmt.Errorf("ask for ports: %w", err)
	}
	return ports, nil
}

// Flows asks the switch for the flows that match req.
func (c *Conn) Flows(ctx context.Context, req ofproto.FlowStatsRequest) ([]ofproto.FlowStats, error) {
	var flows []ofproto.FlowStats
	err := c.multipart(ctx, req, func(m ofproto.Message) (more, ok bool) {
		r, ok := m.(ofproto.FlowStatsReply)
		flows = append(flows, r.Flows...)
		return r.More, ok
	})
	if err != nil {
		return nil, fmt.Errorf("ask for flows: %w", err)
	}
	return flows, nil
}

// multipart sends req and gives each part of the answer to take.
func (c *Conn) multipart(ctx context.Context, req ofproto.Message, take func(ofproto.Message) (more, ok bool)) error {
	var bad error
	err := c.ask(ctx, req, func(m ofproto.Message) bool {
		if e, ok := m.(ofproto.ErrorMessage); ok {
			bad = fmt.Errorf("switch answered: %w", e.Code)
			return true
		}
		more, ok := take(m)
		if !ok {
			bad = fmt.Errorf("switch answered with %T", m)
		}
		return !ok || !more
	})
	if err != nil {
		return err
	}
	return bad
}
