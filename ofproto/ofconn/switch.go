package ofconn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// Features requests the features of the switch, including its datapath ID.
func (c *Conn) Features(ctx context.Context) (ofproto.Features, error) {
	m, err := c.Call(ctx, ofproto.FeaturesRequest{})
	if err != nil {
		return ofproto.Features{}, fmt.Errorf("read features: %w", err)
	}
	f, ok := m.(ofproto.Features)
	if !ok {
		return f, fmt.Errorf("read features: %w: reply is %T", ErrGarbage, m)
	}
	return f, nil
}

// claims is the number of attempts to get a role while other controllers request roles too.
const claims = 5

// Claim requests the role of master or slave. It uses the generation after the latest one that
// the switch knows (OpenFlow 1.3.5 §6.3.6). A switch has at most one master, so the previous
// master becomes a slave.
func (c *Conn) Claim(ctx context.Context, role ofproto.Role) error {
	for try := 1; ; try++ {
		now, err := c.role(ctx, ofproto.RoleRequest{})
		if err != nil {
			return fmt.Errorf("request role: %w", err)
		}
		next := now.Generation
		if role == ofproto.RoleMaster || next == math.MaxUint64 { // a generation with all bits set means that the switch has no generation yet
			next++
		}
		_, err = c.role(ctx, ofproto.RoleRequest{Role: role, Generation: next})
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ofproto.ErrStaleRole) && try < claims: // another controller was faster
		default:
			return fmt.Errorf("request role %v in generation %d: %w", role, next, err)
		}
	}
}

func (c *Conn) role(ctx context.Context, req ofproto.RoleRequest) (ofproto.RoleReply, error) {
	m, err := c.Call(ctx, req)
	if err != nil {
		return ofproto.RoleReply{}, err
	}
	r, ok := m.(ofproto.RoleReply)
	if !ok {
		return r, fmt.Errorf("%w: reply is %T", ErrGarbage, m)
	}
	return r, nil
}

// MaxPorts is more than the number of ports of any Open vSwitch bridge.
const MaxPorts = 1 << 16

// Ports returns the ports of the switch.
func (c *Conn) Ports(ctx context.Context) ([]ofproto.Port, error) {
	var ports []ofproto.Port
	err := c.EachPort(ctx, func(part []ofproto.Port) error {
		if ports = append(ports, part...); len(ports) > MaxPorts {
			return fmt.Errorf("%w: more than %d ports", ErrTooLong, MaxPorts)
		}
		return nil
	})
	return ports, err
}

// EachPort requests the ports of the switch. It passes each part of the reply to take, on the
// reader's goroutine. If take fails, EachPort stops and returns an error that wraps the error of
// take.
func (c *Conn) EachPort(ctx context.Context, take func([]ofproto.Port) error) error {
	return c.MultipartWithin(ctx, ofproto.PortDescRequest{}, maxShortAnswer, func(body ofproto.MultipartBody) error {
		r, ok := body.(ofproto.PortDescReply)
		if !ok {
			return fmt.Errorf("%w: reply is %T", ErrGarbage, body)
		}
		return take(r)
	})
}

// Flows returns the flows that filter selects.
func (c *Conn) Flows(ctx context.Context, filter ofproto.FlowFilter) ([]ofproto.FlowStats, error) {
	var parts [][]ofproto.FlowStats // joined at the end, off the reader's goroutine
	err := c.Multipart(ctx, ofproto.FlowStatsRequest(filter), func(body ofproto.MultipartBody) bool {
		r, ok := body.(ofproto.FlowStatsReply)
		parts = append(parts, r)
		return ok
	})
	return slices.Concat(parts...), err
}

// EachFlow requests the flows that filter selects. It passes each part of the reply to take, on the
// reader's goroutine. If take fails, EachFlow stops and returns an error that wraps the error of
// take.
func (c *Conn) EachFlow(ctx context.Context, filter ofproto.FlowFilter, take func([]ofproto.FlowStats) error) error {
	return c.MultipartWithin(ctx, ofproto.FlowStatsRequest(filter), c.cfg.MaxAnswer, func(body ofproto.MultipartBody) error {
		r, ok := body.(ofproto.FlowStatsReply)
		if !ok {
			return fmt.Errorf("%w: reply is %T", ErrGarbage, body)
		}
		return take(r)
	})
}

// Multipart sends a multipart request and passes each part of the reply to take, which reports
// whether the part has the requested type.
func (c *Conn) Multipart(ctx context.Context, req ofproto.MultipartBody, take func(ofproto.MultipartBody) bool) error {
	room := maxShortAnswer
	switch req.(type) {
	case ofproto.FlowStatsRequest, ofproto.GroupDescRequest, ofproto.MeterConfigRequest:
		room = c.cfg.MaxAnswer // may be long
	}
	return c.MultipartWithin(ctx, req, room, func(body ofproto.MultipartBody) error {
		if !take(body) {
			return fmt.Errorf("%w: reply is %T", ErrGarbage, body)
		}
		return nil
	})
}

// MultipartWithin sends a multipart request. It passes each part of the reply to take, on the
// reader's goroutine. The reply may have at most room bytes in total. If take fails,
// MultipartWithin drops the rest of the reply and returns an error that wraps the error of take.
func (c *Conn) MultipartWithin(ctx context.Context, req ofproto.MultipartBody, room int, take func(ofproto.MultipartBody) error) error {
	var bad error
	err := c.request(ctx, ofproto.Request(req), min(room, c.cfg.MaxAnswer), func(m ofproto.Message) bool {
		switch m := m.(type) {
		case ofproto.ErrorMessage:
			bad = fmt.Errorf("switch refused the request: %w", m.Code)
		case ofproto.Multipart:
			if bad = take(m.Body); bad == nil {
				return !m.More
			}
		default:
			bad = fmt.Errorf("%w: reply is %T", ErrGarbage, m)
		}
		return true
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.TrimPrefix(fmt.Sprintf("%T", req), "ofproto."), err)
	}
	return nil
}
