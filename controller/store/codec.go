package store

import (
	"encoding/json"
	"net/netip"
	"strconv"

	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
)

type networkJSON struct {
	ID   string `json:"id"`
	VLAN uint16 `json:"vlan,omitempty"`
	MTU  int    `json:"mtu"`
}

type routerJSON struct {
	ID           string      `json:"id"`
	Namespace    string      `json:"namespace,omitempty"`
	Fallback     string      `json:"fallback,omitempty"`
	ARPResponder bool        `json:"arp_responder"`
	Bridge       bridgeJSON  `json:"bridge"`
	Interfaces   []ifaceJSON `json:"interfaces,omitempty"`
}

type bridgeJSON struct {
	Managed    bool   `json:"managed"`
	Name       string `json:"name,omitempty"`
	DatapathID string `json:"datapath_id,omitempty"`
	Foreign    string `json:"foreign_flows,omitempty"`
}

type ifaceJSON struct {
	ID        string         `json:"id"`
	Network   string         `json:"network"`
	MAC       string         `json:"mac"`
	Addresses []netip.Prefix `json:"addresses"`
	PatchPort string         `json:"patch_port,omitempty"`
	TapPort   string         `json:"tap_port,omitempty"`
}

type portJSON struct {
	ID        string       `json:"id"`
	Network   string       `json:"network"`
	MAC       string       `json:"mac"`
	Addresses []netip.Addr `json:"addresses"`
}

var foreigns = [...]string{"", "remove", "report", "ignore"}

func marshal(b []byte, v any) []byte {
	t, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append(b, t...)
}

func appendNetwork(b []byte, n *routing.Network) []byte {
	return marshal(b, networkJSON{n.ID, n.VLAN, n.MTU})
}

func parseNetwork(data []byte) (routing.Network, error) {
	var v networkJSON
	err := json.Unmarshal(data, &v)
	return routing.Network{ID: v.ID, VLAN: v.VLAN, MTU: v.MTU}, err
}

func appendRouter(b []byte, r *routing.Router) []byte {
	v := routerJSON{ID: r.ID, Namespace: r.Namespace, ARPResponder: r.ARPResponder,
		Bridge: bridgeJSON{Managed: r.Bridge.Managed, Name: r.Bridge.Name, Foreign: foreigns[r.Bridge.Foreign]}}
	if r.Fallback == routing.FallbackNone {
		v.Fallback = "none"
	}
	if r.Bridge.DatapathID != 0 {
		v.Bridge.DatapathID = r.Bridge.DatapathID.String()
	}
	for _, f := range r.Interfaces {
		v.Interfaces = append(v.Interfaces, ifaceJSON{f.ID, f.Network, f.MAC.String(), f.Addresses, f.PatchPort, f.TapPort})
	}
	return marshal(b, v)
}

func parseRouter(data []byte) (routing.Router, error) {
	var v routerJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return routing.Router{}, err
	}
	r := routing.Router{ID: v.ID, Namespace: v.Namespace, ARPResponder: v.ARPResponder,
		Bridge: routing.Bridge{Managed: v.Bridge.Managed, Name: v.Bridge.Name}}
	if v.Fallback == "none" {
		r.Fallback = routing.FallbackNone
	}
	for i, f := range foreigns {
		if f == v.Bridge.Foreign {
			r.Bridge.Foreign = routing.Foreign(i)
		}
	}
	if d := v.Bridge.DatapathID; d != "" {
		id, err := ofproto.ParseDPID(d)
		if err != nil {
			return r, err
		}
		r.Bridge.DatapathID = id
	}
	for _, f := range v.Interfaces {
		mac, err := ofproto.ParseMAC(f.MAC)
		if err != nil {
			return r, err
		}
		r.Interfaces = append(r.Interfaces, routing.Interface{ID: f.ID, Network: f.Network, MAC: mac,
			Addresses: f.Addresses, PatchPort: f.PatchPort, TapPort: f.TapPort})
	}
	return r, nil
}

func appendPort(b []byte, p *routing.Port) []byte {
	b = strconv.AppendQuote(append(b, `{"id":`...), p.ID)
	b = strconv.AppendQuote(append(b, `,"network":`...), p.Network)
	b = append(b, `,"mac":"`...)
	for i, c := range p.MAC {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
	}
	b = append(b, `","addresses":[`...)
	for i, a := range p.Addresses {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(a.AppendTo(append(b, '"')), '"')
	}
	return append(b, "]}"...)
}

func parsePort(data []byte) (routing.Port, error) {
	var v portJSON
	if err := json.Unmarshal(data, &v); err != nil {
		return routing.Port{}, err
	}
	mac, err := ofproto.ParseMAC(v.MAC)
	return routing.Port{ID: v.ID, Network: v.Network, MAC: mac, Addresses: v.Addresses}, err
}
