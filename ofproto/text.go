package ofproto

import (
	"fmt"
	"strings"
)

// maxTextLines is the maximum number of flows, ports and so on that [Text] shows of one
// message.
const maxTextLines = 20

// Text returns a description of an encoded message: its name as ovs-ofctl prints it,
// its transaction ID and its contents, with flows in ovs-ofctl syntax.
func Text(b []byte) string {
	h, err := DecodeHeader(b)
	if err != nil {
		return fmt.Sprintf("invalid message: %v: % x", err, b[:min(len(b), maxTextLines)])
	}
	m, err := Decode(b)
	if err != nil {
		return fmt.Sprintf("message of type %d (xid=%#x) cannot be decoded: %v", h.Type, h.XID, err)
	}
	s := fmt.Sprintf("%s (xid=%#x)", messageName(h, m), h.XID)
	if body := bodyText(m); body != "" {
		s += ": " + body
	}
	return s
}

// messageNames are ovs-ofctl's names of messages, by type.
var messageNames = map[uint8]string{
	typeHello: "OFPT_HELLO", typeError: "OFPT_ERROR", typeEchoRequest: "OFPT_ECHO_REQUEST", typeEchoReply: "OFPT_ECHO_REPLY",
	typeFeaturesRequest: "OFPT_FEATURES_REQUEST", typeFeaturesReply: "OFPT_FEATURES_REPLY",
	typeGetConfigRequest: "OFPT_GET_CONFIG_REQUEST", typeGetConfigReply: "OFPT_GET_CONFIG_REPLY", typeSetConfig: "OFPT_SET_CONFIG",
	typePacketIn: "OFPT_PACKET_IN", typeFlowRemoved: "OFPT_FLOW_REMOVED", typePortStatus: "OFPT_PORT_STATUS", typePacketOut: "OFPT_PACKET_OUT",
	typeFlowMod: "OFPT_FLOW_MOD", typeGroupMod: "OFPT_GROUP_MOD", typePortMod: "OFPT_PORT_MOD", typeMeterMod: "OFPT_METER_MOD",
	typeBarrierRequest: "OFPT_BARRIER_REQUEST", typeBarrierReply: "OFPT_BARRIER_REPLY",
	typeRoleRequest: "OFPT_ROLE_REQUEST", typeRoleReply: "OFPT_ROLE_REPLY",
	typeGetAsyncRequest: "OFPT_GET_ASYNC_REQUEST", typeGetAsyncReply: "OFPT_GET_ASYNC_REPLY", typeSetAsync: "OFPT_SET_ASYNC",
}

// statNames are ovs-ofctl's names of multipart messages, by type.
var statNames = map[uint16]string{
	multipartDesc: "DESC", multipartFlow: "FLOW", multipartAggregate: "AGGREGATE", multipartTable: "TABLE", multipartPort: "PORT",
	multipartGroup: "GROUP", multipartGroupDesc: "GROUP_DESC", multipartGroupFeatures: "GROUP_FEATURES",
	multipartMeter: "METER", multipartMeterConfig: "METER_CONFIG", multipartMeterFeatures: "METER_FEATURES",
	multipartTableFeatures: "TABLE_FEATURES", multipartPortDesc: "PORT_DESC",
}

func messageName(h Header, m Message) string {
	switch m := m.(type) {
	case Multipart:
		what := "request"
		if m.Reply {
			what = "reply"
		}
		switch m.Body.(type) {
		case FlowMonitorRequest, FlowMonitorReply:
			return "ONFST_FLOW_MONITOR " + what
		}
		if name := statNames[m.Body.multipartType()]; name != "" {
			return "OFPST_" + name + " " + what
		}
		return fmt.Sprintf("multipart %s of type %d", what, m.Body.multipartType())
	case BundleControl:
		return "ONFT_BUNDLE_CONTROL"
	case BundleAdd:
		return "ONFT_BUNDLE_ADD_MESSAGE"
	case CancelMonitor:
		return "ONFT_FLOW_MONITOR_CANCEL"
	case SetPacketInFormat:
		return "NXT_SET_PACKET_IN_FORMAT"
	case PacketIn:
		if m.Nicira {
			return "NXT_PACKET_IN2"
		}
	}
	if name := messageNames[h.Type]; name != "" {
		return name
	}
	return fmt.Sprintf("message of type %d", h.Type)
}

func bodyText(m Message) string {
	switch m := m.(type) {
	case FeaturesRequest, GetConfigRequest, BarrierRequest, BarrierReply, GetAsyncRequest:
		return ""
	case fmt.Stringer: // hello, changes of flows, groups and meters, and flows that were removed
		return m.String()
	case Echo:
		return fmt.Sprintf("%d bytes of payload", len(m.Data))
	case ErrorMessage:
		about := fmt.Sprintf("% x", m.Data[:min(len(m.Data), maxTextLines)])
		if h, err := DecodeHeader([]byte(m.Data)); err == nil {
			if about = messageNames[h.Type]; about == "" {
				about = fmt.Sprintf("message of type %d", h.Type)
			}
			about = fmt.Sprintf("%s (xid=%#x)", about, h.XID)
		}
		return fmt.Sprintf("%s about %s", m.Code.Name(), about)
	case RoleRequest:
		return fmt.Sprintf("role=%v generation_id=%d", m.Role, m.Generation)
	case RoleReply:
		return fmt.Sprintf("role=%v generation_id=%d", m.Role, m.Generation)
	case PortStatus:
		return fmt.Sprintf("%v: %s", m.Reason, portText(m.Port))
	case BundleControl:
		what := "request"
		if m.Op%2 == 1 {
			what = "reply"
		}
		return fmt.Sprintf("bundle_id=%#x %v %s", m.ID, m.Op, what)
	case BundleAdd:
		return fmt.Sprintf("bundle_id=%#x %s", m.ID, bodyText(m.Message))
	case Multipart:
		return multipartText(m)
	}
	return fmt.Sprintf("%+v", m)
}

func portText(p Port) string { return fmt.Sprintf("%v(%s): addr:%v", p.No, p.Name, p.MAC) }

func multipartText(m Multipart) string {
	var lines []string
	switch b := m.Body.(type) {
	case DescriptionRequest, TableStatsRequest, PortDescRequest, GroupDescRequest, GroupFeaturesRequest, MeterFeaturesRequest:
		return ""
	case FlowStatsRequest:
		return filterText(FlowFilter(b))
	case AggregateRequest:
		return filterText(FlowFilter(b))
	case FlowStatsReply:
		for _, f := range b {
			lines = append(lines, fmt.Sprintf("n_packets=%d, n_bytes=%d, %v", f.Packets, f.Bytes, f.Flow))
		}
	case PortDescReply:
		for _, p := range b {
			lines = append(lines, portText(p))
		}
	case GroupDescReply:
		for _, g := range b {
			lines = append(lines, g.String())
		}
	case MeterConfigReply:
		for _, e := range b {
			lines = append(lines, e.String())
		}
	case FlowMonitorReply:
		for _, u := range b {
			if u.Event == FlowAbbreviated {
				lines = append(lines, fmt.Sprintf("event=ABBREV xid=%#x", u.XID))
				continue
			}
			lines = append(lines, fmt.Sprintf("event=%v %v", u.Event, u.Flow))
		}
	default:
		return fmt.Sprintf("%+v", b)
	}
	more := ""
	if n := len(lines) - maxTextLines; n > 0 {
		lines, more = lines[:maxTextLines], fmt.Sprintf("\n  and %d more", n)
	}
	if m.More {
		more += "\n  more parts follow"
	}
	if len(lines) == 0 {
		return "none" + more
	}
	return "\n  " + strings.Join(lines, "\n  ") + more
}

func filterText(f FlowFilter) string {
	var parts []string
	if f.Table != AllTables {
		parts = append(parts, fmt.Sprintf("table=%d", f.Table))
	}
	if f.CookieMask != 0 {
		parts = append(parts, fmt.Sprintf("cookie=%#x/%#x", uint64(f.Cookie), uint64(f.CookieMask)))
	}
	if m := f.Match.String(); m != "" {
		parts = append(parts, m)
	}
	return strings.Join(parts, " ")
}
