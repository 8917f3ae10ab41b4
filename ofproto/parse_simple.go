package ofproto

import "strings"

// output parses a port, a field that holds the port number, or a port and a length.
func (it item) output() (Action, error) {
	if it.parens {
		var a OutputTruncated
		err := it.val.each(func(in item) (err error) {
			switch in.key.s {
			case "port":
				a.Port, err = in.val.port16()
				return err
			case "max_len":
				return setUint(in.val, &a.MaxLen)
			}
			return in.unknown("output")
		})
		return a, err
	}
	if p, err := it.val.port(); err == nil {
		a := Output{Port: p}
		if p == PortController {
			a.MaxLen = 0xffff
		}
		return a, nil
	}
	src, err := it.val.subfield()
	if err != nil {
		return nil, it.val.errorf("want a port or a field")
	}
	return OutputReg{Src: src, MaxLen: 0xffff}, it.val.atMost64(src)
}

// port16 parses a port that Nicira actions encode in 16 bits.
func (a span) port16() (PortNo, error) {
	p, err := a.port()
	if err == nil && widePort(uint16(p)) != p {
		return 0, a.errorf("want a port below 65280 or a reserved one")
	}
	return p, err
}

// atMost64 returns an error if s has more than 64 bits, the maximum for an action.
func (a span) atMost64(s Subfield) error {
	if s.bits() > 64 || s.Offset >= 1<<10 {
		return a.errorf("want at most 64 bits")
	}
	return nil
}

// numberAction parses the actions with no argument or only numbers. It returns nil for any
// other item.
func (it item) numberAction(name string) (a Action, err error) {
	switch name {
	case "group":
		var a ToGroup
		err = setUint(it.val, &a.ID)
		return a, err
	case "push_vlan":
		var a PushVLAN
		err = setUint(it.val, &a.EtherType)
		return a, err
	case "pop_vlan", "strip_vlan":
		return PopVLAN{}, nil
	case "push_mpls":
		var a PushMPLS
		err = setUint(it.val, &a.EtherType)
		return a, err
	case "pop_mpls":
		var a PopMPLS
		err = setUint(it.val, &a.EtherType)
		return a, err
	case "dec_ttl":
		return it.decTTL()
	case "dec_mpls_ttl":
		return DecMPLSTTL{}, nil
	case "mod_nw_ttl", "set_nw_ttl":
		var a SetTTL
		err = setUint(it.val, &a.TTL)
		return a, err
	case "set_queue":
		var a SetQueue
		err = setUint(it.val, &a.ID)
		return a, err
	case "pop_queue":
		return PopQueue{}, nil
	case "exit":
		return Exit{}, nil
	case "ct_clear":
		return CTClear{}, nil
	case "note":
		data, err := it.val.hex()
		// The note is padded here, so that it equals the decoded note.
		return Note{data + string(zeros[:pad8(10+len(data))-10-len(data)])}, err
	case "resubmit":
		return it.resubmit()
	case "conjunction":
		return it.conjunction()
	case "fin_timeout":
		return it.finTimeout()
	}
	return nil, nil
}

func (it item) decTTL() (Action, error) {
	if !it.parens {
		return DecTTL{}, nil
	}
	var ids []uint16
	err := it.val.each(func(in item) error {
		ids = append(ids, 0)
		return setUint(in.key, &ids[len(ids)-1])
	})
	if err == nil && len(ids) == 0 {
		err = it.val.errorf("want the ID of a controller")
	}
	return DecTTLTo{IDsOf(ids...)}, err
}

func (it item) resubmit() (Action, error) {
	a := Resubmit{Port: PortInPort, Table: AllTables}
	port, rest, _ := it.val.cut(",")
	table, ct, hasCT := rest.cut(",")
	var err error
	if port.s != "" {
		if a.Port, err = port.port16(); err != nil {
			return nil, err
		}
	}
	if table.s != "" {
		if err = setUint(table, &a.Table); err != nil {
			return nil, err
		}
	}
	if hasCT && ct.s != "ct" && ct.s != "" {
		return nil, ct.errorf("want ct")
	}
	a.CT = ct.s == "ct"
	if a.Port == PortInPort && a.Table == AllTables {
		return nil, it.val.errorf("want a port or a table")
	}
	return a, nil
}

func (it item) conjunction() (Action, error) {
	id, rest, _ := it.val.cut(",")
	clause, of, _ := rest.cut("/")
	var a Conjunction
	if err := setUint(id, &a.ID); err != nil {
		return nil, err
	}
	if err := setUint(clause, &a.Clause); err != nil {
		return nil, err
	}
	if err := setUint(of, &a.Of); err != nil {
		return nil, err
	}
	if a.Of < 2 || a.Of > 64 || a.Clause < 1 || a.Clause > a.Of {
		return nil, rest.errorf("want a clause of 2 to 64")
	}
	return a, nil
}

func (it item) finTimeout() (Action, error) {
	var a FinTimeout
	err := it.val.each(func(in item) error {
		switch in.key.s {
		case "idle_timeout":
			return setUint(in.val, &a.Idle)
		case "hard_timeout":
			return setUint(in.val, &a.Hard)
		}
		return in.unknown("fin_timeout")
	})
	return a, err
}

// fieldAction parses the actions on one or two fields. It returns nil for any other item.
func (it item) fieldAction(name string) (Action, error) {
	switch name {
	case "set_field":
		return it.setField()
	case "load":
		src, dst, err := it.val.arrow()
		if err != nil {
			return nil, err
		}
		var a Load
		if a.Dst, err = dst.subfield(); err != nil {
			return nil, err
		}
		if err := dst.atMost64(a.Dst); err != nil {
			return nil, err
		}
		a.Value, err = src.uint(int(a.Dst.bits()))
		return a, err
	case "move":
		return it.val.move()
	case "push", "pop":
		s, err := it.val.subfield()
		if name == "pop" {
			return Pop{s}, err
		}
		return Push{s}, err
	case "check_pkt_larger":
		var a CheckLarger
		if err := setUint(it.val, &a.Len); err != nil {
			return nil, err
		}
		var err error
		if a.Dst, err = it.target.subfield(); err == nil && a.Dst.bits() != 1 {
			err = it.target.errorf("want one bit")
		}
		return a, err
	}
	return nil, nil
}

// move parses "source->destination", which must have the same number of bits.
func (a span) move() (Action, error) {
	src, dst, err := a.arrow()
	if err != nil {
		return nil, err
	}
	var m Move
	if m.Src, err = src.subfield(); err != nil {
		return nil, err
	}
	if m.Dst, err = dst.subfield(); err != nil {
		return nil, err
	}
	if m.Src.bits() != m.Dst.bits() {
		return nil, a.errorf("source has %d bits, destination %d", m.Src.bits(), m.Dst.bits())
	}
	return m, nil
}

// setField parses "value->field", "value/mask->field" or the encoding of an unnamed
// field.
func (it item) setField() (Action, error) {
	if raw, ok := strings.CutPrefix(it.val.s, "oxm("); ok {
		wire, err := span{strings.TrimSuffix(raw, ")"), it.val.at + 4}.hex()
		if err != nil {
			return nil, err
		}
		if len(wire) < 4 || len(wire) != 4+int(wire[3]) || wire[2]&1 != 0 || decodeOXM(wire).id != FieldRaw {
			return nil, it.val.errorf("want the encoding of an unnamed field, without a mask")
		}
		return SetField{Field{raw: wire}}, nil
	}
	val, name, err := it.val.arrow()
	if err != nil {
		return nil, err
	}
	id, ok := setNames[name.s]
	if !ok {
		return nil, name.errorf("want the name of a field")
	}
	f, err := val.number(id)
	if err == nil && f.wildcard() {
		err = val.errorf("mask selects no bit")
	}
	return SetField{f}, err
}
