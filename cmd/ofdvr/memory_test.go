package main

import (
	"runtime/debug"
	"testing"
)

// Memory is returned once, after a burst of work and not during it.
func TestWasteful(t *testing.T) {
	debug.FreeOSMemory()
	before := readHeap()
	if before.wasteful(before) {
		t.Errorf("%+v: wasteful after everything was given back", before)
	}
	kept := make([][]byte, 64<<10)
	for i := range kept {
		kept[i] = make([]byte, 1<<10)
	}
	debug.FreeOSMemory() // 64 MiB are live
	if h := readHeap(); h.live < 64<<20 || h.held < 64<<20 {
		t.Errorf("%+v: 64 MiB are in use", h)
	}
	for i := range kept {
		kept[i] = make([]byte, 1<<10)
	}
	busy := readHeap()
	if busy.wasteful(before) {
		t.Errorf("%+v after %+v: wasteful, but busy", busy, before)
	}
	kept = nil
	idle := readHeap()
	idle.live = busy.live / 4 // the result of the next collection
	if !idle.wasteful(busy) {
		t.Errorf("%+v after %+v: not wasteful, but idle with garbage", idle, busy)
	}
}
