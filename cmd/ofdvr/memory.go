package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A heap is what Go's runtime tells of its own.
type heap struct {
	allocated uint64 // bytes, since the start
	live      uint64 // bytes that the last collection found in use
	held      uint64 // bytes in objects, dead ones as well, and in free pages that are not given back
}

func readHeap() heap {
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(s)
	return heap{s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64() + s[3].Value.Uint64()}
}

// wasteful reports whether the heap should be given back: little has been
// allocated since before, and a good part of what is held is not in use.
func (h heap) wasteful(before heap) bool {
	const little = 4 << 20
	return h.allocated-before.allocated < h.live/16+little && h.held > h.live+h.live/4+little
}

// giveBackMemory gives memory back while the daemon has little to do, until ctx
// is done. The runtime would keep as much as is in use for the next burst of
// work, which on a host that is there for its machines is theirs.
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
