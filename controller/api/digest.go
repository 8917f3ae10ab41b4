package api

import (
	"fmt"
	"sync"

	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

// A digester computes the digest of each state of the intent from the digest of the previous state.
// The zero value is ready for use.
type digester struct {
	mu     sync.Mutex
	index  *routing.Index // nil means the empty intent
	digest topology.Digest
}

// of returns the digest of a state. The time is proportional to the number of objects that differ
// from the previous state.
func (d *digester) of(st *ledger.Intent) topology.Digest {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.index == nil {
		d.index = new(routing.Index)
	}
	d.digest, d.index = d.digest.Moved(d.index, st.Index), st.Index
	return d.digest
}

// topologyTag is the ETag of the topology as a whole: its revision and the beginning of its digest.
// The revision alone is not enough, because restoring a store lowers the revision.
func (s *service) topologyTag(st *ledger.Intent) string {
	return fmt.Sprintf(`"r%d-%.12s"`, st.Revision, s.digester.of(st))
}
