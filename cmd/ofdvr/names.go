package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

// resolve returns the ID of the object that word names: by its ID, or by its name
// if no other object of the kind has the same.
func (k kindWord) resolve(ctx context.Context, c *api.Client, word string) (string, error) {
	if word == "" {
		return "", nil
	}
	_, err := c.Do(ctx, http.MethodGet, k.path(word), nil, nil)
	if !isNotFound(err) {
		return word, err
	}
	ids, listErr := k.named(ctx, c, word)
	switch {
	case listErr != nil:
		return "", listErr
	case len(ids) == 1:
		return ids[0], nil
	case len(ids) == 0:
		return "", err
	}
	return "", fmt.Errorf("several %s have the name %q: give the ID of one instead: %s", k.plural, word, strings.Join(ids, ", "))
}

// maxNamed is how many IDs of objects with one name are listed.
const maxNamed = "10"

// named returns the IDs of objects that have a name.
func (k kindWord) named(ctx context.Context, c *api.Client, name string) (ids []string, err error) {
	query := url.Values{"name": {name}, "limit": {maxNamed}}
	var page api.Page[struct{ ID string }]
	if _, err := c.Do(ctx, http.MethodGet, "/v1/"+k.plural+"?"+query.Encode(), nil, &page); err != nil {
		return nil, err
	}
	for _, o := range page.Items {
		ids = append(ids, o.ID)
	}
	return ids, nil
}

// object returns the document of the object that word names, as resolve does.
func (k kindWord) object(ctx context.Context, c *api.Client, word string) (doc json.RawMessage, err error) {
	_, err = c.Do(ctx, http.MethodGet, k.path(word), nil, &doc)
	if !isNotFound(err) {
		return doc, err
	}
	id, err := k.resolve(ctx, c, word)
	if err != nil {
		return nil, err
	}
	_, err = c.Do(ctx, http.MethodGet, k.path(id), nil, &doc)
	return doc, err
}

// Labels of objects of one kind that tables show: the name where it says which
// object it is, and the ID otherwise, so that either is understood again.
type shownNames map[string]string

// shown returns what to show of the objects of a kind in m.
func shown(m *routing.Model, kind routing.Kind) shownNames {
	out, of := make(shownNames), make(map[string]string)
	add := func(id, name string) {
		if other, taken := of[name]; taken {
			out[other], out[id] = other, id
			return
		}
		of[name], out[id] = id, name
	}
	switch kind {
	case routing.KindNetwork:
		for i := range m.Networks {
			add(m.Networks[i].ID, m.Networks[i].Name())
		}
	case routing.KindRouter:
		for i := range m.Routers {
			add(m.Routers[i].ID, m.Routers[i].Name())
		}
	case routing.KindPort:
		for i := range m.Ports {
			add(m.Ports[i].ID, m.Ports[i].Name())
		}
	}
	return out
}

// of returns what to show of the object with an ID.
func (s shownNames) of(id string) string {
	if name, ok := s[id]; ok {
		return name
	}
	return id
}
