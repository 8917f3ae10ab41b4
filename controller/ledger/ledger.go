package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/ofdvr/ofdvr/routing"
)

// Config is what a [Ledger] is told at its start.
type Config struct {
	// Sources have the intent, in the order of precedence: of an object that several
	// have, that of the first is used.
	Sources []Source
	// Write is the one of Sources that writes go to; nil means that nothing can be
	// written, at least until [Ledger.Adopt].
	Write Store
	// Complete says that what the host's own store has at the start is complete,
	// whatever it says; see [State].
	Complete bool
	// History is how many events are remembered for watchers. 0 means 65,536.
	History int
	Log     *zap.Logger
}

const (
	defaultHistory = 1 << 16
	maxGroup       = 4096 // writes that are made durable together
	maxLogged      = 100  // quarantined objects that have a line of the log each
)

// ErrNoStore is the error of writes where there is no store.
var ErrNoStore = errors.New("there is no store: start ofdvr serve with --state-dir")

// A StoreError says that a write could not be made durable. Whether it was is
// not known then; most probably not.
type StoreError struct {
	Store string
	Err   error
}

func (e *StoreError) Error() string { return "write to " + e.Store + ": " + e.Err.Error() }
func (e *StoreError) Unwrap() error { return e.Err }

// A Ledger keeps the intent. Create it with [Open], then call [Ledger.Run]. Its
// other methods may be called from any goroutine.
type Ledger struct {
	log     *zap.Logger
	state   atomic.Pointer[State]
	history *history      // of the same revisions, but for a moment
	writes  chan *write   // some, so that they are made durable together
	tidings chan *tidings // none: whoever tells something waits

	// These are Run's.
	sources []Source
	store   Store             // one of sources; nil: nothing can be written
	ahead   map[Object]uint64 // what was committed to a shared store, with its revision, until that tells it
	to      Reader
}

// Open returns a Ledger of what the sources have. What cannot be used of them is
// quarantined.
func Open(ctx context.Context, cfg Config) (*Ledger, error) {
	l := &Ledger{log: cfg.Log, sources: slices.Clone(cfg.Sources), store: cfg.Write, ahead: make(map[Object]uint64),
		writes: make(chan *write, 256), tidings: make(chan *tidings)}
	s := &State{Index: new(routing.Index), writes: -1, home: len(l.sources) - 1, believed: cfg.Complete}
	all := make([]Contents, len(l.sources))
	for i, src := range l.sources {
		c, err := src.Load(ctx)
		if err != nil {
			return nil, err
		}
		all[i] = c
		s.Sources = append(s.Sources, read(src, &c))
		s.Revision = max(s.Revision, c.Revision)
		if cfg.Write != nil && src == Source(cfg.Write) {
			s.writes = i
		}
	}
	p := newPass(s)
	p.locate = located(all)
	for i, src := range s.Sources {
		src.strays = p.load(i, src.Name, &all[i])
	}
	p.run()
	g := group{state: p.finish()}
	if s.File() != nil {
		g.state.Revision++
	}
	g.state.Layout = g.state.Revision
	l.logQuarantined(g.state.Quarantined())
	for _, src := range s.Sources {
		if src.Partial {
			l.log.Error("could not read a source of the intent, going on with the rest", zap.String("source", src.Name), zap.Error(src.Err))
		}
	}
	if s.File() != nil {
		l.noteDeclared(ctx, &g, p)
	}
	l.state.Store(g.state)
	l.history = newHistory(cmp.Or(max(cfg.History, 0), defaultHistory), g.state.Revision)
	return l, nil
}

// State returns the intent as it is now.
func (l *Ledger) State() *State { return l.state.Load() }

// Events returns all events of the first revision after since that has some, and
// a channel that is closed when there are more. The events are shared by all
// callers and must not be changed. The error is [ErrCompacted].
func (l *Ledger) Events(since uint64) ([]Event, <-chan struct{}, error) {
	return l.history.after(since)
}

// An Edit returns the change that a write makes of the present state, or why it
// makes none. It runs on the ledger's goroutine, so it should not take long.
type Edit func(*State) (Proposal, error)

// A Proposal is what a write is to do.
type Proposal struct {
	Change   routing.Change
	Complete bool // from now on nothing is missing, see [State]
}

// A Result says what a write did.
type Result struct {
	State   *State    // after it, with its revision
	Objects []Outcome // that it named
	Touched []string  // IDs of the routers to which it matters, sorted
}

// An Outcome is what became of an object.
type Outcome struct {
	Object Object
	Op     Op
}

// Changed reports whether the write changed anything.
func (r *Result) Changed() bool {
	return slices.ContainsFunc(r.Objects, func(o Outcome) bool { return o.Op != Unchanged })
}

// A write is an edit that waits for its turn.
type write struct {
	edit   Edit
	answer chan answer // capacity 1: nobody may wait for it any more
}

type answer struct {
	Result
	err error
}

// Write carries out an edit and returns when it is durable. A write that changes
// nothing has the revision that there is. Errors are the edit's, a join of
// [*routing.PathError]s if the change is not possible, a [*DeclaredError], a
// [*StoreError], [ErrNoStore], or that of ctx; after a StoreError or that of ctx
// it is not known whether it was carried out.
func (l *Ledger) Write(ctx context.Context, edit Edit) (Result, error) {
	w := &write{edit: edit, answer: make(chan answer, 1)}
	if err := enter(ctx, l.writes, w); err != nil {
		return Result{}, err
	}
	a, err := await(ctx, w.answer)
	return a.Result, errors.Join(err, a.err)
}

func enter[T any](ctx context.Context, queue chan<- T, w T) error {
	select {
	case queue <- w:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("hand over a change of the intent: %w", context.Cause(ctx))
	}
}

func await[T any](ctx context.Context, done <-chan T) (v T, err error) {
	select {
	case v = <-done:
		return v, nil
	case <-ctx.Done():
		return v, fmt.Errorf("wait for a change of the intent: %w", context.Cause(ctx))
	}
}

// Try returns what a write would do, and does nothing.
func (l *Ledger) Try(edit Edit) (before *State, r Result, err error) {
	before = l.State()
	g := group{state: before.trial()}
	r, err = g.edit(edit)
	return before, r, err
}

// A Reader is told of each new State and of the routers to which its changes
// matter. The next writes wait for it.
type Reader interface {
	// Load is told of the State that is the intent from now on.
	Load(s *State, touched []string)
}

// Run follows the sources and takes writes until ctx is done, and tells to what
// comes of it.
func (l *Ledger) Run(ctx context.Context, to Reader) error {
	l.to = to
	g, ctx := errgroup.WithContext(ctx)
	follow := func(i int, since uint64) {
		src := l.sources[i]
		g.Go(func() error { return l.follow(ctx, i, src, since) })
	}
	for i, src := range l.State().Sources {
		follow(i, src.Revision)
	}
	g.Go(func() error {
		for {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case w := <-l.writes:
				l.take(ctx, l.waiting(w))
			case t := <-l.tidings:
				err := l.takeIn(ctx, t)
				if last := len(l.sources) - 1; t.adopt != nil && err == nil {
					follow(last, l.State().Sources[last].Revision)
				}
				t.answer <- err
			}
		}
	})
	return g.Wait()
}

// waiting returns w and the writes that wait behind it.
func (l *Ledger) waiting(w *write) []*write {
	ws := []*write{w}
	for len(ws) < maxGroup {
		select {
		case w := <-l.writes:
			ws = append(ws, w)
		default:
			return ws
		}
	}
	return ws
}

// take carries out writes, makes them durable together, publishes them and
// answers.
func (l *Ledger) take(ctx context.Context, ws []*write) {
	unread := l.unread(ctx)
	before := l.State()
	g := group{state: before, began: time.Now()}
	done := make([]answer, len(ws))
	for i, w := range ws {
		if done[i].err = cmp.Or(unread, ErrNoStore); l.store != nil && unread == nil {
			done[i].Result, done[i].err = g.edit(w.edit)
		}
	}
	var failed error
	if g.changed {
		if failed = l.save(ctx, &g); failed == nil {
			l.become(&g)
		}
	}
	if failed != nil {
		l.log.Error("could not write to the store, the writes were refused", zap.Int("writes", len(ws)), zap.Error(failed))
		l.reload(ctx)
	}
	for i, w := range ws {
		if failed != nil && done[i].err == nil {
			done[i] = unneeded(w.edit, failed, before, l.State())
		}
		w.answer <- done[i]
	}
}

// unneeded answers an edit that was grouped with others which could not be made durable:
// it has not failed if it changes nothing of what there was before, and is now.
func unneeded(edit Edit, failed error, states ...*State) (a answer) {
	for _, s := range states {
		g := group{state: s}
		if a.Result, a.err = g.edit(edit); a.err != nil || g.changed {
			return answer{err: failed}
		}
	}
	return a
}

// unread returns why the store cannot be written to: it has not been read, also
// not now, and could lose what it has.
func (l *Ledger) unread(ctx context.Context) error {
	if s := l.State().Store(); s == nil || !s.Partial {
		return nil
	}
	l.reload(ctx)
	if s := l.State().Store(); s.Partial {
		return &StoreError{s.Name, fmt.Errorf("it could not be read, so nothing is written to it: %w", s.Err)}
	}
	return nil
}

// become makes what g led to the intent.
func (l *Ledger) become(g *group) {
	l.history.add(g.events, g.state.Revision)
	l.state.Store(g.state)
	l.to.Load(g.state, slices.Sorted(maps.Keys(g.touched)))
}

// save makes what g did durable.
func (l *Ledger) save(ctx context.Context, g *group) error {
	at := g.state.writes
	revision, err := l.store.Commit(ctx, g.state.Revision, g.state.wholeOf(at), g.changes...)
	if err != nil {
		return &StoreError{l.store.Name(), err}
	}
	src := g.state.Sources[at]
	if src.Role == Shared {
		for i := range g.changes {
			for o := range named(&g.changes[i]) {
				l.ahead[o] = revision
			}
		}
	}
	if revision > g.state.Revision {
		s := *g.state
		s.Revision = revision
		g.state = &s
	}
	return nil
}

// reload loads what the store has after a write has failed: perhaps it has not
// failed.
func (l *Ledger) reload(ctx context.Context) {
	c, err := l.store.Load(ctx)
	if err = cmp.Or(err, c.Err); err != nil {
		l.log.Error("could not read the store, going on with what is known", zap.Error(err))
		return
	}
	l.replace(ctx, l.State().writes, &c)
}
