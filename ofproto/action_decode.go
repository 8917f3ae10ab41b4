package ofproto

// decodeSimpleNX decodes the part after the subtype of the actions in action_nicira.go. It
// returns nil for other actions.
func decodeSimpleNX(subtype uint16, r *reader) Action {
	n := 10 + len(r.s) // length of the whole action
	switch subtype {
	case nxRegMove:
		return decodeMove(r, n)
	case nxRegLoad:
		return decodeLoad(r, n)
	case nxRegLoad2:
		return decodeLoad2(r, n)
	case nxResubmit, nxResubmitTable, nxResubmitCT:
		return decodeResubmit(subtype, r, n)
	case nxOutputReg:
		a := OutputReg{Src: r.ranged(), MaxLen: r.u16()}
		r.need(n == 24)
		return a
	case nxOutputReg2:
		rng := r.u16()
		a := OutputReg{MaxLen: r.u16()}
		a.Src = r.subfield(rng>>6, rng&0x3f+1)
		r.need(n == 24)
		return a
	case nxOutputTrunc:
		r.need(n == 16)
		return OutputTruncated{widePort(r.u16()), r.u32()}
	case nxDecTTLIDs:
		ids := int(r.u16())
		r.zeros(4)
		a := DecTTLTo{IDs{r.take(2 * ids)}}
		r.need(n == pad8(16+2*ids))
		return a
	case nxPopQueue:
		r.need(n == 16)
		return PopQueue{}
	case nxExit:
		r.need(n == 16)
		return Exit{}
	case nxNote:
		return Note{r.take(len(r.s))}
	case nxConjunction:
		a := Conjunction{Clause: r.u8() + 1, Of: r.u8(), ID: r.u32()}
		r.need(n == 16 && 0 < a.Clause && a.Clause <= a.Of && 2 <= a.Of && a.Of <= 64)
		return a
	case nxStackPush:
		return Push{decodeStack(r, n)}
	case nxStackPop:
		return Pop{decodeStack(r, n)}
	case nxCTClear:
		r.need(n == 16)
		return CTClear{}
	case nxCheckLarger:
		a := CheckLarger{Len: r.u16()}
		a.Dst = r.subfield(r.u16(), 1)
		r.need(n == 24)
		return a
	case nxFinTimeout:
		r.need(n == 16)
		return FinTimeout{r.u16(), r.u16()}
	}
	return nil
}

func decodeMove(r *reader, n int) Action {
	bits, src, dst := r.u16(), r.u16(), r.u16()
	r.need(n == 24)
	return Move{r.subfield(src, bits), r.subfield(dst, bits)}
}

func decodeLoad(r *reader, n int) Action {
	a := Load{Dst: r.ranged(), Value: r.u64()}
	r.need(n == 24 && (a.Dst.bits() >= 64 || a.Value>>a.Dst.bits() == 0))
	return a
}

// decodeLoad2 decodes NXAST_REG_LOAD2, which is a [SetField] with a mask.
func decodeLoad2(r *reader, n int) Action {
	if len(r.s) < 4 {
		return nil
	}
	tlv := r.take(4 + int(r.s[3]))
	if r.bad {
		return nil
	}
	f := decodeOXM(tlv)
	if f.id == FieldRaw || f.isExact() || f.wildcard() || n != pad8(10+len(tlv)) {
		return nil
	}
	r.need(string(f.appendActionOXM(nil)[4:]) == tlv[4:])
	return SetField{f}
}

func decodeResubmit(subtype uint16, r *reader, n int) Action {
	r.need(n == 16)
	a := Resubmit{Port: widePort(r.u16()), Table: AllTables, CT: subtype == nxResubmitCT}
	if subtype != nxResubmit {
		a.Table = TableID(r.u8())
	}
	return a
}

func decodeStack(r *reader, n int) Subfield {
	r.need(n == 24)
	ofs, hdr := r.u16(), r.u32()
	s, ok := subfieldOf(hdr, ofs, r.u16())
	r.need(ok)
	return s
}
