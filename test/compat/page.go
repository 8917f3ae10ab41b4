package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const head = `# Compatibility

What ofdvr does on each Open vSwitch and datapath. ` + "`make compatibility`" + ` ran the tests and wrote this page from the results in
test/compat/results. It needs root and Debian. It does not install another Open vSwitch. An environment takes half a minute
on the userspace datapath, and four minutes on the kernel's datapath in a virtual machine without KVM. To test a single environment, run ` + "`make compatibility ONLY=forky-kernel`" + ` or, after that has built its tools,
` + "`go run ./test/compat -only forky-kernel`" + `.

## Operating systems

This section is written by hand (2026-11-30). All systems need Go 1.26 from go.dev; the Go of Debian 12 (1.19) and of Debian 13 (1.24) is too old.

| system | tried | not tried |
| --- | --- | --- |
| Debian 12 | all: the demo, all tests, the package, Neutron, the kernel's datapath | |
| Debian 13 | ` + "`" + `make demo` + "`" + `, in a root of Debian 13.8 with its Open vSwitch 3.5.0, on the kernel of another system; the tests of ` + "`" + `ofproto` + "`" + `, ` + "`" + `routing` + "`" + `, ` + "`" + `routing/compile` + "`" + `, ` + "`" + `ovsdb` + "`" + ` and ` + "`" + `internal/namespace` + "`" + ` there; the feature tests below, with its Open vSwitch on Debian 12 | the rest of ` + "`" + `make test` + "`" + `; the package; systemd; Neutron; its own kernel |
| Ubuntu | nothing; ` + "`" + `scripts/setup.sh` + "`" + ` accepts it | all |

## Environments

The userspace datapath (datapath_type ` + "`netdev`" + `) is part of ovs-vswitchd. The kernel's datapath (` + "`system`" + `, the default of a
bridge) is the openvswitch module of the named Linux kernel.

`

const legend = `
## Features

The tests of each feature are listed below. "Yes" means that they pass. "Differs" means that they pass, but with the difference
in the numbered note. "No" means that a test fails, and "not tested" that a test did not run. "–" means that the datapath cannot
have the feature.

`

// render returns the page for results, in Markdown that is also readable as text.
func render(all []result) string {
	var b strings.Builder
	b.WriteString(head)
	rows := [][]string{{"Open vSwitch", "of", "datapath", "tested on", "environment"}}
	header := []string{"feature"}
	for _, r := range all {
		datapath := "`netdev`, userspace"
		if r.Datapath == "system" {
			datapath = "`system`, Linux " + cmp.Or(r.Kernel, "unknown")
		}
		rows = append(rows, []string{r.Version, r.Release, datapath, r.Date, r.Name})
		header = append(header, r.Version+" "+r.Datapath)
	}
	table(&b, rows)
	b.WriteString(legend)
	var n notes
	rows = [][]string{header}
	for _, f := range features {
		row := []string{f.name}
		for _, r := range all {
			row = append(row, n.cell(f, r))
		}
		rows = append(rows, row)
	}
	table(&b, rows)
	if len(n) > 0 {
		b.WriteString("\n")
	}
	for i, text := range n {
		fmt.Fprintf(&b, "%d. %s\n", i+1, text)
	}
	b.WriteString("\n## The tests of each feature\n\nThey are in test/e2e.\n\n")
	rows = [][]string{{"feature", "tests"}}
	for _, f := range features {
		rows = append(rows, []string{f.name, strings.ReplaceAll(f.tests, " ", ", ")})
	}
	table(&b, rows)
	return b.String()
}

// notes are the texts of footnotes, numbered from 1.
type notes []string

// cell returns the cell of a feature in an environment, and adds its footnotes to n.
func (n *notes) cell(f feature, r result) string {
	if !f.on(r.Datapath) {
		return "–"
	}
	word := "yes"
	var more []string
	for _, t := range strings.Fields(f.tests) {
		o := r.Tests[t]
		switch {
		case o.Result == "fail":
			word = "**no**"
			more = append(more, fmt.Sprintf("%s fails: `%s`", t, short(cmp.Or(o.Why, "no reason given"))))
		case o.Result != "pass":
			if word != "**no**" {
				word = "not tested"
			}
			if o.Why != "" {
				more = add(more, sentence(o.Why))
			}
		case len(o.Differs) > 0 && word == "yes":
			word = "differs"
		}
		for _, d := range o.Differs {
			more = add(more, sentence(d))
		}
	}
	for _, text := range more {
		number := slices.Index(*n, text)
		if number < 0 {
			number = len(*n)
			*n = append(*n, text)
		}
		word += " " + superscript(number+1)
	}
	return word
}

// short returns at most the first 150 characters of s.
func short(s string) string {
	if r := []rune(s); len(r) > 150 {
		return string(r[:150]) + "…"
	}
	return s
}

// add appends text to texts, unless texts has it.
func add(texts []string, text string) []string {
	if slices.Contains(texts, text) {
		return texts
	}
	return append(texts, text)
}

// sentence returns words as a sentence.
func sentence(words string) string { return strings.ToUpper(words[:1]) + words[1:] + "." }

// superscript returns a number in superscript digits.
func superscript(n int) string {
	return strings.NewReplacer("0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴", "5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹").
		Replace(fmt.Sprint(n))
}

// table writes rows, with the header first, in columns of equal width.
func table(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for i, row := range rows {
		for j, c := range row {
			fmt.Fprintf(b, "| %-*s ", widths[j], c)
		}
		b.WriteString("|\n")
		if i == 0 {
			for _, w := range widths {
				fmt.Fprintf(b, "| %s ", strings.Repeat("-", w))
			}
			b.WriteString("|\n")
		}
	}
}
