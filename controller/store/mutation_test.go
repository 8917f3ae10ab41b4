package store_test

import (
	"encoding/binary"
	"math/rand/v2"
)

// A mutation damages the file b. before is the same file some commits earlier.
type mutation struct {
	name     string
	harmless bool
	do       func(rnd *rand.Rand, b, before []byte) []byte
}

var mutations = []mutation{
	{"one bit", false, func(rnd *rand.Rand, b, _ []byte) []byte {
		b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
		return b
	}},
	{"some bytes", false, func(rnd *rand.Rand, b, _ []byte) []byte {
		for range 1 + rnd.IntN(8) {
			b[rnd.IntN(len(b))] = byte(rnd.Uint32())
		}
		return b
	}},
	{"a page's header", false, func(rnd *rand.Rand, b, _ []byte) []byte {
		b[rnd.IntN(len(b)/page)*page+rnd.IntN(16)] = byte(rnd.Uint32())
		return b
	}},
	{"a page's elements", false, func(rnd *rand.Rand, b, _ []byte) []byte {
		at := rnd.IntN(len(b)/page) * page
		for range 1 + rnd.IntN(3) {
			b[at+16+rnd.IntN(300)] = byte(rnd.Uint32() & rnd.Uint32())
		}
		return b
	}},
	{"a meta page", false, func(rnd *rand.Rand, b, _ []byte) []byte {
		b[rnd.IntN(2)*page+rnd.IntN(80)] ^= 1 << rnd.IntN(8)
		return b
	}},
	{"the root page", false, func(rnd *rand.Rand, b, _ []byte) []byte {
		newest := b[16:]
		if second := b[page+16:]; binary.NativeEndian.Uint64(second[48:]) > binary.NativeEndian.Uint64(newest[48:]) {
			newest = second
		}
		at := binary.NativeEndian.Uint64(newest[16:]) * page
		b[at+rnd.Uint64N(1600)] ^= 1 << rnd.IntN(8)
		return b
	}},
	{"zeroed page", false, func(rnd *rand.Rand, b, _ []byte) []byte {
		clear(b[rnd.IntN(len(b)/page)*page:][:page])
		return b
	}},
	{"random page", false, func(rnd *rand.Rand, b, _ []byte) []byte {
		at := b[rnd.IntN(len(b)/page)*page:][:page]
		for i := range at {
			at[i] = byte(rnd.Uint32())
		}
		return b
	}},
	{"copied page", false, func(rnd *rand.Rand, b, _ []byte) []byte {
		copy(b[rnd.IntN(len(b)/page)*page:][:page], b[rnd.IntN(len(b)/page)*page:])
		return b
	}},
	{"lost write", false, func(rnd *rand.Rand, b, before []byte) []byte {
		at := 2 + rnd.IntN(len(before)/page-2) // not a meta page, because meta pages refer to the other pages
		copy(b[at*page:][:page], before[at*page:])
		return b
	}},
	{"lost sectors", false, func(rnd *rand.Rand, b, before []byte) []byte {
		at := 2*page + rnd.IntN((len(before)-2*page)/512)*512
		copy(b[at:min(at+512*(1+rnd.IntN(4)), len(before))], before[at:])
		return b
	}},
	{"truncated", false, func(rnd *rand.Rand, b, _ []byte) []byte { return b[:rnd.IntN(len(b))] }},
	{"truncated to pages", false, func(rnd *rand.Rand, b, _ []byte) []byte { return b[:rnd.IntN(len(b)/page)*page] }},
	{"appended", true, func(rnd *rand.Rand, b, _ []byte) []byte {
		for range rnd.IntN(3 * page) {
			b = append(b, byte(rnd.Uint32()))
		}
		return b
	}},
}
