package ofproto

import "strings"

// ParseFlow parses a flow in ovs-ofctl syntax. It accepts the output of [Flow.String] and of
// ovs-ofctl dump-flows, and most of the input of ovs-ofctl add-flow. Ports are numbers or
// reserved names. Counters are skipped. Errors are of type [*SyntaxError].
func ParseFlow(s string) (Flow, error) {
	fs, err := ParseFlowStats(s)
	return fs.Flow, err
}

// ParseFlowStats parses a line of ovs-ofctl dump-flows like [ParseFlow], including
// its counters.
func ParseFlowStats(s string) (FlowStats, error) {
	fs := FlowStats{Flow: Flow{FlowKey: FlowKey{Priority: defaultPriority}}}
	var p matchParser
	rest := span{s, 0}
	for {
		it, ok, err := rest.next()
		if err != nil {
			return FlowStats{}, err
		}
		if !ok {
			return FlowStats{}, rest.errorf("want actions=")
		}
		if it.key.s == "actions" || it.key.s == "action" {
			all := span{s[it.val.at:], it.val.at}
			if fs.Do, err = all.instructions(); err != nil {
				return FlowStats{}, err
			}
			break
		}
		known, err := fs.item(it)
		if !known && err == nil {
			known, err = p.item(it)
		}
		if err != nil {
			return FlowStats{}, err
		}
		if !known {
			return FlowStats{}, it.unknown("a flow")
		}
	}
	var err error
	if fs.Match, err = p.match(); err != nil {
		return FlowStats{}, err
	}
	return fs, nil
}

// item parses an item that is not part of the match. If the item is part of the match, known is
// false.
func (fs *FlowStats) item(it item) (known bool, err error) {
	for i, name := range flagNames {
		if it.key.s == name {
			fs.Flags |= 1 << i
			return true, nil
		}
	}
	switch it.key.s {
	case "cookie":
		return true, setUint(it.val, &fs.Cookie)
	case "table":
		return true, setUint(it.val, &fs.Table)
	case "priority":
		return true, setUint(it.val, &fs.Priority)
	case "idle_timeout":
		return true, setUint(it.val, &fs.IdleTimeout)
	case "hard_timeout":
		return true, setUint(it.val, &fs.HardTimeout)
	case "n_packets":
		return true, setUint(it.val, &fs.Packets)
	case "n_bytes":
		return true, setUint(it.val, &fs.Bytes)
	case "duration":
		return true, fs.duration(it.val)
	case "idle_age", "hard_age":
		var age uint32
		return true, setUint(it.val, &age)
	}
	return false, nil
}

// duration parses a number of seconds, such as 3.141s.
func (fs *FlowStats) duration(a span) error {
	secs, frac, _ := span{strings.TrimSuffix(a.s, "s"), a.at}.cut(".")
	if len(frac.s) > 9 {
		frac.s = frac.s[:9]
	}
	nanos := strings.TrimLeft(frac.s+strings.Repeat("0", 9-len(frac.s)), "0")
	if setUint(secs, &fs.Seconds) != nil || nanos != "" && setUint(span{nanos, 0}, &fs.Nanoseconds) != nil {
		return a.errorf("want a duration such as 3.141s")
	}
	return nil
}
