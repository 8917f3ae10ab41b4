// Package ovstrace reads what Open vSwitch says about the way of a packet:
// the output of ovs-appctl ofproto/trace (ovs-vswitchd(8)).
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
	// Larger are the steps of a packet that is larger than the flow's
	// check_pkt_larger has it; those that follow are of one that is not. Open
	// vSwitch, which is not told a size, looks at both.
	Larger []Step
}

// Path returns the steps of a packet that is larger than the first
// check_pkt_larger has it, or of one that is not.
func Path(steps []Step, larger bool) []Step {
	for i := range steps {
		if steps[i].Larger != nil && larger {
			return append(steps[:i+1:i+1], steps[i].Larger...)
		}
	}
	return steps
}

// A Trace is the way of a packet through one bridge.
type Trace struct {
	Steps []Step
	// Final is the packet at the end, as Open vSwitch prints it, and Datapath what
	// its datapath does with all such packets.
	Final, Datapath string
}

var (
	// " 2. ip,nw_dst=10.0.2.0/24, priority 102, cookie 0xfd0675855b30e2c0"
	flowLine = regexp.MustCompile(`^( *)(\d+)\. (?:(.*), )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$`)
	// " 3. No match.", and then what becomes of the packet
	missLine = regexp.MustCompile(`^( *)(\d+)\. No match`)
)

// Parse reads the output of ofproto/trace on a bridge: the part that is about that
// bridge. The error says which line is none that it knows.
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
		return Trace{}, fmt.Errorf("read the trace of bridge %s: it does not say what the datapath does: %q", bridge, output)
	}
	if t.Final == "unchanged" {
		t.Final = ""
	}
	return t, nil
}

// A parser reads the lines of a bridge. Steps within steps are indented.
type parser struct {
	in     bool
	levels []level
}

type level struct {
	indent  int
	steps   []Step
	actions string // of the last step, so far
	missed  bool   // no flow matched in the end
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
		return fmt.Errorf("there is no flow before it")
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

// enter makes the level of a table the present one, and returns it. The numbers of
// tables of a level end below each other, but for the first of an inner one. Only
// check_pkt_larger begins one.
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

// leave ends the present level: its steps are those of packets that are larger.
// Open vSwitch then starts once more with what comes after check_pkt_larger.
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

// close ends all levels and returns the steps of the outermost.
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
