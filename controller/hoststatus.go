package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/routing"
)

// A HostStatus describes one of the hosts of the intent.
type HostStatus struct {
	ID      string    `json:"id"`
	Self    bool      `json:"self,omitempty"`           // this host
	Tunnel  string    `json:"tunnel,omitempty"`         // type and address; absent if the host has no tunnels
	Uplink  string    `json:"uplink,omitempty"`         // interface; absent: it has none
	Heard   time.Time `json:"heard,omitzero"`           // time of the last message; absent before the first, and for this host
	Alive   bool      `json:"alive"`                    // its messages arrive
	Deaf    bool      `json:"deaf,omitempty"`           // the host reports that our messages do not arrive there
	Version string    `json:"version,omitempty"`        // version of its ofdvr; absent if not known
	Differs bool      `json:"intent_differs,omitempty"` // the host's intent differs from ours
	Ports   int       `json:"machines"`                 // number of machines that are plugged in there
	// Problems has the problems of the Status that concern the host.
	Problems []string `json:"problems,omitempty"`
	// InEtcd is what the host has written in etcd; absent if the intent is not shared in etcd, or etcd
	// does not answer.
	InEtcd *HostInEtcd `json:"in_etcd,omitempty"`
}

// HostInEtcd is what a host has written about itself in etcd.
type HostInEtcd struct {
	Alive    bool      `json:"alive"` // its daemon is in touch with etcd; if not, the other fields are absent
	Started  time.Time `json:"started,omitzero"`
	Revision uint64    `json:"revision,omitempty"` // of etcd, that its switches have confirmed
	Machines int       `json:"machines,omitempty"`
	Problems int       `json:"problems,omitempty"`
}

// hostStatus returns the status of all hosts.
func (c *Controller) hostStatus(w *world, problems []hostProblem) (out []HostStatus) {
	known := make(map[string]HostStatus)
	if w.hosts != nil {
		for _, s := range w.hosts.States(time.Now()) {
			known[s.Host] = HostStatus{Heard: s.Heard, Alive: s.Alive, Deaf: s.Deaf, Version: s.Version, Differs: !s.SameIntent, Ports: s.Machines}
		}
	}
	for h := range w.intent.Index.Hosts("") {
		s := known[h.ID]
		if s.ID = h.ID; h.ID == c.cfg.Host {
			s.Self, s.Alive, s.Version, s.Ports = true, true, c.cfg.Version, len(w.plugged)
		}
		if a := h.Tunnel.Address; a.IsValid() {
			s.Tunnel = fmt.Sprintf("%v %v", h.Tunnel.Type, a)
		}
		s.Uplink = h.Uplink
		for _, p := range problems {
			if slices.Contains(p.hosts, h.ID) {
				s.Problems = append(s.Problems, p.text)
			}
		}
		out = append(out, s)
	}
	return out
}

// A hostProblem is a problem between hosts.
type hostProblem struct {
	text  string
	hosts []string // the hosts that it concerns
}

// hostProblems returns the problems between hosts.
func (c *Controller) hostProblems(w *world) (out []hostProblem) {
	x := w.intent.Index
	if w.hosts == nil {
		return c.alone(x)
	}
	add := func(hosts []string, format string, args ...any) {
		out = append(out, hostProblem{fmt.Sprintf(format, args...), hosts})
	}
	var silent, deaf, differ []string
	for _, s := range w.hosts.States(time.Now()) {
		if s.Silent {
			silent = append(silent, s.Host)
		}
		if s.Deaf {
			deaf = append(deaf, s.Host)
		}
		if s.Alive && !s.SameIntent {
			differ = append(differ, s.Host)
		}
	}
	if len(silent) > 0 {
		add(silent, "no messages from %s: packets may not pass between its machines and those of this host. "+
			"Check whether ofdvr runs there, and whether tunnel packets pass (ofdvr doctor); routing goes on with what this host knew before", plural("host", silent))
	}
	if len(deaf) > 0 {
		add(deaf, "messages of this host do not arrive at %s, but messages of that host arrive here: packets to its machines may be lost. "+
			"Check whether a firewall or router drops tunnel packets from this host (ofdvr doctor); routing goes on as if they passed", plural("host", deaf))
	}
	if len(differ) > 0 {
		add(differ, "%s has another intent than this host: give all hosts the same file (ofdvr status shows the hash)", plural("host", differ))
	}
	for i, id := range w.hosts.Conflicts() {
		if i == maxConflictProblems {
			add(nil, "%d more machines are plugged in on several hosts", len(w.hosts.Conflicts())-i)
			break
		}
		p, _ := x.Port(id)
		at := w.hosts.Reporters(id, p.Host)
		add(at, "the machine of port %s is plugged in on hosts %s: %s, %s, has it. Unplug it elsewhere, or give one of the machines another ID",
			id, strings.Join(at, " and "), at[0], reasons[w.hosts.Why(id, p.Host)])
	}
	return out
}

// reasons says why a host has a machine that several hosts claim.
var reasons = map[hosts.Reason]string{
	hosts.OnlyClaim:   "which alone reports it",
	hosts.OthersQuiet: "whose messages arrive",
	hosts.LastPlugged: "where it was plugged in last",
	hosts.Intended:    "which the intent names",
	hosts.LowestID:    "whose ID is the lowest",
}

// maxConflictProblems limits the problems about machines that are on several hosts. Up to this
// number, each machine has its own problem.
const maxConflictProblems = 20

// alone returns a problem if the intent has hosts, but not this host.
func (c *Controller) alone(x *routing.Index) []hostProblem {
	some := false
	for range x.Hosts("") {
		some = true
		break
	}
	switch h := x.Host(c.cfg.Host); {
	case !some:
		return nil
	case h == nil:
		return []hostProblem{{text: fmt.Sprintf("the intent has hosts, but none is called %q, the ID of this host: no packets pass to other hosts. Add this host to the intent, or set --host", c.cfg.Host)}}
	}
	return nil
}

func plural(noun string, ids []string) string {
	if len(ids) == 1 {
		return noun + " " + ids[0]
	}
	return noun + "s " + logging.Brief(ids)
}
