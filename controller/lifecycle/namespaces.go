package lifecycle

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/ofdvr/ofdvr/internal/logging"
	"github.com/ofdvr/ofdvr/internal/namespace"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/compile"
)

const (
	// workers is the number of namespaces that are inspected at a time. Workers spend their
	// time waiting for the kernel.
	workers = 4
	// inspectTime is the time during which a pass starts new inspections. Namespaces that are still
	// due wait for the next pass. Before it, new events are handled.
	inspectTime = 100 * time.Millisecond
)

// An inspection is the result of inspecting, and perhaps correcting, a namespace.
type inspection struct {
	m         *managed
	ensured   bool // false if the namespace was only read
	result    namespace.Result
	err       error
	kernel    *compile.Kernel
	kernelErr error
	took      time.Duration
}

// inspect inspects the namespaces that are due.
func (p *pass) inspect(ctx context.Context) {
	p.doing("")
	now := time.Now()
	var due []*managed // starting with turn
	for i := range p.routers {
		m := p.routers[(p.turn+i)%len(p.routers)]
		if m.Fallback == routing.FallbackNamespace && m.isDue(now) {
			due = append(due, m)
		}
	}
	var mu sync.Mutex // guards the variables below
	var done []inspection
	next := 0
	take := func() *managed {
		mu.Lock()
		defer mu.Unlock()
		if next == len(due) || next > 0 && time.Since(now) > inspectTime || ctx.Err() != nil {
			return nil
		}
		next++
		return due[next-1]
	}
	var g sync.WaitGroup
	for range min(workers, len(due)) {
		g.Go(func() {
			for m := take(); m != nil; m = take() {
				s := p.inspectOne(ctx, m)
				mu.Lock()
				done = append(done, s)
				mu.Unlock()
			}
		})
	}
	g.Wait()
	if next < len(due) {
		p.turn = slices.Index(p.routers, due[next])
	}
	slices.SortFunc(done, func(a, b inspection) int { return slices.Index(due, a.m) - slices.Index(due, b.m) })
	for i := range done {
		p.inspected(ctx, &done[i])
	}
}

// inspectOne corrects the namespace of a router and its taps, if the desired state is known,
// and reads its routes. It may run for several routers at a time.
func (p *pass) inspectOne(ctx context.Context, m *managed) inspection {
	defer p.activity.during("set up namespace " + m.NamespaceName())()
	began := time.Now()
	m.begin()
	s := inspection{m: m, ensured: p.database.ready}
	if s.ensured {
		if m.memory == nil {
			m.memory = namespace.NewMemory(p.before)
		}
		s.result, s.err = namespace.Ensure(ctx, m.desired, m.memory)
	}
	if s.foreign() {
		s.kernel = new(compile.Kernel) // empty: no packets are handed to a foreign namespace
	} else {
		s.kernel, s.kernelErr = p.Kernel(p.want.Index, m.Router)
	}
	s.took = time.Since(began)
	return s
}

// foreign reports whether the namespace belongs to another instance, or to the machine itself.
func (s *inspection) foreign() bool {
	return errors.As(s.err, new(*namespace.ForeignError)) || errors.As(s.err, new(*namespace.HostError))
}

// inspected handles the result of an inspection.
func (p *pass) inspected(ctx context.Context, s *inspection) {
	m := s.m
	m.problems = nil
	if s.ensured {
		p.ensured(ctx, s)
	}
	m.foreign = s.foreign()
	if s.kernelErr != nil {
		m.problems = append(m.problems, s.kernelErr.Error())
		p.warn(cannotRead, m.ID, s.kernelErr)
		m.again(time.Now())
	} else {
		p.resolved(cannotRead, m.ID)
		if !m.foreign {
			m.problems = append(m.problems, slower(m.Router, s.kernel)...)
		}
		p.cfg.Kernel(m.ID, s.kernel)
	}
	m.pace.inspected(time.Now(), s.took, time.Second)
	if slices.ContainsFunc(m.Interfaces, func(f routing.Interface) bool { return f.RA != nil }) {
		p.advertising.due = true
	}
}

// ensured handles the result of [namespace.Ensure].
func (p *pass) ensured(ctx context.Context, s *inspection) {
	m, res := s.m, &s.result
	gone := m.memory.Forget(func(tap string) bool {
		return slices.ContainsFunc(m.Interfaces, func(f routing.Interface) bool { return f.TapName() == tap })
	})
	if len(gone) > 0 {
		p.log.Warn("routes of other programs were lost with an interface", zap.String("router", m.ID), zap.String("routes", logging.Brief(gone)))
	}
	m.problems = append(m.problems, res.Lost...)
	for _, what := range res.Changed {
		p.log.Debug("changed a part of a namespace", zap.String("router", m.ID), zap.String("change", what))
	}
	if len(res.Settings) > 0 && m.right {
		p.log.Warn("another program changed settings of a namespace, set them back", zap.String("router", m.ID),
			zap.String("namespace", m.desired.Name), zap.String("settings", logging.Brief(res.Settings)))
	}
	changes := p.log.Info
	text := "changed namespace"
	if m.passed && m.right {
		changes, text = p.log.Warn, "repaired a namespace that another program had changed"
	}
	m.passed, m.right = true, s.err == nil
	if len(res.Changed) > 0 {
		changes(text, zap.String("router", m.ID), zap.String("changes", logging.Brief(res.Changed)))
	}
	if s.err == nil {
		p.resolved(cannotSetUp, m.ID)
	} else {
		m.problems = append(m.problems, s.err.Error())
		p.warn(cannotSetUp, m.ID, s.err)
		if !errors.As(s.err, new(*namespace.ForeignError)) { // a ForeignError needs no retry, because a notification follows when its cause ends
			m.again(time.Now())
		}
	}
	for _, tap := range m.desired.Taps {
		k := portOf{m.ID, tap.Name}
		if slices.Contains(res.Missing, tap.Name) {
			p.missing(ctx, m, k)
		} else {
			delete(p.database.renewals, k)
		}
	}
}

// remove deletes our namespaces that no router uses. A namespace that cannot be deleted is
// watched.
func (p *pass) remove() {
	e := &p.removing
	began := time.Now()
	e.begin()
	if !p.database.applied || !p.want.Complete || p.instance == "" {
		return
	}
	wanted := make(map[string]bool, len(p.byName))
	for name := range p.byName {
		wanted[name] = true
	}
	kept := p.kept
	e.problems, p.kept = make(problems), nil
	all, err := namespace.ListExcept(wanted)
	if err != nil {
		e.problems.add("", err.Error())
		e.again(time.Now())
	}
	for _, ns := range all {
		if ns.Instance != p.instance {
			continue
		}
		p.doing("delete namespace " + ns.Name)
		err := namespace.Remove(ns.Name, p.instance)
		switch {
		case err == nil:
			p.log.Info("deleted namespace", zap.String("router", ns.Router), zap.String("namespace", ns.Name))
		case errors.As(err, new(*namespace.KeptError)):
			e.problems.add("", err.Error())
			p.kept = append(p.kept, ns.Name) // its contents are watched
		default:
			e.problems.add("", err.Error())
			e.again(time.Now())
		}
	}
	p.renamed = p.renamed || !slices.Equal(kept, p.kept)
	p.undo(wanted)
	now := time.Now()
	e.inspected(now, now.Sub(began), time.Second)
}

// undo restores the original settings of namespaces that no router uses and that were not
// deleted.
func (p *pass) undo(wanted map[string]bool) {
	if p.before == nil {
		return
	}
	names, err := p.before.Names()
	if err != nil {
		p.removing.problems.add("", err.Error())
		p.warn(cannotUndo, "", err)
		p.removing.again(time.Now())
	}
	for _, name := range names {
		if wanted[name] {
			continue
		}
		p.doing("restore the settings of namespace " + name)
		changed, err := p.before.Restore(name, p.instance)
		if len(changed) > 0 {
			p.log.Info("restored the settings of a namespace that stays", zap.String("namespace", name), zap.String("changes", logging.Brief(changed)))
		}
		if err != nil {
			p.removing.problems.add("", err.Error())
			p.warn(cannotUndo, "", err)
			p.removing.again(time.Now())
		}
	}
}
