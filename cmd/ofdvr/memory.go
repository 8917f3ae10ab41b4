package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A heap is the state of the heap of Go's runtime.
type heap struct {
	allocated uint64 // bytes allocated since the start
	live      uint64 // bytes in use after the last collection
	held      uint64 // bytes of live and dead objects, and of free pages that were not returned to the kernel
}

func readHeap() heap {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return heap{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64() + s[3].Value.Uint64()}
}

// wasteful reports whether free memory should be returned to the kernel. That is so if little was
// allocated since the earlier state before, and a large part of the held memory is not in use.
func (h heap) wasteful(before heap) bool {
	const little = 4 << 20
	return h.allocated-before.allocated < h.live/16+little && h.held > h.live+h.live/4+little
}

// giveBackMemory returns memory to the kernel while the daemon has little to do, until ctx is done.
// The runtime would keep free memory for the next burst of work, as much as is in use. But the
// machines of this host need that memory.
func giveBackMemory(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	before := readHeap()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		now := readHeap()
		if now.wasteful(before) {
			debug.FreeOSMemory()
			now = readHeap()
		}
		before = now
	}
}
