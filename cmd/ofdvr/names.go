package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/ofdvr/ofdvr/controller"
	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/routing"
)

// resolve returns the ID of the object with the ID or name word. A name is accepted only if no
// other object of the kind has the same name.
func (k kindWord) resolve(ctx context.Context, c *api.Client, word string) (string, error) {
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

// resolveIfKnown is like resolve, but returns word if it is "" or if no such object exists.
func (k kindWord) resolveIfKnown(ctx context.Context, c *api.Client, word string) (string, error) {
	if word == "" {
		return "", nil
	}
	id, err := k.resolve(ctx, c, word)
	if isNotFound(err) {
		return word, nil
	}
	return id, err
}

// resolveFilters replaces names of networks, routers and hosts in filters by their IDs. It does not
// replace the name of an object that does not exist. Then no object matches the filter.
func resolveFilters(ctx context.Context, c *api.Client, query url.Values) error {
	for _, k := range kindWords {
		id, err := k.resolveIfKnown(ctx, c, query.Get(k.singular))
		if err != nil {
			return err
		}
		if id != "" {
			query.Set(k.singular, id)
		}
	}
	return nil
}

// maxNamed is the maximum number of IDs that are listed if several objects have the same name.
const maxNamed = "10"

// named returns the IDs of the objects with the given name.
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

// object returns the document of the object with the ID or name word, see resolve.
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

// shownNames has the texts that tables show for the objects of one kind, by ID. The text is the
// object's name if it is unique in the list, and otherwise the ID. Commands accept both.
type shownNames map[string]string

// shown returns the texts to show for the objects of a kind in m.
func shown(m *routing.Model, kind routing.Kind) shownNames {
	return shownOf(func(add func(id, name string) bool) {
		switch kind {
		case routing.KindHost:
			for i := range m.Hosts {
				add(m.Hosts[i].ID, m.Hosts[i].Name())
			}
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
	})
}

// shownRouters returns the texts to show for the routers in a status.
func shownRouters(s *controller.Status) shownNames {
	return shownOf(func(add func(id, name string) bool) {
		for i := range s.Routers {
			add(s.Routers[i].ID, cmp.Or(s.Routers[i].Name, s.Routers[i].ID))
		}
	})
}

// shownOf returns the texts to show for objects with these IDs and names.
func shownOf(objects iter.Seq2[string, string]) shownNames {
	out, of := make(shownNames), make(map[string]string)
	for id, name := range objects {
		if other, taken := of[name]; taken {
			out[other], out[id] = other, id
			continue
		}
		of[name], out[id] = id, name
	}
	return out
}

// of returns the text to show for the object with an ID.
func (s shownNames) of(id string) string {
	if name, ok := s[id]; ok {
		return name
	}
	return id
}
