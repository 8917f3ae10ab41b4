package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/ofdvr/ofdvr/controller/api"
)

// A topView has the contents and the settings of the display of top.
type topView struct {
	kind, order string // the shown kind from topKinds, and the order from topOrders
	busy        bool   // rows without packets are hidden
	help        bool   // the keys are shown
	terminal    bool   // the table is drawn in place
	rounds      int    // number of tables that were shown

	before, now api.Counters // the last two readings; their time is zero before the first
	idle        []rate       // ports that may have no counters; nil if they were not read
	routers     shownNames
	portNames   shownNames // nil if the ports were not read
}

// topKeys are the keys of top.
const topKeys = `
  1  routers       2  interfaces    3  ports
  p  by packets    b  by bits       r  by replies     k  by kernel    n  by name
  z  hide or show rows without packets
  q  quit          ?  close this help
`

// press handles a key, and reports whether the key means to quit.
func (t *topView) press(key byte) (quit bool) {
	switch key {
	case 'q', 'Q', 3, 4: // Ctrl-C and Ctrl-D
		return true
	case '?', 'h':
		t.help = !t.help
	case 'z':
		t.busy = !t.busy
	case '1', '2', '3':
		t.kind = topKinds[key-'1'].plural
	case 'p':
		t.order = "packets"
	case 'b':
		t.order = "bits"
	case 'r':
		t.order = "replies"
	case 'k':
		t.order = "kernel"
	case 'n':
		t.order = "name"
	}
	return false
}

// wait shows that no rates are known yet.
func (t *topView) wait(w io.Writer) {
	io.WriteString(w, "\x1b[H\x1b[Jmeasuring\n")
}

// draw shows the rows. On a terminal it replaces the earlier rows, and shows as many as fit.
// Otherwise it prints one table after another.
func (t *topView) draw(w io.Writer) {
	if t.now.At == 0 { // a key was pressed before the second reading
		return
	}
	rows, header := rates(t.before, t.now, t.kind, t.idle)
	for i := range rows {
		rows[i].router, rows[i].port = t.routers.of(rows[i].router), t.portNames.of(rows[i].port)
	}
	sortRates(rows, t.order)
	idle := 0
	for i := 0; t.busy && i < len(rows); {
		if rows[i].idle() {
			rows = append(rows[:i], rows[i+1:]...)
			idle++
		} else {
			i++
		}
	}
	var b bytes.Buffer
	room, width := len(rows), 0
	switch {
	case t.terminal:
		b.WriteString("\x1b[H\x1b[J") // move the cursor home, and clear the rest
		room, width = t.room(w, len(rows))
		b.WriteString(t.title(len(rows), idle))
		if t.help {
			b.WriteString(topKeys)
		}
		b.WriteString("\n")
	case t.rounds > 0:
		b.WriteString("\n")
	}
	lines := []table.Row{header}
	for _, r := range rows[:min(room, len(rows))] {
		lines = append(lines, r.cells(header))
	}
	fit(lines, width)
	printTable(&b, lines, numbers(header)...)
	if len(rows) == 0 {
		fmt.Fprintf(&b, "no %s with packets\n", t.kind)
	}
	if text := between(t.before, t.now); text != "" {
		b.WriteString("\n" + text + "\n")
	}
	w.Write(b.Bytes()) // an error here means that the output is closed
}

// between describes the packets between hosts. It returns "" if no network spans hosts.
func between(before, now api.Counters) string {
	a, b, seconds := before.Fabric, now.Fabric, now.At-before.At
	if a == nil || b == nil || seconds <= 0 {
		return ""
	}
	per := func(from, to uint64) float64 { return float64(to-min(from, to)) / seconds }
	text := fmt.Sprintf("between hosts: sent %s packets/s, %s bit/s; received %s packets/s, %s bit/s",
		si(per(a.SentPackets, b.SentPackets)), si(8*per(a.SentBytes, b.SentBytes)), si(per(a.ReceivedPackets, b.ReceivedPackets)), si(8*per(a.ReceivedBytes, b.ReceivedBytes)))
	var dropped []string
	for _, reason := range slices.Sorted(maps.Keys(b.Dropped)) {
		if v := per(a.Dropped[reason], b.Dropped[reason]); v > 0 {
			dropped = append(dropped, fmt.Sprintf("%s %s", si(v), reason))
		}
	}
	if len(dropped) > 0 {
		text += "; dropped packets/s: " + strings.Join(dropped, ", ")
	}
	return text
}

// title returns the first line on a terminal.
func (t *topView) title(rows, idle int) string {
	text := fmt.Sprintf("%s by %s", count(rows, strings.TrimSuffix(t.kind, "s")), t.order)
	if idle > 0 {
		text += fmt.Sprintf(", %d idle hidden", idle)
	}
	return text + "   q quit, ? help\n"
}

// numbers returns the columns of a header that have numbers. The first column is 1.
func numbers(header table.Row) (columns []int) {
	for i, h := range header {
		if strings.HasSuffix(h.(string), "/S") {
			columns = append(columns, i+1)
		}
	}
	return columns
}

// room returns the number of rows that fit on the terminal below the title and the header, and
// the width of the terminal. A result is 0 if it is not known.
func (t *topView) room(w io.Writer, rows int) (room, width int) {
	f, ok := w.(*os.File)
	if !ok {
		return rows, 0
	}
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || height < 1 {
		return rows, 0
	}
	height -= 4 // title, empty line, header, and the line of the cursor
	if t.now.Fabric != nil {
		height -= 2 // an empty line and the packets between hosts
	}
	if t.help {
		height -= strings.Count(topKeys, "\n")
	}
	return max(height, 1), width
}

// minName is the minimum width of a column of names.
const minName = 6

// fit shortens the names in lines, so that the lines are not wider than width, if that is
// possible. The first line is the header. A width of 0 means no limit.
func fit(lines []table.Row, width int) {
	widths := make([]int, len(lines[0]))
	sum := 2 * (len(widths) - 1) // space between the columns
	for i := range widths {
		for _, row := range lines {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].(string)))
		}
		sum += widths[i]
	}
	names := len(widths) - len(numbers(lines[0])) // the number of columns with names, which come first
	for ; width > 0 && sum > width; sum-- {
		widest := 0
		for i := range names {
			if widths[i] > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= minName {
			break
		}
		widths[widest]--
	}
	for _, row := range lines {
		for i := range names {
			if name := []rune(row[i].(string)); len(name) > widths[i] {
				row[i] = string(name[:widths[i]-1]) + "…"
			}
		}
	}
}

// readKeys returns the keys that are pressed on the terminal in, without echo. If in or out is not
// a terminal, it returns nil. restore restores the terminal's settings.
func readKeys(in io.Reader, out io.Writer) (keys <-chan byte, restore func()) {
	f, ok := in.(*os.File)
	if !ok || !isTerminal(out) {
		return nil, func() {}
	}
	before, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		return nil, func() {}
	}
	settings := *before
	settings.Lflag &^= unix.ECHO | unix.ICANON // Ctrl-C still sends its signal
	settings.Cc[unix.VMIN], settings.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, &settings); err != nil {
		return nil, func() {}
	}
	pressed := make(chan byte) // the reader waits until a key is handled
	go func() {                // this goroutine ends with the process, or with the terminal
		var key [1]byte
		for {
			if n, err := f.Read(key[:]); err != nil || n == 0 {
				return
			}
			pressed <- key[0]
		}
	}()
	return pressed, func() { unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, before) }
}
