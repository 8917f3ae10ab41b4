package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ofdvr/ofdvr/routing"
)

// A kindWord has the words of the command line for a kind of objects.
type kindWord struct {
	kind                    routing.Kind
	singular, plural, short string
}

var kindWords = []kindWord{
	{routing.KindNetwork, "network", "networks", "net"},
	{routing.KindRouter, "router", "routers", "r"},
	{routing.KindPort, "port", "ports", "p"},
	{routing.KindHost, "host", "hosts", "h"},
}

// kindPlurals returns the plurals of all kinds, and the given further words.
func kindPlurals(more ...string) (out []string) {
	for _, k := range kindWords {
		out = append(out, k.plural)
	}
	return append(out, more...)
}

// interfaceWord is the kind of router interfaces. They are parts of routers, so only some
// commands accept this kind.
var interfaceWord = kindWord{routing.KindInterface, "interface", "interfaces", "if"}

func (k kindWord) matches(word string) bool {
	return slices.Contains([]string{k.singular, k.plural, k.short}, strings.ToLower(word))
}

// kindOf returns the kind with the given word, from kindWords or from more.
func kindOf(word string, more ...kindWord) (kindWord, error) {
	return kindAmong(slices.Concat(kindWords, more), word)
}

func kindAmong(kinds []kindWord, word string) (kindWord, error) {
	var names, known []string
	for _, k := range kinds {
		if k.matches(word) {
			return k, nil
		}
		names, known = append(names, k.plural), append(known, k.plural, k.singular)
	}
	hint := didYouMean(word, known)
	if hint == "" {
		hint = fmt.Sprintf("; an ID or a name comes after its kind, as in: port %s", routing.Argument(word))
	}
	return kindWord{}, misuse("unknown kind of object %q: want %s%s", word, words(names), hint)
}

// A selection selects the objects of a kind with the given IDs. Without IDs it selects all objects
// of the kind.
type selection struct {
	kindWord
	ids []string
}

// selected returns the objects that the arguments name. The arguments are a kind and IDs of
// that kind, or names such as port/vm1, which get -o name prints.
func selected(args []string, more ...kindWord) (all []selection, err error) {
	if _, _, named := strings.Cut(args[0], "/"); !named {
		k, err := kindOf(args[0], more...)
		return []selection{{k, args[1:]}}, err
	}
	for _, arg := range args {
		word, id, named := strings.Cut(arg, "/")
		if !named || id == "" {
			return nil, misuse("%q is not a name such as port/vm1", arg)
		}
		k, err := kindOf(word, more...)
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(all, func(s selection) bool { return s.kindWord == k }); i >= 0 {
			all[i].ids = append(all[i].ids, id)
		} else {
			all = append(all, selection{k, []string{id}})
		}
	}
	return all, nil
}
