// Package libof makes what a program has built with
// github.com/contiv/libOpenflow into values of package ofproto, so that it can
// be sent over an ofconn.Conn:
//
//	f := openflow13.NewFlowMod()
//	f.Match.AddField(*openflow13.NewInPortField(1))
//	…
//	mods, err := libof.FlowMods(f)
//	…
//	err = conn.Commit(ctx, mods)
//
// Matches, actions and instructions are encoded by libOpenflow, one by one, and
// decoded by ofproto. What ofproto does not know stays as it was encoded. The
// values are canonical, so that a flow can be compared with what the switch
// reports later.
//
// Where libOpenflow writes something else than what was meant, and it is plain
// what was meant, that is what the result has: lengths that are stale, missing
// or not padded; [openflow13.NewNXActionResubmit], which comes out as another
// action, and [openflow13.NewNXActionDecTTL], which is not in OpenFlow 1.3;
// out_group; deletes with instructions or buckets; the TTL of ActionNwTtl and
// ActionMplsTtl; experimenter IDs of fields and the form that
// [openflow13.NewTcpFlagsField] has in OpenFlow 1.3; what a switch does not keep,
// such as a max_len on an output that is not to the controller. The rest are errors
// of type [*EncodingError]. One thing cannot be told: what
// [openflow13.NewNXActionConjunction] calls clause is the number on the wire,
// which is one less than the one in ovs-ofctl's conjunction(id,clause/n).
package libof

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/contiv/libOpenflow/openflow13"
	"github.com/contiv/libOpenflow/util"

	"github.com/ofdvr/ofdvr/ofproto"
)

// An EncodingError says that libOpenflow cannot encode a value, encodes it as
// something else, or as something that every switch refuses.
type EncodingError struct {
	Value   util.Message // the message, instruction, action or field
	Problem string
}

func (e *EncodingError) Error() string {
	return fmt.Sprintf("encode %T with libOpenflow: %s", e.Value, e.Problem)
}

// ErrUnsupported is wrapped by errors about what an [ofproto.FlowMod] does not
// have: a buffered packet, and a deletion limited to port or group 0.
var ErrUnsupported = errors.New("not supported")

// FlowMods returns what [FlowMod] returns of each. The error names the first
// that it is about by its index.
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

// FlowMod returns f as a value that can be committed. The transaction ID is
// left out; ofconn chooses its own. Actions may have their lengths updated by
// libOpenflow, so f must not be in use elsewhere at the same time.
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

// Message returns m as a value of package ofproto. It knows what a controller
// sends: of *openflow13.FlowMod it makes what [FlowMod] does, of GroupMod,
// MeterMod, PortMod, PacketOut, MultipartRequest, VendorHeader, and of headers
// that are a whole message, the types of ofproto with such names. Everything
// else is encoded as it is, and an error if that is not well formed.
func Message(m util.Message) (ofproto.Message, error) {
	switch m := m.(type) {
	case *openflow13.FlowMod:
		return FlowMod(m)
	case *openflow13.GroupMod:
		return groupMod(m)
	case *openflow13.PacketOut:
		return packetOut(m)
	case *openflow13.MeterMod:
		if m.Command == openflow13.OFPMC_DELETE { // bands after the end of the message
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
		return nil, &EncodingError{m, "the datapath ID is left out"}
	}
	return whole(m)
}

// whole returns what libOpenflow's encoding of all of m means.
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
		return nil, &EncodingError{m, fmt.Sprintf("%d bytes say that they are %d", len(b), h.Length)}
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
		return nil, &EncodingError{m.Body, "it has the layout of OpenFlow 1.0"}
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

// decode sets the length of the message b and decodes it.
func decode[M ofproto.Message](b []byte) (m M, err error) {
	if len(b) > maxMessage {
		return m, fmt.Errorf("%T has %d bytes, which is more than a message can have", m, len(b))
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	decoded, err := ofproto.Decode(b)
	if err != nil {
		return m, err
	}
	return decoded.(M), nil
}

const maxMessage = 1<<16 - 1

// marshal returns m as libOpenflow encodes it, which panics where a pointer is
// missing.
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
