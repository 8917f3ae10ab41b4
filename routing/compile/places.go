package compile

import (
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

// PlaceFilters select the flows of a fabric bridge from which [Places] reads.
func PlaceFilters() (out []ofproto.FlowFilter) {
	for table, role := range map[ofproto.TableID]Role{fabricDeliver: RoleTunnelOut, fabricSender: RoleImposter} {
		f := ofproto.AllFlows()
		f.Table, f.Cookie, f.CookieMask = table, cookieMark|ofproto.Cookie(role)<<48, ^cookieHashMask
		out = append(out, f)
	}
	return out
}

// Places reads the places of machines from flows of the fabric bridge of host. It returns the ID of
// the host by the ID of the machine's port, for networks with a VNI.
func Places(x *routing.Index, host string, flows []ofproto.FlowStats) map[string]string {
	to := make(map[ofproto.Field]string) // hosts by the action that selects them
	for h := range x.Hosts("") {
		if h.Tunnel.Address.IsValid() {
			to[ofproto.TunDst(h.Tunnel.Address)] = h.ID
		}
	}
	at := make(map[ofproto.Cookie]string)
	for i := range flows {
		if role, _ := RoleOf(flows[i].Cookie); role == RoleImposter {
			at[flows[i].Cookie] = host
		} else if h := sentTo(flows[i].Do, to); h != "" {
			at[flows[i].Cookie] = h
		}
	}
	places := make(map[string]string)
	for n := range x.Networks("") {
		if n.VNI == 0 {
			continue
		}
		for p := range x.PortsOn(n.ID, "") {
			for _, role := range []Role{RoleTunnelOut, RoleImposter} {
				if h := at[CookieOf(routing.Object{Kind: routing.KindPort, ID: p.ID}, role)]; h != "" {
					places[p.ID] = h
				}
			}
		}
	}
	return places
}

// sentTo returns the host to which instructions send packets by a tunnel, "" for none. The keys of to
// are fields of tunnels.
func sentTo(do ofproto.Instructions, to map[ofproto.Field]string) string {
	for in := range do.All() {
		apply, ok := in.(ofproto.Apply)
		if !ok {
			continue
		}
		for a := range apply.Actions.All() {
			if set, ok := a.(ofproto.SetField); ok && to[set.Field] != "" {
				return to[set.Field]
			}
		}
	}
	return ""
}
