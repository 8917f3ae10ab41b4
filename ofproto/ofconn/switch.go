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

// Features asks the switch who it is.
func (c *Conn) Features(ctx context.Context) (ofproto.Features, error) {
	m, err := c.Call(ctx, ofproto.FeaturesRequest{})
	if err != nil {
		return ofproto.Features{}, fmt.Errorf("ask for features: %w", err)
	}
	f, ok := m.(ofproto.Features)
	if !ok {
		return f, fmt.Errorf("ask for features: %w: answer is %T", ErrGarbage, m)
	}
	return f, nil
}

// claims is how often a role is asked for while other controllers ask for
// theirs.
const claims = 5

// Claim asks the switch for a role, master or slave, in a generation that
// follows the latest that the switch knows of (OpenFlow 1.3.5 §6.3.6). A switch
// has one master at most: another one becomes a slave.
func (c *Conn) Claim(ctx context.Context, role ofproto.Role) error {
	for try := 1; ; try++ {
		now, err := c.role(ctx, ofproto.RoleRequest{})
		if err != nil {
			return fmt.Errorf("ask for the role: %w", err)
		}
		next := now.Generation
		if role == ofproto.RoleMaster || next == math.MaxUint64 { // all ones: there was none yet
			next++
		}
		_, err = c.role(ctx, ofproto.RoleRequest{Role: role, Generation: next})
		switch {
		case err == nil:
			return nil
		case errors.Is(err, ofproto.ErrStaleRole) && try < claims: // somebody else was quicker
		default:
			return fmt.Errorf("ask for the role of %v in generation %d: %w", role, next, err)
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
		return r, fmt.Errorf("%w: answer is %T", ErrGarbage, m)
	}
	return r, nil
}

// MaxPorts is more ports than Open vSwitch gives a bridge.
const MaxPorts = 1 << 16

// Ports asks the switch for its ports.
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

// EachPort asks the switch for its ports, and gives each part of the answer to take, on the
// reader's goroutine. An error of take ends that, and is wrapped by the one returned.
func (c *Conn) EachPort(ctx context.Context, take func([]ofproto.Port) error) error {
	return c.MultipartWithin(ctx, ofproto.PortDescRequest{}, maxShortAnswer, func(body ofproto.MultipartBody) error {
		r, ok := body.(ofproto.PortDescReply)
		if !ok {
			return fmt.Errorf("%w: answer is %T", ErrGarbage, body)
		}
		return take(r)
	})
}

// Flows asks the switch for the flows that filter selects.
func (c *Conn) Flows(ctx context.Context, filter ofproto.FlowFilter) ([]ofproto.FlowStats, error) {
	var parts [][]ofproto.FlowStats // joined at the end, off the reader's goroutine
	err := c.Multipart(ctx, ofproto.FlowStatsRequest(filter), func(body ofproto.MultipartBody) bool {
		r, ok := body.(ofproto.FlowStatsReply)
		parts = append(parts, r)
		return ok
	})
	return slices.Concat(parts...), err
}

// EachFlow asks the switch for the flows that filter selects, and gives each part of the answer
// to take, on the reader's goroutine. An error of take ends that, and is wrapped by the one
// returned.
func (c *Conn) EachFlow(ctx context.Context, filter ofproto.FlowFilter, take func([]ofproto.FlowStats) error) error {
	return c.MultipartWithin(ctx, ofproto.FlowStatsRequest(filter), c.cfg.MaxAnswer, func(body ofproto.MultipartBody) error {
		r, ok := body.(ofproto.FlowStatsReply)
		if !ok {
			return fmt.Errorf("%w: answer is %T", ErrGarbage, body)
		}
		return take(r)
	})
}

// Multipart sends a multipart request and gives each part of the answer to
// take, which reports whether it is of the kind that was asked for.
func (c *Conn) Multipart(ctx context.Context, req ofproto.MultipartBody, take func(ofproto.MultipartBody) bool) error {
	room := maxShortAnswer
	switch req.(type) {
	case ofproto.FlowStatsRequest, ofproto.GroupDescRequest, ofproto.MeterConfigRequest:
		room = c.cfg.MaxAnswer // there may be many
	}
	return c.MultipartWithin(ctx, req, room, func(body ofproto.MultipartBody) error {
		if !take(body) {
			return fmt.Errorf("%w: answer is %T", ErrGarbage, body)
		}
		return nil
	})
}

// MultipartWithin sends a multipart request and gives each part of the answer, of room bytes
// together, to take, on the reader's goroutine. An error of take ends that, and is wrapped by
// the one returned; what else comes in answer is dropped.
func (c *Conn) MultipartWithin(ctx context.Context, req ofproto.MultipartBody, room int, take func(ofproto.MultipartBody) error) error {
	var bad error
	err := c.ask(ctx, ofproto.Request(req), min(room, c.cfg.MaxAnswer), func(m ofproto.Message) bool {
		switch m := m.(type) {
		case ofproto.ErrorMessage:
			bad = fmt.Errorf("switch answered: %w", m.Code)
		case ofproto.Multipart:
			if bad = take(m.Body); bad == nil {
				return !m.More
			}
		default:
			bad = fmt.Errorf("%w: answer is %T", ErrGarbage, m)
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
