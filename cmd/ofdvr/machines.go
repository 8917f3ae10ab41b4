package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/ofdvr/ofdvr/controller/api"
)

// machinesOf returns the machines of the ports with the given ids, by the port's ID. If ids is
// empty, it returns the machines of the ports that match the filters. Without a daemon it returns none.
func machinesOf(ctx context.Context, c *api.Client, ids []string, filter url.Values) (map[string]api.Machine, error) {
	out := make(map[string]api.Machine)
	for _, id := range ids {
		var st api.ObjectStatus
		if _, err := c.Do(ctx, http.MethodGet, kindWords[2].path(id)+"/status", nil, &st); err != nil {
			return nil, unlessNoDaemon(err)
		}
		if st.Machine != nil {
			out[id] = *st.Machine
		}
	}
	query := url.Values{"limit": {"1000"}}
	for key, v := range filter {
		query[key] = v
	}
	for more := len(ids) == 0; more; {
		var page api.Page[api.Machine]
		if _, err := c.Do(ctx, http.MethodGet, "/v1/machines?"+query.Encode(), nil, &page); err != nil {
			return nil, unlessNoDaemon(err)
		}
		for _, m := range page.Items {
			out[m.Port] = m
		}
		query.Set("after", page.Next)
		more = page.Next != ""
	}
	return out, nil
}

// unlessNoDaemon returns err, or nil if err means that only a daemon has the answer.
func unlessNoDaemon(err error) error {
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Status == http.StatusNotImplemented {
		return nil
	}
	return err
}

// seenText describes the location of a machine in a few words.
func seenText(m api.Machine) string {
	where := ""
	if m.BridgePort != "" {
		where = m.BridgePort + ", no VLAN"
		if m.VLAN != nil && *m.VLAN != 0 {
			where = fmt.Sprintf("%s, VLAN %d", m.BridgePort, *m.VLAN)
			if m.Tagged && !m.Remote {
				where += " tagged"
			}
		}
	}
	switch {
	case m.State == "seen" && m.Host != "":
		return "host " + m.Host
	case m.State == "seen" && m.Remote && where == "":
		return "another host"
	case m.State == "seen" && m.Remote:
		return "via " + where
	case m.State == "seen":
		return where
	case m.State == "elsewhere":
		return "elsewhere: " + where
	case m.State == "not_seen" && where != "":
		return "no: " + m.BridgePort
	case m.State == "not_seen":
		return "no"
	}
	return cmp.Or(m.State, "unknown")
}

// plugged prints the machines that are plugged in on a host.
func (d *description) plugged(host string) error {
	machines, err := machinesOf(d.cmd.Context(), d.client, nil, url.Values{"at": {host}})
	if err != nil {
		return err
	}
	ids := slices.Sorted(maps.Keys(machines))
	for i, id := range ids[:min(len(ids), maxDescribed)] {
		text := fmt.Sprintf("%s, network %s", id, machines[id].Network)
		if i == 0 {
			d.line("Machines", "%s", text)
		} else {
			d.more("%s", text)
		}
	}
	if left := len(ids) - maxDescribed; left > 0 {
		d.more("and %d more: ofdvr get ports -o wide", left)
	}
	return nil
}
