package main

import (
	"context"
	"regexp"
	"slices"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

// uuid matches a UUID that is a word of its own, and the kind of object before it. It does not match
// a UUID in a name such as qrouter-UUID.
var uuid = regexp.MustCompile(`(?:\b(network|router|port|host) )?(?:^|\b)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`)

// A namer replaces UUIDs of objects in texts by the names of the objects. People cannot tell UUIDs
// apart, and commands accept names too. It replaces no ID if another object of the kind has the same
// name.
type namer struct {
	ctx    context.Context
	client *api.Client
	names  map[string]string // name of each object by kind and ID, or its ID if it has no name
}

func newNamer(ctx context.Context, client *api.Client) *namer {
	return &namer{ctx, client, make(map[string]string)}
}

// text returns text with names.
func (n *namer) text(text string) string {
	out, end := "", 0
	for _, at := range uuid.FindAllStringSubmatchIndex(text, -1) {
		id := text[at[1]-36 : at[1]]
		if from := at[1] - 36; from > 0 && slices.Contains([]byte("-/_=:"), text[from-1]) || at[1] < len(text) && text[at[1]] == '-' {
			continue
		}
		kinds := kindWords
		if at[2] >= 0 {
			kinds = []kindWord{kindWords[slices.IndexFunc(kindWords, func(k kindWord) bool { return k.singular == text[at[2]:at[3]] })]}
		}
		out, end = out+text[end:at[1]-36]+n.name(kinds, id), at[1]
	}
	return out + text[end:]
}

// name returns the name of the object of one of the kinds with an ID, or the ID.
func (n *namer) name(kinds []kindWord, id string) string {
	for _, k := range kinds {
		name, known := n.names[k.singular+id]
		if !known {
			name = n.look(k, id)
			n.names[k.singular+id] = name
		}
		if name != id {
			return name
		}
	}
	return id
}

func (n *namer) look(k kindWord, id string) string {
	var object struct{ Name string }
	if _, err := n.client.Do(n.ctx, "GET", k.path(id), nil, &object); err != nil || object.Name == "" {
		return id
	}
	if ids, err := k.named(n.ctx, n.client, object.Name); err != nil || len(ids) != 1 {
		return id
	}
	return routing.Argument(object.Name)
}
