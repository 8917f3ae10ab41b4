package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// Besides flows, groups and meters, two settings of a switch can block packets: the
// configuration of ports (ofp_port_config) and the treatment of fragments (ofp_config_flags).
const (
	fragNormal = 0 // OFPC_FRAG_NORMAL: fragments are looked up like other packets
	fragMask   = 3 // OFPC_FRAG_MASK

	blocksPatch = ofproto.PortConfigDown | ofproto.PortConfigNoReceive | ofproto.PortConfigNoForward
	blocksTap   = ofproto.PortConfigNoReceive | ofproto.PortConfigNoForward // does not include Down, which the namespace sets
)

var fragmentHandling = [...]string{"normal", "drop", "reassemble", "nx-match"} // names of ovs-ofctl set-frags, by value

// A misconfiguration is a setting that blocks packets.
type misconfiguration struct {
	about string // such as port pr-r1-blue
	is    string
	undo  string       // the command that corrects it
	port  ofproto.Port // the port with the setting; zero if it is a setting of the switch
	bits  ofproto.PortConfig
}

func (m misconfiguration) String() string {
	return fmt.Sprintf("%s is configured as %s, so packets do not pass: %s", m.about, m.is, m.undo)
}

// configure corrects settings of a session's switch that block packets. On a bridge that is
// not ours, or while another daemon leads, it only reports them as problems in the status.
func (c *Controller) configure(ctx context.Context, s *session) error {
	type turn struct {
		router *routing.Router
		lead   bool
	}
	now, err := ask(ctx, c, func(w *world) turn {
		for _, st := range w.states() {
			if st.session == s {
				return turn{st.router, w.lead}
			}
		}
		return turn{}
	})
	r, lead := now.router, now.lead
	if err != nil || r == nil {
		return err
	}
	found, config, err := s.misconfigured(ctx, r)
	if err != nil {
		return err
	}
	if len(found) > 0 && lead && r.Bridge.Managed {
		if err := s.correct(ctx, found, config); err != nil {
			return err
		}
		if found, _, err = s.misconfigured(ctx, r); err != nil {
			return err
		}
	}
	blocked := make([]string, len(found))
	for i, m := range found {
		blocked[i] = m.String()
	}
	c.post(configRead{s, blocked})
	return nil
}

// configRead records the settings of a session's switch that block packets.
func (w *world) configRead(s *session, blocked []string) {
	if !slices.Equal(s.blocked, blocked) {
		s.blocked, w.moved = blocked, true
	}
}

// misconfigured returns the settings that block packets of r, and the configuration of the
// switch. If the switch refuses the request, misconfigured returns no setting.
func (s *session) misconfigured(ctx context.Context, r *routing.Router) ([]misconfiguration, ofproto.SwitchConfig, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, configTimeout, fmt.Errorf("the switch did not report its configuration in %v", configTimeout))
	defer cancel()
	var found []misconfiguration
	blocks := make(map[string]ofproto.PortConfig)
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		blocks[f.PatchName()] = blocksPatch
		if r.Fallback == routing.FallbackNamespace {
			blocks[f.TapName()] = blocksTap
		}
	}
	for _, p := range s.ports.all() {
		if bits := p.Config & blocks[p.Name]; bits != 0 {
			found = append(found, misconfiguration{"port " + p.Name, bits.String(), undoPort(s.bridge, p.Name, bits), p, bits})
		}
	}
	answer, err := s.conn.Call(ctx, ofproto.GetConfigRequest{})
	var code ofproto.ErrorCode
	if err != nil && !errors.As(err, &code) {
		return nil, ofproto.SwitchConfig{}, fmt.Errorf("read the configuration of bridge %s: %w", s.bridge, err)
	}
	config, _ := answer.(ofproto.SwitchConfig)
	if how := config.Flags & fragMask; how == 1 || how == 2 {
		found = append(found, misconfiguration{about: "the treatment of fragments", is: fragmentHandling[how],
			undo: fmt.Sprintf("ovs-ofctl -O OpenFlow13 set-frags %s normal", s.bridge)})
	}
	return found, config, nil
}

// configTimeout is how long a switch may take to report or change its configuration.
const configTimeout = 30 * time.Second

// undoPort returns the commands that clear bits of a port's configuration.
func undoPort(bridge, port string, bits ofproto.PortConfig) string {
	out := ""
	for _, w := range []struct {
		bit  ofproto.PortConfig
		undo string
	}{{ofproto.PortConfigDown, "up"}, {ofproto.PortConfigNoReceive, "receive"}, {ofproto.PortConfigNoForward, "forward"}} {
		if bits&w.bit != 0 {
			if out != "" {
				out += " && "
			}
			out += fmt.Sprintf("ovs-ofctl -O OpenFlow13 mod-port %s %s %s", bridge, port, w.undo)
		}
	}
	return out
}

// correct corrects the settings in found. If the switch refuses a correction, the setting
// stays as it is.
func (s *session) correct(ctx context.Context, found []misconfiguration, config ofproto.SwitchConfig) error {
	ctx, cancel := context.WithTimeoutCause(ctx, configTimeout, fmt.Errorf("the switch did not change its configuration in %v", configTimeout))
	defer cancel()
	for _, m := range found {
		var change ofproto.Message = ofproto.SetConfig{SwitchConfig: ofproto.SwitchConfig{Flags: config.Flags&^fragMask | fragNormal, MissSendLen: config.MissSendLen}}
		if m.bits != 0 {
			change = ofproto.PortMod{Port: m.port.No, MAC: m.port.MAC, Mask: m.bits}
		}
		if err := s.conn.Send(ctx, change); err != nil {
			return fmt.Errorf("correct the configuration of bridge %s: %w", s.bridge, err)
		}
	}
	if _, err := s.conn.Call(ctx, ofproto.BarrierRequest{}); err != nil {
		return fmt.Errorf("correct the configuration of bridge %s: %w", s.bridge, err)
	}
	if err := s.describe(ctx); err != nil {
		return err
	}
	for _, m := range found {
		s.log.Warn("corrected a configuration that another program had changed", zap.String("about", m.about), zap.String("was", m.is))
	}
	return nil
}
