package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/contiv/libOpenflow/common"
	"github.com/contiv/libOpenflow/openflow13"
	"github.com/contiv/libOpenflow/util"
	"github.com/contiv/ofnet/ofctrl"
	"github.com/sirupsen/logrus"
)

// ofnet is contiv's controller, connected to a bridge's management socket, like in Antrea.
// Its methods are called from one goroutine; ofnet itself calls those below
// SwitchConnected.
type ofnet struct {
	socket    string
	ctrl      *ofctrl.Controller
	connected chan *ofctrl.OFSwitch // holds the connected switch
	sw        *ofctrl.OFSwitch      // nil before the first use
}

func newOfnet(socket string) *ofnet {
	logrus.SetOutput(io.Discard) // both libraries log every unknown message
	return &ofnet{socket: socket, connected: make(chan *ofctrl.OFSwitch, 1)}
}

// connect connects at the first call.
func (o *ofnet) connect(ctx context.Context) error {
	if o.sw != nil {
		return nil
	}
	o.ctrl = ofctrl.NewController(o)
	go o.ctrl.Connect(o.socket) // runs until the program ends, because ofnet cannot be stopped cleanly
	select {
	case o.sw = <-o.connected:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(10 * time.Second):
		return errors.New("ofnet did not connect")
	}
}

// Methods that ofnet calls.

func (o *ofnet) SwitchConnected(sw *ofctrl.OFSwitch) {
	select {
	case o.connected <- sw:
	default:
	}
}
func (o *ofnet) SwitchDisconnected(*ofctrl.OFSwitch)                         {}
func (o *ofnet) PacketRcvd(*ofctrl.OFSwitch, *ofctrl.PacketIn)               {}
func (o *ofnet) MultipartReply(*ofctrl.OFSwitch, *openflow13.MultipartReply) {}
func (o *ofnet) TLVMapReplyRcvd(*ofctrl.OFSwitch, *ofctrl.TLVTableStatus)    {}
func (o *ofnet) MaxRetry() int                                               { return 5 }
func (o *ofnet) RetryInterval() time.Duration                                { return 10 * time.Millisecond }

// transaction commits a bundle with ofnet.
func (o *ofnet) transaction(ctx context.Context, _ *wireBridge, l *load) (func(context.Context) error, func(), error) {
	if err := o.connect(ctx); err != nil {
		return nil, nil, err
	}
	flows, err := o.flows(l.n)
	if err != nil {
		return nil, nil, err
	}
	return func(context.Context) error {
		tx := o.sw.NewTransaction(ofctrl.Atomic)
		if err := tx.Begin(); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		for _, f := range flows {
			m, err := f.GetBundleMessage(openflow13.FC_ADD)
			if err != nil {
				return err
			}
			if err := tx.AddMessage(m); err != nil {
				return fmt.Errorf("add: %w", err)
			}
		}
		if _, err := tx.Complete(); err != nil {
			return fmt.Errorf("complete: %w", err)
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	}, nil, nil
}

// flows returns the flows of routedFlows in ofnet's form.
func (o *ofnet) flows(n int) ([]*ofctrl.Flow, error) {
	t := o.sw.GetTable(deliverTable)
	if t == nil {
		var err error
		if t, err = o.sw.NewTable(deliverTable); err != nil {
			return nil, err
		}
	}
	flows := make([]*ofctrl.Flow, n)
	for i := range flows {
		addr, router, port := routedFlow(i)
		out, err := o.sw.OutputPort(uint32(flowPort(i)))
		if err != nil {
			return nil, err
		}
		ip := net.IP(addr[:])
		f := &ofctrl.Flow{
			Table:    t,
			Match:    ofctrl.FlowMatch{Priority: deliverPriority, Ethertype: 0x0800, IpDa: &ip},
			CookieID: uint64(flowCookie(i)),
		}
		f.ApplyActions([]ofctrl.OFAction{
			&ofctrl.SetSrcMACAction{MAC: router[:]}, &ofctrl.SetDstMACAction{MAC: port[:]}, &ofctrl.DecTTLAction{}, out,
		})
		flows[i] = f
	}
	return flows, nil
}

// libFlow returns flow i of routedFlows in libOpenflow's form.
func libFlow(i int) *openflow13.FlowMod {
	addr, router, port := routedFlow(i)
	f := openflow13.NewFlowMod()
	f.TableId, f.Priority, f.Cookie = deliverTable, deliverPriority, uint64(flowCookie(i))
	f.Match.AddField(*openflow13.NewEthTypeField(0x0800))
	f.Match.AddField(*openflow13.NewIpv4DstField(addr[:], nil))
	out := openflow13.NewActionOutput(uint32(flowPort(i)))
	out.MaxLen = 0 // max_len matters only for packets to a controller; libOpenflow sets 256
	apply := openflow13.NewInstrApplyActions()
	for _, a := range []openflow13.Action{
		openflow13.NewActionSetField(*openflow13.NewEthSrcField(router[:], nil)),
		openflow13.NewActionSetField(*openflow13.NewEthDstField(port[:], nil)),
		openflow13.NewActionDecNwTtl(),
		out,
	} {
		apply.AddAction(a, false) // never fails
	}
	f.AddInstruction(apply)
	return f
}

// libParser is libOpenflow's decoder for its MessageStream.
type libParser struct{}

func (libParser) Parse(b []byte) (util.Message, error) { return openflow13.Parse(b) }

// messageStream sends plain flow mods and a barrier with libOpenflow's
// MessageStream.
func messageStream(ctx context.Context, b *wireBridge, l *load) (func(context.Context) error, func(), error) {
	c, err := b.dialRaw(ctx, "unix") // exchanges hellos
	if err != nil {
		return nil, nil, err
	}
	flows := make([]*openflow13.FlowMod, l.n)
	for i := range flows {
		flows[i] = libFlow(i)
	}
	s := util.NewMessageStream(c.nc, libParser{})
	return func(ctx context.Context) error {
		barrier := openflow13.NewOfp13Header()
		barrier.Type = openflow13.Type_BarrierRequest
		go func() { // ends when the stream has accepted everything
			for _, f := range flows {
				s.Outbound <- f
			}
			s.Outbound <- &barrier
		}()
		for {
			select {
			case m := <-s.Inbound:
				if h, ok := m.(*common.Header); ok && h.Type == openflow13.Type_BarrierReply {
					return nil
				}
			case err := <-s.Error:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}, func() { s.Shutdown <- true }, nil
}
