package radvd

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
)

// A Router is a router that sends router advertisements from its namespace.
type Router struct {
	ID         string
	Namespace  string
	Interfaces []Interface
}

// An Interface is a router interface that sends advertisements (RFC 4861 §6.2.1).
type Interface struct {
	ID             string
	Tap            string
	Down           bool // the interface currently sends nothing
	Managed, Other bool
	Lifetime       int // lifetime as a default router in seconds; 0, or from Interval to 9000
	Interval       int // maximum time between advertisements in seconds, 4–1800
	MTU            int // bytes; 0 if not advertised
	Prefixes       []Prefix
}

// A Prefix is an advertised prefix (RFC 4861 §4.6.2).
type Prefix struct {
	Prefix             netip.Prefix
	OnLink, Autonomous bool
	Valid, Preferred   int // lifetimes in seconds; 1<<32-1 is infinity
}

// config returns the configuration file of r (radvd.conf(5)), or nil if no interface is up. A
// tap may be missing, because radvd waits for it.
func config(r *Router) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# Router %s. ofdvr writes this file.\n", r.ID)
	n := 0
	for i := range r.Interfaces {
		f := &r.Interfaces[i]
		if f.Down {
			continue
		}
		n++
		fmt.Fprintf(&b, "%s%s {\n", interfaceLine, f.Tap)
		set := func(option string, value any) { fmt.Fprintf(&b, "\t%s %v;\n", option, value) }
		set("AdvSendAdvert", "on")
		set("IgnoreIfMissing", "on")
		set("AdvManagedFlag", onOff(f.Managed))
		set("AdvOtherConfigFlag", onOff(f.Other))
		set("AdvDefaultLifetime", f.Lifetime)
		set("MinRtrAdvInterval", max(3, f.Interval/3)) // radvd's minimum, or RFC 4861's default
		set("MaxRtrAdvInterval", f.Interval)
		if f.MTU != 0 {
			set("AdvLinkMTU", f.MTU)
		}
		for _, p := range f.Prefixes {
			fmt.Fprintf(&b, "\tprefix %v {\n", p.Prefix)
			set("\tAdvOnLink", onOff(p.OnLink))
			set("\tAdvAutonomous", onOff(p.Autonomous))
			set("\tAdvValidLifetime", seconds(p.Valid))
			set("\tAdvPreferredLifetime", seconds(p.Preferred))
			b.WriteString("\t};\n")
		}
		b.WriteString("};\n")
	}
	if n == 0 {
		return nil
	}
	return []byte(b.String())
}

const interfaceLine = "interface "

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func seconds(n int) any {
	if n == math.MaxUint32 {
		return "infinity"
	}
	return n
}

// leaves reports whether an interface in a configuration no longer sends advertisements.
// radvd sends its final advertisements only when it ends.
func (r *Router) leaves(config []byte) bool {
	still := make(map[string]bool)
	for i := range r.Interfaces {
		still[r.Interfaces[i].Tap] = true
	}
	for line := range strings.Lines(string(config)) {
		if rest, ok := strings.CutPrefix(line, interfaceLine); ok && !still[strings.TrimSuffix(rest, " {\n")] {
			return true
		}
	}
	return false
}
