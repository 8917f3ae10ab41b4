package ofproto

import (
	"net/netip"
	"strings"
)

func (it item) controller() (Action, error) {
	a := Controller{MaxLen: 0xffff, Reason: reasonAction}
	if !it.parens {
		if it.val.s != "" {
			if err := setUint(it.val, &a.MaxLen); err != nil {
				return nil, err
			}
		}
		return Output{Port: PortController, MaxLen: a.MaxLen}, nil
	}
	err := it.val.each(func(in item) (err error) {
		switch in.key.s {
		case "reason":
			for i, name := range reasonNames {
				if in.val.s == name {
					a.Reason = uint8(i)
					return nil
				}
			}
			return setUint(in.val, &a.Reason)
		case "max_len":
			return setUint(in.val, &a.MaxLen)
		case "id":
			return setUint(in.val, &a.ID)
		case "userdata":
			a.Userdata, err = in.val.hex()
			return err
		case "pause":
			a.Pause = true
			return nil
		case "meter_id":
			return setUint(in.val, &a.Meter)
		}
		return in.unknown("controller")
	})
	if err == nil && a == (Controller{MaxLen: a.MaxLen, Reason: reasonAction}) {
		return Output{Port: PortController, MaxLen: a.MaxLen}, nil
	}
	return a, err
}

func (it item) ct(depth int) (Action, error) {
	var a CT
	var nat, exec Actions
	err := it.val.each(func(in item) (err error) {
		switch in.key.s {
		case "commit":
			a.Commit = true
		case "force":
			a.Force = true
		case "table":
			a.Recirc = true
			if err = setUint(in.val, &a.Table); err == nil && a.Table == AllTables {
				err = in.val.errorf("want a table below 255")
			}
		case "zone":
			if setUint(in.val, &a.Zone) == nil {
				return nil
			}
			if a.ZoneFrom, err = in.val.subfield(); err == nil {
				err = in.val.atMost64(a.ZoneFrom)
			}
		case "alg":
			for port, name := range algNames {
				if in.val.s == name {
					a.ALG = port
					return nil
				}
			}
			err = setUint(in.val, &a.ALG)
		case "nat":
			var n Action
			if n, err = in.val.nat(); err == nil {
				nat = Actions{nat.wire + ActionsOf(n).wire}
			}
		case "exec":
			exec, err = in.val.actions(depth + 1)
		default:
			err = in.unknown("ct")
		}
		return err
	})
	a.Actions = Actions{nat.wire + exec.wire}
	if a.ZoneFrom.Field != FieldRaw {
		a.Zone = 0
	}
	return a, err
}

func (a span) nat() (Action, error) {
	var n NAT
	err := a.each(func(in item) error {
		switch in.key.s {
		case "src":
			n.Src = true
			return in.val.natRange(&n)
		case "dst":
			n.Dst = true
			return in.val.natRange(&n)
		case "persistent":
			n.Persistent = true
		case "hash":
			n.Hash = true
		case "random":
			n.Random = true
		default:
			return in.unknown("nat")
		}
		return nil
	})
	if err == nil && (n.Src && n.Dst || n.Hash && n.Random) {
		err = a.errorf("want only one of src and dst, hash and random")
	}
	if err == nil && !n.Src && !n.Dst && n != (NAT{}) {
		err = a.errorf("want src or dst")
	}
	return n, err
}

// natRange parses addresses and ports, first-last:first-last. Everything except the first
// address is optional.
func (a span) natRange(n *NAT) error {
	if a.s == "" {
		return nil
	}
	rest, err := a.natAddr(&n.Min)
	if err == nil && strings.HasPrefix(rest.s, "-") {
		rest, err = rest.from(1).natAddr(&n.Max)
	}
	if err != nil {
		return err
	}
	if n.Max.IsValid() && (n.Max.Is4() != n.Min.Is4() || n.Max.Less(n.Min)) {
		return a.errorf("want the lower address first")
	}
	if rest.s == "" {
		return nil
	}
	if rest.s[0] != ':' {
		return rest.errorf("want a colon and ports")
	}
	first, last, both := rest.from(1).cut("-")
	if err := setUint(first, &n.MinPort); err != nil {
		return err
	}
	if both {
		if err := setUint(last, &n.MaxPort); err != nil {
			return err
		}
	}
	if n.MinPort == 0 || both && n.MaxPort < n.MinPort {
		return rest.errorf("want the lower port first, and no port 0")
	}
	return nil
}

// natAddr parses an address, optionally in brackets if it is IPv6, and returns the
// text after it.
func (a span) natAddr(ip *netip.Addr) (rest span, err error) {
	text, rest := a, a.from(len(a.s))
	if strings.HasPrefix(a.s, "[") {
		var closed bool
		if text, rest, closed = a.from(1).cut("]"); !closed {
			return rest, a.errorf("bracket is not closed")
		}
	} else {
		end := "-"
		if before, _, _ := a.cut(":"); strings.Contains(before.s, ".") {
			end = "-:" // IPv4
		}
		if i := strings.IndexAny(a.s, end); i >= 0 {
			text, rest = span{a.s[:i], a.at}, a.from(i)
		}
	}
	*ip, err = netip.ParseAddr(text.s)
	if err != nil || ip.Zone() != "" || ip.IsUnspecified() {
		return rest, text.errorf("want an IP address")
	}
	return rest, nil
}

// listAction parses the actions with positional arguments, and sample. It returns nil for any
// other item.
func (it item) listAction(name string) (Action, error) {
	switch name {
	case "multipath":
		return it.val.multipath()
	case "bundle", "bundle_load":
		return it.val.bundle(name == "bundle_load")
	case "sample":
		return it.val.sample()
	}
	return nil, nil
}

// words splits a list at commas.
func (a span) words() (ws []span) {
	for more := true; more; {
		var w span
		w, a, more = a.cut(",")
		w = w.from(len(w.s) - len(strings.TrimLeft(w.s, " ")))
		ws = append(ws, span{strings.TrimRight(w.s, " "), w.at})
	}
	return ws
}

func (a span) multipath() (Action, error) {
	ws := a.words()
	if len(ws) != 6 {
		return nil, a.errorf("want fields,basis,algorithm,links,arg,field[first..last]")
	}
	var m Multipath
	fields, err := ws[0].word(hashNames)
	if err != nil {
		return nil, err
	}
	alg, err := ws[2].word(multipathNames)
	if err != nil {
		return nil, err
	}
	m.Fields, m.Algorithm = HashFields(fields), MultipathAlgorithm(alg)
	if err := setUint(ws[1], &m.Basis); err != nil {
		return nil, err
	}
	if err := setUint(ws[3], &m.Links); err != nil || m.Links < 1 || m.Links > 65536 {
		return nil, ws[3].errorf("want 1 to 65536 links")
	}
	if err := setUint(ws[4], &m.Arg); err != nil {
		return nil, err
	}
	if m.Dst, err = ws[5].subfield(); err != nil {
		return nil, err
	}
	return m, ws[5].atMost64(m.Dst)
}

func (a span) bundle(load bool) (Action, error) {
	ws, fixed := a.words(), 4
	if load {
		fixed = 5
	}
	if len(ws) <= fixed || ws[3].s != "ofport" {
		return nil, a.errorf("want fields,basis,algorithm,ofport,members:port,...")
	}
	var b Bundle
	fields, err := ws[0].word(hashNames)
	if err != nil {
		return nil, err
	}
	alg, err := ws[2].word(bundleNames)
	if err != nil {
		return nil, err
	}
	b.Fields, b.Algorithm = HashFields(fields), BundleAlgorithm(alg)
	if err := setUint(ws[1], &b.Basis); err != nil {
		return nil, err
	}
	if load {
		if b.Dst, err = ws[4].subfield(); err != nil {
			return nil, err
		}
		if err := ws[4].atMost64(b.Dst); err != nil {
			return nil, err
		}
	}
	word, first, _ := ws[fixed].cut(":")
	if word.s != "members" && word.s != "slaves" {
		return nil, word.errorf("want members:")
	}
	var ports []PortNo
	for _, w := range append([]span{first}, ws[fixed+1:]...) {
		if w.s == "" {
			continue
		}
		p, err := w.port16()
		if err != nil {
			return nil, err
		}
		ports = append(ports, p)
	}
	b.Members = PortsOf(ports...)
	return b, nil
}

func (a span) sample() (Action, error) {
	var s Sample
	err := a.each(func(in item) (err error) {
		switch in.key.s {
		case "probability":
			return setUint(in.val, &s.Probability)
		case "collector_set_id":
			return setUint(in.val, &s.CollectorSet)
		case "obs_domain_id":
			return setUint(in.val, &s.Domain)
		case "obs_point_id":
			return setUint(in.val, &s.Point)
		case "sampling_port":
			if s.Port, err = in.val.port16(); s.Port == PortAny {
				s.Port = 0
			}
			return err
		case "ingress":
			s.Direction = SampleIngress
		case "egress":
			s.Direction = SampleEgress
		default:
			return in.unknown("sample")
		}
		return nil
	})
	return s, err
}
