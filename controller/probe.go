package controller

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ofdvr/ofdvr/controller/doctor"
)

// probePatience is how long a probe of another host waits for the answer.
const probePatience = time.Second

// probeCopies is the number of copies of each probe. One answer is enough, because a tunnel may lose a
// packet.
const probeCopies = 3

// A probe is a packet that asks another host for an answer.
type probe struct {
	host  string
	large bool
	sent  time.Time
}

// peers describes the other hosts for doctor.
func (c *Controller) peers(w *world, h *doctor.Host) {
	if w.hosts == nil {
		return
	}
	h.Self, h.Peers = c.cfg.Host, []doctor.Peer{}
	now := time.Now()
	for _, s := range w.hosts.States(now) {
		p := doctor.Peer{ID: s.Host, Heard: -1, Version: s.Version, Differs: !s.SameIntent, Deaf: s.Deaf}
		if !s.Heard.IsZero() {
			p.Heard = now.Sub(s.Heard)
		}
		if host := w.intent.Index.Host(s.Host); host != nil {
			p.Address = host.Tunnel.Address
			p.Tunnel = fmt.Sprintf("%v %v", host.Tunnel.Type, host.Tunnel.Address)
		}
		h.Peers = append(h.Peers, p)
	}
	h.LargestMTU = w.largestMTU()
	h.Probe = c.probeHosts
}

// largestMTU returns the largest MTU of networks with a VNI.
func (w *world) largestMTU() (n int) {
	for network := range w.intent.Index.Networks("") {
		if network.VNI != 0 {
			n = max(n, network.MTU)
		}
	}
	return n
}

// A probing waits for the answers to probes of all other hosts.
type probing struct {
	probes map[uint64]probe // unanswered probes, by number
	found  map[string]doctor.Probes
	answer chan<- map[string]doctor.Probes
	ends   time.Time
}

// probeHosts sends a small and a large packet to each other host, and waits for the answers.
func (c *Controller) probeHosts(ctx context.Context) (map[string]doctor.Probes, error) {
	out, err := request(ctx, c, func(answer chan<- map[string]doctor.Probes) event { return probesRequested{answer} })
	if err != nil {
		return nil, fmt.Errorf("probe other hosts: %w", err)
	}
	return out, nil
}

// startProbes sends the probes.
func (w *world) startProbes(answer chan<- map[string]doctor.Probes) {
	p := &probing{probes: make(map[uint64]probe), found: make(map[string]doctor.Probes), answer: answer, ends: time.Now().Add(probePatience)}
	if w.hosts != nil {
		for _, s := range w.hosts.States(time.Now()) {
			for _, large := range []bool{false, true} {
				size := 0
				if large {
					size = ethernetHeader + w.largestMTU()
				}
				for range probeCopies {
					n := rand.Uint64() | 1
					p.probes[n] = probe{s.Host, large, time.Now()}
					w.hosts.Probe(s.Host, n, size)
				}
			}
		}
	}
	w.probing = append(w.probing, p)
	w.endProbes()
}

// ethernetHeader is the length in bytes of the Ethernet header.
const ethernetHeader = 14

// probeAnswered records the answer to a probe.
func (w *world) probeAnswered(n uint64) {
	for _, p := range w.probing {
		sent, ours := p.probes[n]
		if !ours {
			continue
		}
		maps.DeleteFunc(p.probes, func(_ uint64, q probe) bool { return q.host == sent.host && q.large == sent.large }) // the copies
		found, result := p.found[sent.host], doctor.Probe{Answered: true, Took: time.Since(sent.sent)}
		if sent.large {
			found.Large = result
		} else {
			found.Small = result
		}
		p.found[sent.host] = found
	}
	w.endProbes()
}

// endProbes sends the results of every probing that has all answers or has waited for long
// enough.
func (w *world) endProbes() {
	w.probing = slices.DeleteFunc(w.probing, func(p *probing) bool {
		done := len(p.probes) == 0 || time.Now().After(p.ends)
		if done {
			p.answer <- p.found
		}
		return done
	})
}
