package ofproto

import "strings"

// learn parses the text in the parentheses of a learn action.
func (a span) learn() (Action, error) {
	l := Learn{Table: 1, Priority: defaultPriority}
	var specs []byte
	err := a.each(func(in item) error {
		if known, err := l.item(in); known {
			return err
		}
		s, err := in.spec()
		if err != nil {
			return err
		}
		specs = s.append(specs)
		return nil
	})
	l.Specs = LearnSpecs{string(specs)}
	return l, err
}

// item parses an item that is not a spec. If the item is a spec, known is false.
func (l *Learn) item(in item) (known bool, err error) {
	switch in.key.s {
	case "table":
		return true, setUint(in.val, &l.Table)
	case "priority":
		return true, setUint(in.val, &l.Priority)
	case "cookie":
		return true, setUint(in.val, &l.Cookie)
	case "idle_timeout":
		return true, setUint(in.val, &l.Idle)
	case "hard_timeout":
		return true, setUint(in.val, &l.Hard)
	case "fin_idle_timeout":
		return true, setUint(in.val, &l.FinIdle)
	case "fin_hard_timeout":
		return true, setUint(in.val, &l.FinHard)
	case "limit":
		return true, setUint(in.val, &l.Limit)
	case "send_flow_rem":
		l.SendFlowRemoved = true
		return true, nil
	case "delete_learned":
		l.DeleteLearned = true
		return true, nil
	case "result_dst":
		l.Result, err = in.val.subfield()
		if err == nil && l.Result.bits() != 1 {
			err = in.val.errorf("want one bit")
		}
		return true, err
	}
	return false, nil
}

// spec parses a spec. Its form is field=field, field=value, field, load:field->field,
// load:value->field or output:field.
func (it item) spec() (s LearnSpec, err error) {
	switch it.key.s {
	case "output":
		s.Kind = LearnOutput
		s.Src, err = it.val.subfield()
		return s, err
	case "load":
		s.Kind = LearnLoad
		src, dst, err := it.val.arrow()
		if err != nil {
			return s, err
		}
		if s.Dst, err = dst.subfield(); err != nil {
			return s, err
		}
		err = s.source(src, false)
		return s, err
	}
	if s.Dst, err = it.key.subfield(); err != nil {
		return s, it.key.errorf("not known in learn")
	}
	if it.val.s == "" {
		s.Src = s.Dst
		return s, nil
	}
	err = s.source(it.val, s.Dst.Bits == 0)
	return s, err
}

// source parses the source of the bits: a field or a number. If whole is true, it may also be a
// value in the syntax of the field Dst.
func (s *LearnSpec) source(a span, whole bool) (err error) {
	fi := &fields[s.Dst.Field]
	if src, err := a.subfield(); err == nil {
		if s.Src = src; src.bits() != s.Dst.bits() {
			return a.errorf("source has %d bits, want %d", src.bits(), s.Dst.bits())
		}
		return nil
	}
	if whole {
		f, err := a.field(s.Dst.Field)
		if err != nil || strings.Contains(a.s, "/") { // a mask
			return a.errorf("want a field or a value of %s", fi.set)
		}
		copy(s.Value[16-fi.width:], f.val[:fi.width])
	} else if s.Value, err = (&fieldInfo{width: 16}).parse(a, int(s.Dst.bits())); err != nil {
		return err
	}
	for i, b := range s.Value {
		if high := int(s.Dst.bits()) - 8*(15-i); high < 8 && (high <= 0 && b != 0 || high > 0 && b>>high != 0) {
			return a.errorf("want a value of at most %d bits", s.Dst.bits())
		}
	}
	return nil
}
