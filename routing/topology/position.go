package topology

import "unicode/utf8"

// A position is a position in a file. Positions are ordered. In JSON a position is a byte
// offset. In YAML it is a line and a column, because the library provides no offset.
type position int64

func lineColumn(line, col int) position { return position(line)<<32 | position(col) }

// place returns the line and the column of at, both from 1.
func (w *walker) place(at position) (line, col int) {
	if w.yaml {
		return int(at >> 32), int(at & (1<<32 - 1))
	}
	return w.ruler.place(int(at))
}

func (w *walker) line(at position) int {
	line, _ := w.place(at)
	return line
}

// A ruler converts byte offsets to lines and columns. Columns count characters. The text must
// be UTF-8 up to the offset, and a character must begin there. The ruler scans the text at the
// first call.
type ruler struct {
	text  string
	marks []mark // one per rulerStep bytes
}

const rulerStep = 4096

type mark struct{ line, col int32 }

func (r *ruler) place(offset int) (line, col int) {
	if r.marks == nil {
		m := mark{1, 1}
		for from := 0; from <= len(r.text); from += rulerStep {
			r.marks = append(r.marks, m)
			m = r.advance(m, from, min(from+rulerStep, len(r.text)))
		}
	}
	i := offset / rulerStep
	m := r.advance(r.marks[i], i*rulerStep, offset)
	if 0 < offset && offset < len(r.text) && !utf8.RuneStart(r.text[offset]) {
		m.col++ // a new character begins
	}
	return int(m.line), int(m.col)
}

// advance returns the place of offset to, given the place m of offset from.
func (r *ruler) advance(m mark, from, to int) mark {
	for i := from; i < to; i++ {
		if r.text[i] == '\n' {
			m.line, m.col = m.line+1, 0
		}
		if i+1 == len(r.text) || utf8.RuneStart(r.text[i+1]) {
			m.col++
		}
	}
	return m
}
