package chaos

import "math/rand/v2"

// A script selects the steps. It depends only on the options.
type script struct {
	all    []fault
	left   []fault // remaining faults of this round, in which each fault occurs once
	rand   *rand.Rand
	intent *document // the intent after the steps so far
}

func newScript(o Options) *script {
	s := &script{rand: rand.New(rand.NewPCG(o.Seed, 0)), intent: meshTopology()}
	for _, f := range faults {
		if o.Only == nil || o.Only.MatchString(f.kind) {
			s.all = append(s.all, f)
		}
	}
	return s
}

// next returns the next step and its kind.
func (s *script) next() (kind string, st step) {
	if len(s.left) == 0 {
		s.left = append(s.left, s.all...)
		s.rand.Shuffle(len(s.left), func(i, k int) { s.left[i], s.left[k] = s.left[k], s.left[i] })
	}
	f := s.left[0]
	s.left = s.left[1:]
	st = f.plan(s.intent, s.rand)
	if st.intent != nil {
		s.intent = st.intent
	}
	return f.kind, st
}
