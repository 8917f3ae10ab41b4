// Package libof converts messages built with github.com/contiv/libOpenflow to
// values of package ofproto, so that they can be sent over an ofconn.Conn:
//
//	f := openflow13.NewFlowMod()
//	f.Match.AddField(*openflow13.NewInPortField(1))
//	…
//	mods, err := libof.FlowMods(f)
//	…
//	err = conn.Commit(ctx, mods)
//
// libOpenflow encodes matches, actions and instructions one by one, and ofproto decodes them.
// A part that ofproto does not know stays encoded. The values are canonical, so that a flow
// can be compared with the flow that the switch reports later.
//
// If libOpenflow encodes a value wrongly but the meaning is clear, the result has the intended
// meaning. This applies to:
//
//   - lengths that are stale, missing or not padded
//   - [openflow13.NewNXActionResubmit], which libOpenflow encodes as another action
//   - [openflow13.NewNXActionDecTTL], which OpenFlow 1.3 does not have
//   - out_group
//   - deletions with instructions or buckets
//   - the TTL of ActionNwTtl and ActionMplsTtl
//   - experimenter IDs of fields
//   - the encoding of [openflow13.NewTcpFlagsField] in OpenFlow 1.3
//   - values that a switch discards, such as a max_len on an output to a port other than the
//     controller
//
// Every other wrong encoding is an error of type [*EncodingError].
//
// One mistake cannot be detected. The clause in [openflow13.NewNXActionConjunction] is the
// number on the wire, which is one less than the clause in ovs-ofctl's
// conjunction(id,clause/n).
package libof

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/contiv/libOpenflow/openflow13"
	"github.com/contiv/libOpenflow/util"

	"github.com/ofdvr/ofdvr/ofproto"
)

// An EncodingError reports a value that libOpenflow cannot encode, encodes as a different
// value, or encodes in a form that every switch refuses.
type EncodingError struct {
	Value   util.Message // the message, instruction, action or field
	Problem string
}

func (e *EncodingError) Error() string {
	return fmt.Sprintf("encode %T with libOpenflow: %s", e.Value, e.Problem)
}

// Errors wrap ErrUnsupported if an [ofproto.FlowMod] cannot express the value. Such values are
// a buffered packet, and a deletion limited to port or group 0.
var ErrUnsupported = errors.New("not supported")

// FlowMods calls [FlowMod] for each of fs. The error has the index of the first message that cannot
// be converted.
func FlowMods(fs ...*openflow13.FlowMod) ([]ofproto.FlowMod, error) {
	mods := make([]ofproto.FlowMod, 0, len(fs))
	for i, f := range fs {
		m, err := FlowMod(f)
		if err != nil {
			return nil, fmt.Errorf("flow-mod %d: %w", i, err)
		}
		mods = append(mods, m)
	}
	return mods, nil
}

// FlowMod returns f as a value that can be committed. It drops the transaction ID, because
// ofconn selects its own. libOpenflow may update the lengths of f's actions, so f must not be
// in use elsewhere at the same time.
func FlowMod(f *openflow13.FlowMod) (ofproto.FlowMod, error) {
	del := f.Command == openflow13.FC_DELETE || f.Command == openflow13.FC_DELETE_STRICT
	if !del && f.BufferId != ofproto.NoBuffer {
		return ofproto.FlowMod{}, fmt.Errorf("buffer_id %d: %w", f.BufferId, ErrUnsupported)
	}
	var only struct {
		port  ofproto.PortNo
		group ofproto.GroupID
	}
	if del && f.OutPort != openflow13.P_ANY {
		only.port = ofproto.PortNo(f.OutPort)
	}
	if del && f.OutGroup != openflow13.OFPG_ANY {
		only.group = ofproto.GroupID(f.OutGroup)
	}
	if del && (f.OutPort == 0 || f.OutGroup == 0) {
		return ofproto.FlowMod{}, fmt.Errorf("delete by out_port or out_group 0: %w", ErrUnsupported)
	}
	b := ofproto.FlowMod{
		Command: ofproto.FlowCommand(f.Command),
		Flow: ofproto.Flow{
			FlowKey:     ofproto.FlowKey{Table: ofproto.TableID(f.TableId), Priority: f.Priority},
			Cookie:      ofproto.Cookie(f.Cookie),
			IdleTimeout: f.IdleTimeout,
			HardTimeout: f.HardTimeout,
			Flags:       ofproto.FlowFlags(f.Flags),
		},
		CookieMask: ofproto.Cookie(f.CookieMask),
		OutPort:    only.port,
		OutGroup:   only.group,
	}.Append(nil, 0)
	b, err := appendMatch(b[:len(b)-emptyMatch], &f.Match)
	if err == nil && !del {
		b, err = appendInstructions(b, f.Instructions)
	}
	if err != nil {
		return ofproto.FlowMod{}, err
	}
	return decode[ofproto.FlowMod](b)
}

const emptyMatch = 8 // length of an ofp_match without fields

// Message returns m as a value of package ofproto. It supports the messages that a controller
// sends. These are *openflow13.FlowMod, which is converted like in [FlowMod], GroupMod,
// MeterMod, PortMod, PacketOut, MultipartRequest, VendorHeader, and messages that consist of a
// header. Any other message is decoded from libOpenflow's encoding. A malformed encoding is an
// error.
func Message(m util.Message) (ofproto.Message, error) {
	switch m := m.(type) {
	case *openflow13.FlowMod:
		return FlowMod(m)
	case *openflow13.GroupMod:
		return groupMod(m)
	case *openflow13.PacketOut:
		return packetOut(m)
	case *openflow13.MeterMod:
		if m.Command == openflow13.OFPMC_DELETE { // libOpenflow appends bands after the message's end
			bare := *m
			bare.MeterBands = nil
			return whole(&bare)
		}
	case *openflow13.MultipartRequest:
		return multipartRequest(m)
	case *openflow13.VendorHeader:
		if add, ok := m.VendorData.(*openflow13.BundleAdd); ok {
			return bundleAdd(add)
		}
	case *openflow13.SwitchFeatures:
		return nil, &EncodingError{m, "the encoding lacks the datapath ID"}
	}
	return whole(m)
}

// whole decodes libOpenflow's encoding of the whole message m.
func whole(m util.Message) (ofproto.Message, error) {
	b, err := marshal(m)
	if err != nil {
		return nil, err
	}
	h, err := ofproto.DecodeHeader(b)
	if err != nil {
		return nil, &EncodingError{m, err.Error()}
	}
	if int(h.Length) != len(b) {
		return nil, &EncodingError{m, fmt.Sprintf("the encoding has %d bytes but length %d in its header", len(b), h.Length)}
	}
	return ofproto.Decode(b)
}

func groupMod(g *openflow13.GroupMod) (ofproto.Message, error) {
	if g.Command > openflow13.OFPGC_DELETE {
		return nil, &EncodingError{g, fmt.Sprintf("OpenFlow 1.3 has no command %d", g.Command)}
	}
	b := ofproto.GroupMod{
		Command: ofproto.GroupCommand(g.Command),
		Entry:   ofproto.GroupEntry{ID: ofproto.GroupID(g.GroupId), Type: ofproto.GroupType(g.Type)},
	}.Append(nil, 0)
	if g.Command != openflow13.OFPGC_DELETE {
		for i := range g.Buckets {
			k, start := &g.Buckets[i], len(b)
			b = append(b, 0, 0)
			b = binary.BigEndian.AppendUint16(b, k.Weight)
			b = binary.BigEndian.AppendUint32(b, k.WatchPort)
			b = binary.BigEndian.AppendUint32(b, k.WatchGroup)
			b = append(b, 0, 0, 0, 0)
			var err error
			if b, err = appendActions(b, k.Actions); err != nil {
				return nil, fmt.Errorf("bucket %d: %w", i, err)
			}
			binary.BigEndian.PutUint16(b[start:], uint16(len(b)-start))
		}
	}
	return decode[ofproto.GroupMod](b)
}

func packetOut(p *openflow13.PacketOut) (ofproto.Message, error) {
	b := ofproto.PacketOut{Buffer: p.BufferId, InPort: ofproto.PortNo(p.InPort)}.Append(nil, 0)
	start := len(b)
	b, err := appendActions(b, p.Actions)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint16(b[actionsLenAt:], uint16(len(b)-start))
	if p.Data != nil {
		data, err := marshal(p.Data)
		if err != nil {
			return nil, err
		}
		b = append(b, data...)
	}
	return decode[ofproto.PacketOut](b)
}

const actionsLenAt = 16 // in an ofp_packet_out

func multipartRequest(m *openflow13.MultipartRequest) (ofproto.Message, error) {
	switch m.Body.(type) {
	case *openflow13.PortStatsRequest, *openflow13.QueueStatsRequest:
		return nil, &EncodingError{m.Body, "the encoding has the layout of OpenFlow 1.0"}
	case nil:
		bare := *m
		bare.Body = util.NewBuffer(nil)
		return whole(&bare)
	}
	return whole(m)
}

func bundleAdd(m *openflow13.BundleAdd) (ofproto.Message, error) {
	if len(m.Properties) > 0 {
		return nil, fmt.Errorf("properties of a bundle: %w", ErrUnsupported)
	}
	inner, err := Message(m.Message)
	if err != nil {
		return nil, err
	}
	return ofproto.BundleAdd{ID: m.BundleID, Flags: ofproto.BundleFlags(m.Flags), Message: inner}, nil
}

// decode sets the length in the header of b and decodes b.
func decode[M ofproto.Message](b []byte) (m M, err error) {
	if len(b) > maxMessage {
		return m, fmt.Errorf("%T has %d bytes, more than an OpenFlow message can have", m, len(b))
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	decoded, err := ofproto.Decode(b)
	if err != nil {
		return m, err
	}
	return decoded.(M), nil
}

const maxMessage = 1<<16 - 1

// marshal returns libOpenflow's encoding of m. libOpenflow panics on nil pointers. Instead,
// marshal returns an error.
func marshal(m util.Message) (b []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			b, err = nil, &EncodingError{m, fmt.Sprint("panic: ", r)}
		}
	}()
	b, err = m.MarshalBinary()
	if err != nil {
		return nil, &EncodingError{m, err.Error()}
	}
	return b, nil
}
