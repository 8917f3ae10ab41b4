package topology

import (
	"slices"
	"strings"
)

// readPlainYAML reads YAML in the usual style of topologies: block mappings and lists, flow
// mappings and lists on one line each, and a few kinds of scalars. It returns false for any
// other text, valid or not. The library can read such text, but needs ninety bytes of memory
// for each byte. For text that both read, the result is the same.
func readPlainYAML(text string) (tree, bool) {
	r := plainReader{text: text, line: 1}
	r.tree = make(tree, 0, min(countYAMLNodes(text), maxNodes))
	if strings.HasPrefix(text, "---\n") {
		r.off, r.start, r.line = 4, 4, 2
	}
	if strings.Contains(r.text, "\r") || !r.content() || r.indent < 0 || !r.block(0) || r.indent >= 0 {
		return nil, false
	}
	return r.tree, true
}

// countYAMLNodes returns an estimate of the number of nodes of a text. It is usually not too
// low.
func countYAMLNodes(text string) int {
	n := 1
	for i := range len(text) {
		switch text[i] {
		case ',', '[', '{':
			n++
		case ':', '-':
			if i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '\n') {
				n += 2
			}
		}
	}
	return n
}

// A plainReader reads text from off on, and appends to tree. Its methods return false for text
// that they do not support.
type plainReader struct {
	text   string
	off    int
	line   int // from 1
	start  int // offset at which the line begins
	wide   int // bytes before off in the line that do not begin a character
	indent int // indentation of the next line with content, in bytes; -1 at the end
	tree   tree
}

func (r *plainReader) at() position { return lineColumn(r.line, r.off-r.start-r.wide+1) }

// peek returns the byte i bytes ahead, 0 at the end.
func (r *plainReader) peek(i int) byte {
	if r.off+i < len(r.text) {
		return r.text[r.off+i]
	}
	return 0
}

func (r *plainReader) spaces() {
	for r.peek(0) == ' ' {
		r.off++
	}
}

// add appends a node that begins at off.
func (r *plainReader) add(k kind, text string) (index int, ok bool) {
	index = len(r.tree)
	if index == maxNodes {
		return index, false
	}
	if index == cap(r.tree) { // doubles the capacity; append would add only a quarter
		r.tree = slices.Grow(r.tree, min(index, maxNodes-index))
	}
	r.tree = append(r.tree, node{at: r.at(), text: text, size: 1, kind: k})
	return index, true
}

func (r *plainReader) close(i int) { r.tree[i].size = int32(len(r.tree) - i) }

// content skips the rest of the line, which must be empty or a comment, and all following
// lines without content.
func (r *plainReader) content() bool {
	for {
		r.spaces()
		switch c := r.peek(0); {
		case r.off == len(r.text):
			r.indent = -1
			return true
		case c == '#' && (r.off == r.start || r.text[r.off-1] == ' '):
			end := strings.IndexByte(r.text[r.off:], '\n')
			if end < 0 {
				end = len(r.text) - r.off
			}
			r.off += end
		case c == '\n':
			r.off++
			r.line, r.start, r.wide = r.line+1, r.off, 0
		case strings.Trim(r.text[r.start:r.off], " ") != "":
			return false
		default:
			r.indent = r.off - r.start
			return r.indent > 0 || !strings.HasPrefix(r.text[r.off:], "---") && !strings.HasPrefix(r.text[r.off:], "...")
		}
	}
}

// ended reports whether the rest of the line is empty or a comment.
func (r *plainReader) ended() bool {
	r.spaces()
	c := r.peek(0)
	return c == 0 || c == '\n' || c == '#'
}

func (r *plainReader) isItem() bool { return r.peek(0) == '-' && r.peek(1) == ' ' }

// block reads a list or a mapping that begins at off, as the first content of its line.
func (r *plainReader) block(depth int) bool {
	if r.isItem() {
		return r.list(depth)
	}
	return r.mapping(depth)
}

func (r *plainReader) list(depth int) bool {
	col := r.off - r.start
	i, ok := r.add(kindList, "")
	if !ok || depth == maxDepth {
		return false
	}
	for {
		r.off++
		if r.ended() {
			return false // empty, or on the next line
		}
		ok := false
		if r.key() > 0 {
			ok = r.mapping(depth + 1)
		} else {
			ok = !r.isItem() && r.value(depth+1, false) && r.content()
		}
		if !ok || r.indent > col {
			return false
		}
		if r.indent < col || !r.isItem() {
			r.close(i)
			return true
		}
	}
}

// key returns the length of the plain key of a block mapping at off, or 0 if no such key
// begins there.
func (r *plainReader) key() int {
	n := 0
	for c := r.peek(0); 'a' <= c && c <= 'z' || c == '_'; c = r.peek(n) {
		n++
	}
	if n == 0 || r.peek(n) != ':' || r.peek(n+1) != ' ' && r.peek(n+1) != '\n' || isWord([]byte(r.text[r.off:r.off+n])) {
		return 0
	}
	return n
}

func (r *plainReader) mapping(depth int) bool {
	col := r.off - r.start
	i, ok := r.add(kindMapping, "")
	if !ok || depth == maxDepth {
		return false
	}
	for keys := 1; keys <= maxKeys; keys++ {
		n := r.key()
		if n == 0 || !r.member(n) {
			return false
		}
		if r.ended() {
			if !r.content() || r.indent < col || r.indent == col && !r.isItem() {
				return false // it has no value
			}
			ok = r.block(depth + 1)
		} else {
			ok = r.value(depth+1, false) && r.content()
		}
		if !ok || r.indent > col {
			return false
		}
		if r.indent < col {
			r.close(i)
			return true
		}
	}
	return false
}

// member adds a key of n bytes and skips it with its colon.
func (r *plainReader) member(n int) bool {
	_, ok := r.add(kindString, r.text[r.off:r.off+n])
	r.off += n + 1
	return ok
}

// value reads a scalar or a flow, on one line.
func (r *plainReader) value(depth int, inFlow bool) bool {
	switch r.peek(0) {
	case '{', '[':
		return r.flow(depth)
	case '"', '\'':
		return r.quoted()
	}
	return r.plain(inFlow)
}

func (r *plainReader) flow(depth int) bool {
	k, end := kindMapping, byte('}')
	if r.peek(0) == '[' {
		k, end = kindList, ']'
	}
	i, ok := r.add(k, "")
	if !ok || depth == maxDepth {
		return false
	}
	r.off++
	for r.spaces(); r.peek(0) != end; r.spaces() {
		if k == kindMapping {
			n := r.key()
			if n == 0 || !r.member(n) {
				return false
			}
			r.spaces()
		}
		if !r.value(depth+1, true) {
			return false
		}
		if r.spaces(); r.peek(0) == end {
			break
		}
		if r.peek(0) != ',' {
			return false
		}
		r.off++
		if r.spaces(); r.peek(0) == end {
			return false
		}
	}
	r.off++
	r.close(i)
	return true
}

// quoted reads a quoted string without escapes.
func (r *plainReader) quoted() bool {
	quote := r.text[r.off]
	wide := 0
	for k := r.off + 1; k < len(r.text); k++ {
		switch c := r.text[k]; {
		case c == quote:
			if k+1 < len(r.text) && strings.IndexByte(" \n,]}", r.text[k+1]) < 0 {
				return false
			}
			_, ok := r.add(kindString, r.text[r.off+1:k])
			r.off, r.wide = k+1, r.wide+wide
			return ok
		case c < ' ', c == '\\':
			return false
		case c&0xc0 == 0x80:
			wide++
		}
	}
	return false
}

// plain reads an unquoted scalar.
func (r *plainReader) plain(inFlow bool) bool {
	n := 0
	for ; ; n++ {
		c := r.peek(n)
		if isAlphanumeric(c) || n > 0 && (c == '.' || c == '_' || c == '/' || c == '-') {
			continue
		}
		if c == ':' && n > 0 && (isAlphanumeric(r.peek(n+1)) || r.peek(n+1) == ':' || r.peek(n+1) == '/') {
			continue
		}
		break
	}
	if after := r.peek(n); n == 0 || strings.IndexByte("\x00 \n", after) < 0 && !(inFlow && strings.IndexByte(",]}", after) >= 0) {
		return false
	}
	end := n
	for r.peek(end) == ' ' {
		end++
	}
	if c := r.peek(end); end > n && (c == '\n' || c == 0) {
		return false // the library keeps these spaces in the text
	}
	text := r.text[r.off : r.off+n]
	k, known := plainKind(text)
	if !known {
		return false
	}
	_, ok := r.add(k, text)
	r.off += n
	return ok
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// plainKind returns the kind of an unquoted scalar, and whether it is certain.
func plainKind(text string) (kind, bool) {
	switch digits := strings.Trim(text, "0123456789") == ""; {
	case digits:
		return kindNumber, text == "0" || text[0] != '0' && len(text) < 19
	case text == "true", text == "false":
		return kindBool, true
	case text[0] > '9': // a letter
		return kindString, !isWord([]byte(text))
	case strings.Trim(text, "0123456789abcdefABCDEF:./") == "" && (strings.Count(text, ".") == 3 || strings.Count(text, ":") > 1):
		return kindString, true // an address or a prefix
	case len(text) == 36 && strings.Count(text, "-") == 4 && strings.Trim(text, "0123456789abcdefABCDEF-") == "":
		return kindString, true // a UUID
	}
	return kindString, false
}
