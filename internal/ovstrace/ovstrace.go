// Package ovstrace runs ovs-appctl ofproto/trace and parses its output, which describes the
// path of a packet (ovs-vswitchd(8)).
package ovstrace

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ofdvr/ofdvr/ofproto"
)

// A Step is a flow that a packet hits.
type Step struct {
	Flow ofproto.Flow // without timeouts and flags
	// If the flow has a check_pkt_larger, packets larger than its limit continue with the steps in
	// Larger. Smaller packets continue with the steps after this Step. Open vSwitch traces both
	// cases, because a trace has no packet size.
	Larger []Step
}

// Path returns the steps of a packet. larger means that the packet exceeds the limit of the first
// check_pkt_larger.
func Path(steps []Step, larger bool) []Step {
	for i := range steps {
		if steps[i].Larger != nil && larger {
			return append(steps[:i+1:i+1], steps[i].Larger...)
		}
	}
	return steps
}

// A Trace is the path of a packet through one bridge.
type Trace struct {
	Steps []Step
	// Final is the packet at the end, as Open vSwitch prints it. Datapath has the datapath's
	// actions for packets like the traced one.
	Final, Datapath string
}

var (
	// " 2. ip,nw_dst=10.0.2.0/24, priority 102, cookie 0xfd0675855b30e2c0"
	flowLine = regexp.MustCompile(`^( *)(\d+)\. (?:(.*), )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$`)
	// " 3. No match.", followed by the result for the packet
	missLine = regexp.MustCompile(`^( *)(\d+)\. No match`)
)

// Parse parses the part of the output of ofproto/trace that is about the given bridge. The
// error names the first line that cannot be parsed.
func Parse(output, bridge string) (Trace, error) {
	var t Trace
	var p parser
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\n")
		for _, s := range []struct {
			key string
			to  *string
		}{{"Final flow: ", &t.Final}, {"Datapath actions: ", &t.Datapath}} {
			if rest, ok := strings.CutPrefix(line, s.key); ok && *s.to == "" {
				*s.to = rest
				p.in = false
			}
		}
		if name, ok := strings.CutPrefix(line, `bridge("`); ok {
			p.in = strings.TrimSuffix(name, `")`) == bridge
			continue
		}
		if !p.in {
			continue
		}
		if err := p.line(line); err != nil {
			return Trace{}, fmt.Errorf("read the trace of bridge %s: %w in %q", bridge, err, line)
		}
	}
	t.Steps = p.close()
	if t.Datapath == "" {
		return Trace{}, fmt.Errorf("read the trace of bridge %s: it has no datapath actions: %q", bridge, output)
	}
	if t.Final == "unchanged" {
		t.Final = ""
	}
	return t, nil
}

// A parser parses the lines of a bridge. Nested steps are indented.
type parser struct {
	in     bool
	levels []level
}

type level struct {
	indent  int
	steps   []Step
	actions string // actions of the last step, so far
	missed  bool   // no flow matched at the end
}

func (p *parser) line(line string) error {
	text := strings.TrimSpace(line)
	if m := flowLine.FindStringSubmatch(line); m != nil {
		key, cookie, err := parseFlow(m[2:])
		if err != nil {
			return err
		}
		top := p.enter(m[1] + m[2])
		top.steps, top.actions = append(top.steps, Step{Flow: ofproto.Flow{FlowKey: key, Cookie: cookie}}), ""
		return nil
	}
	if m := missLine.FindStringSubmatch(line); m != nil {
		p.enter(m[1] + m[2]).missed = true
		return nil
	}
	if text == "" || strings.Trim(text, "-") == "" || strings.HasPrefix(text, "->") || strings.HasPrefix(text, ">>") {
		return nil
	}
	indent := len(line) - len(strings.TrimLeft(line, " "))
	for len(p.levels) > 1 && p.top().indent+3 > indent {
		p.leave()
	}
	if len(p.levels) == 0 {
		return fmt.Errorf("no flow precedes it")
	}
	top := p.top()
	if top.missed {
		return nil
	}
	if top.actions != "" {
		text = top.actions + "," + text
	}
	do, err := ofproto.ParseInstructions(text)
	if err != nil {
		return err
	}
	top.actions = text
	top.steps[len(top.steps)-1].Flow.Do = do
	return nil
}

func (p *parser) top() *level { return &p.levels[len(p.levels)-1] }

// enter finds the level of a line by its table number, makes it the current level, and returns it.
// In a level, table numbers are right aligned at one column, except the first number of a nested
// level. Only check_pkt_larger begins a level.
func (p *parser) enter(upToNumber string) *level {
	indent := len(upToNumber)
	for len(p.levels) > 1 && p.top().indent > indent {
		p.leave()
	}
	if len(p.levels) == 0 || p.top().indent < indent && strings.Contains(p.top().actions, "check_pkt_larger") {
		p.levels = append(p.levels, level{indent: indent, steps: []Step{}})
	}
	return p.top()
}

// leave ends the current level. Its steps belong to larger packets. Open vSwitch then repeats
// the actions after check_pkt_larger.
func (p *parser) leave() {
	larger := p.top().steps
	p.levels = p.levels[:len(p.levels)-1]
	top := p.top()
	top.steps[len(top.steps)-1].Larger = larger
	if i := strings.Index(top.actions, "check_pkt_larger"); i >= 0 {
		end := strings.IndexByte(top.actions[i:]+",", ',')
		top.actions = top.actions[:i+end]
	}
}

// close ends all levels and returns the steps of the outermost level.
func (p *parser) close() []Step {
	for len(p.levels) > 1 {
		p.leave()
	}
	if len(p.levels) == 0 {
		return nil
	}
	return p.levels[0].steps
}

func parseFlow(m []string) (key ofproto.FlowKey, cookie ofproto.Cookie, err error) {
	table, err := strconv.ParseUint(m[0], 10, 8)
	if err != nil {
		return key, 0, err
	}
	prio, err := strconv.ParseUint(m[2], 10, 16)
	if err != nil {
		return key, 0, err
	}
	match, err := ofproto.ParseMatch(m[1])
	if err != nil {
		return key, 0, err
	}
	if m[3] != "" {
		c, err := strconv.ParseUint(m[3], 0, 64)
		if err != nil {
			return key, 0, err
		}
		cookie = ofproto.Cookie(c)
	}
	return ofproto.FlowKey{Table: ofproto.TableID(table), Priority: uint16(prio), Match: match}, cookie, nil
}
