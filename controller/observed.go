package controller

import (
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/controller/hosts"
	"github.com/ofdvr/ofdvr/routing"
)

// An observed logs changes on other hosts: a machine moves or is on several hosts, or the messages
// of a host begin or end. It does not log the state at the start.
type observed struct {
	log       *zap.Logger
	at        map[string]string // the host that last reported the machine of a port, by port
	contested map[string]bool   // ports that several hosts report
	heard     map[string]bool   // whether messages of a host arrive, by host; absent if not known yet
}

func newObserved(log *zap.Logger) *observed {
	return &observed{log, make(map[string]string), make(map[string]bool), make(map[string]bool)}
}

// forget forgets a port that is not in the intent.
func (o *observed) forget(port string) {
	delete(o.at, port)
	delete(o.contested, port)
}

// look logs where the machine of p is, if that has changed.
func (o *observed) look(t *hosts.Table, p *routing.Port) {
	at := t.Reporters(p.ID, p.Host)
	about := []zap.Field{zap.String("port", p.ID), zap.String("network", p.Network)}
	if len(at) > 0 {
		if last := o.at[p.ID]; last != "" && last != at[0] {
			o.log.Info("machine moved to another host", append(slices.Clone(about), zap.String("from", last), zap.String("to", at[0]))...)
		}
		o.at[p.ID] = at[0]
	}
	if several := len(at) > 1; several != o.contested[p.ID] {
		if several {
			o.log.Warn("machine is plugged in on several hosts, the first has it", append(about, zap.String("hosts", strings.Join(at, " ")))...)
			o.contested[p.ID] = true
		} else {
			delete(o.contested, p.ID)
		}
	}
}

// listen logs which hosts are heard, if that has changed.
func (o *observed) listen(t *hosts.Table, now time.Time) {
	for _, s := range t.States(now) {
		was, known := o.heard[s.Host]
		switch {
		case s.Alive && (!known || !was):
			o.log.Info("messages of another host arrive", zap.String("host", s.Host))
			o.heard[s.Host] = true
		case s.Silent && (!known || was):
			o.log.Warn("no messages of another host arrive, packets may not pass between its machines and those of this host", zap.String("host", s.Host))
			o.heard[s.Host] = false
		}
	}
}
