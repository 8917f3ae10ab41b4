package doctor

import (
	"io/fs"
	"testing"
)

func TestNeighbours(t *testing.T) {
	files := map[string]string{
		"stat": "entries  allocs   destroys hash_grows\n00000334 00000001 00000002 00000003\n00000334 00000000 00000000 00000000\n",
		"max":  "1024\n", "empty": "", "odd": "entries\nmany\n",
	}
	read := func(name string) ([]byte, error) {
		text, ok := files[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
	if n, most, err := neighbours("stat", "max", read); n != 820 || most != 1024 || err != nil {
		t.Errorf("%d of %d, %v", n, most, err)
	}
	for _, bad := range [][2]string{{"none", "max"}, {"stat", "none"}, {"empty", "max"}, {"odd", "max"}, {"stat", "empty"}} {
		if n, most, err := neighbours(bad[0], bad[1], read); err == nil {
			t.Errorf("%v: %d of %d", bad, n, most)
		}
	}
}
