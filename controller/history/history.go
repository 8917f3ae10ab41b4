// Package history keeps the rates of router interfaces of the last fifteen minutes.
//
// A [History] reads the counters at an interval and keeps the rates. Its size is bounded: 60
// samples of 12 bytes for each of at most [MaxInterfaces] interfaces.
package history

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ofdvr/ofdvr/controller/counters"
	"github.com/ofdvr/ofdvr/routing/compile"
)

const (
	// Interval is the time between two samples.
	Interval = 15 * time.Second
	// Samples is the number of samples that are kept: those of 15 minutes.
	Samples = 60
	// MaxInterfaces is the maximum number of interfaces with a history. These are the first ones of
	// the intent, and need 7 MB.
	MaxInterfaces = 10_000
)

// A sample has the rates of one interval. If the switch was not read, all rates are NaN.
type sample struct {
	in, out float32 // bit/s that the switch received, and that it routed out of the interface
	kernel  float32 // packet/s that were handed to the kernel
}

var unknown = sample{float32(math.NaN()), float32(math.NaN()), float32(math.NaN())}

func (s sample) known() bool { return s.out == s.out }

// add returns the sum of s and t. An unknown sample counts as zero, unless both are unknown.
func (s sample) add(t sample) sample {
	switch {
	case !t.known():
		return s
	case !s.known():
		return t
	}
	return sample{s.in + t.in, s.out + t.out, s.kernel + t.kernel}
}

// A series has the samples of one interface, in a ring: sample n is at n % Samples.
type series struct {
	samples [Samples]sample
	last    totals
	read    time.Duration // time of the last reading, since the start of the daemon
	upTo    int           // number of the latest known sample
	seen    int           // number of the last sample at which the interface existed
}

// totals has sums, which never decrease.
type totals struct{ in, out, kernel uint64 }

type key struct{ router, iface string }

// A History has the samples. Its methods may be called from any goroutine. Create it
// with [New].
type History struct {
	mu     sync.Mutex
	n      int // number of the latest sample
	at     time.Time
	series map[key]*series
	left   int // interfaces without a history, because there are too many
}

// New returns an empty History.
func New() *History { return &History{series: make(map[key]*series)} }

// Run calls glance at each Interval and adds the result as a sample, until ctx is done.
// An error of glance leaves a gap.
func (h *History) Run(ctx context.Context, glance func(context.Context) (counters.Snapshot, error)) error {
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		if s, err := glance(ctx); err == nil {
			h.Add(time.Now(), s)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// Add adds a sample, taken at time at. Its rates are computed from the latest two readings of a
// switch. If the readings are more than an interval apart, all samples between them get the same
// rates.
func (h *History) Add(at time.Time, s counters.Snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	h.at, h.left = at, 0
	for i := range s.Routers {
		r := &s.Routers[i]
		for j := range r.Interfaces {
			h.add(key{r.Router, r.Interfaces[j].ID}, r, r.Interfaces[j].ByRole, s.At)
		}
	}
	for k, x := range h.series {
		if x.seen != h.n {
			delete(h.series, k)
		}
	}
}

func (h *History) add(k key, r *counters.Router, c counters.ByRole, at time.Duration) {
	x := h.series[k]
	if x == nil {
		if len(h.series) >= MaxInterfaces {
			h.left++
			return
		}
		x = &series{upTo: h.n}
		for i := range x.samples {
			x.samples[i] = unknown
		}
		h.series[k] = x
	}
	x.seen = h.n
	x.samples[h.n%Samples] = unknown
	read := at - r.Age
	if !r.Read || x.read != 0 && read <= x.read+time.Second/10 { // the switch was not read again
		return
	}
	now := totals{in: c[compile.RoleIn].Bytes, out: c.Routed().Bytes}
	for _, packets := range c.Fallback() {
		now.kernel += packets
	}
	if x.read != 0 && now.in >= x.last.in && now.out >= x.last.out && now.kernel >= x.last.kernel {
		per := 1 / (read - x.read).Seconds()
		v := sample{float32(8 * float64(now.in-x.last.in) * per), float32(8 * float64(now.out-x.last.out) * per), float32(float64(now.kernel-x.last.kernel) * per)}
		for i := max(x.upTo+1, h.n-Samples+1); i <= h.n; i++ {
			x.samples[i%Samples] = v
		}
	}
	x.last, x.read, x.upTo = now, read, h.n
}

// A Window is a part of a History.
type Window struct {
	At         time.Time // time of the latest sample; zero before the first
	Total      Series    // of all interfaces
	Routers    []Series
	Interfaces []Series // of one router
	Left       int      // interfaces without a history, because there are too many
}

// A Series has rates, the oldest first. Unknown rates are NaN. All Series of a Window
// have the same length, of at most [Samples].
type Series struct {
	Router, Interface string
	In, Out, Kernel   []float64 // bit/s, bit/s and packet/s
}

// Busiest returns the sum of all interfaces, and the sums of the n routers with the most
// traffic.
func (h *History) Busiest(n int) Window {
	h.mu.Lock()
	defer h.mu.Unlock()
	total := newSum()
	routers := make(map[string]*sum)
	for k, x := range h.series {
		r := routers[k.router]
		if r == nil {
			r = newSum()
			routers[k.router] = r
		}
		r.add(&x.samples)
		total.add(&x.samples)
	}
	ids := make([]string, 0, len(routers))
	for id, r := range routers {
		r.weigh()
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(cmp.Compare(routers[b].bits, routers[a].bits), cmp.Compare(a, b))
	})
	w := h.window(total)
	for _, id := range ids[:min(n, len(ids))] {
		w.Routers = append(w.Routers, h.tell(&routers[id].samples, id, ""))
	}
	return w
}

// Of returns the sum of a router, and its interfaces by ID.
func (h *History) Of(id string) Window {
	h.mu.Lock()
	defer h.mu.Unlock()
	total := newSum()
	var interfaces []Series
	for k, x := range h.series {
		if k.router == id {
			total.add(&x.samples)
			interfaces = append(interfaces, h.tell(&x.samples, id, k.iface))
		}
	}
	slices.SortFunc(interfaces, func(a, b Series) int { return cmp.Compare(a.Interface, b.Interface) })
	w := h.window(total)
	w.Interfaces = interfaces
	return w
}

// window returns a Window with a total. The caller holds mu.
func (h *History) window(total *sum) Window {
	return Window{At: h.at, Total: h.tell(&total.samples, "", ""), Left: h.left}
}

// tell returns the samples of a ring in order. The first reading yields no sample. The
// caller holds mu.
func (h *History) tell(samples *[Samples]sample, router, iface string) Series {
	s := Series{Router: router, Interface: iface}
	for i := max(2, h.n-Samples+1); i <= h.n; i++ {
		v := samples[i%Samples]
		s.In, s.Out, s.Kernel = append(s.In, float64(v.in)), append(s.Out, float64(v.out)), append(s.Kernel, float64(v.kernel))
	}
	return s
}

// A sum adds up series.
type sum struct {
	samples [Samples]sample
	bits    float64
}

func newSum() *sum {
	s := new(sum)
	for i := range s.samples {
		s.samples[i] = unknown
	}
	return s
}

func (s *sum) add(samples *[Samples]sample) {
	for i := range samples {
		s.samples[i] = s.samples[i].add(samples[i])
	}
}

func (s *sum) weigh() {
	for _, v := range s.samples {
		if v.known() {
			s.bits += float64(v.out)
		}
	}
}
