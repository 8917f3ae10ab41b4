package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ofdvr/ofdvr/controller/api"
	"github.com/ofdvr/ofdvr/controller/ledger"
	"github.com/ofdvr/ofdvr/ofproto"
	"github.com/ofdvr/ofdvr/routing"
	"github.com/ofdvr/ofdvr/routing/topology"
)

func newGet() *cobra.Command {
	var c clientFlags
	var output string
	var follow bool
	formats := []string{"table", "wide", "name", "json", "yaml"}
	filters := map[string]*string{"network": new(string), "router": new(string), "address": new(string), "mac": new(string), "vlan": new(string), "vni": new(string), "host": new(string), "labels": new(string)}
	cmd := &cobra.Command{
		Use:        "get all|networks|routers|interfaces|ports|hosts [ID|NAME...]",
		SuggestFor: []string{"list", "ls"},
		Short:      "List networks, routers, router interfaces, ports or hosts",
		Long: `Get lists all objects of a kind, the objects with the given IDs or names, or the
objects that match the filters. A table shows an object by its name if no other
object in the list has the same name, and otherwise by its ID; -o wide has the
IDs too. With -o json or yaml it prints a topology file of these objects, for
apply, or a list of interfaces. With -o name it prints one name per line, such
as port/vm1, which get, describe and delete accept as arguments. SEEN is the
port and the VLAN of the integration bridge where the machine of a port was
seen; "tagged" means that its packets have a VLAN tag there. With -w it then
prints each change of these objects.`,
		Example: `  ofdvr get all
  ofdvr get ports --network blue -o wide
  ofdvr get ports -l tier=web,env!=test
  ofdvr get router r1 -o yaml
  ofdvr get ports -w`,
		Args:              arguments("KIND", "[ID...]"),
		ValidArgsFunction: c.complete("", interfaceWord.plural, "all"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, formats...); err != nil {
				return err
			}
			query := make(url.Values)
			for name, v := range filters {
				if *v != "" {
					query.Set(name, *v)
				}
			}
			list, err := newListing(args, query, output, follow)
			if err != nil {
				return err
			}
			client, err := c.open(cmd)
			if err != nil {
				return err
			}
			if err := resolveFilters(cmd.Context(), client, query); err != nil {
				return err
			}
			revision := ""
			if follow {
				if err := list.resolve(cmd.Context(), client); err != nil {
					return err
				}
				if revision, err = present(cmd.Context(), client); err != nil {
					return err
				}
			}
			if err := list.print(cmd, client); err != nil || !follow {
				return err
			}
			return list.follow(cmd, client, revision)
		},
	}
	c.add(cmd)
	c.addEtcd(cmd)
	outputFlag(cmd, &output, formats...)
	f := cmd.Flags()
	f.BoolVarP(&follow, "watch", "w", false, "after the list, print each change until interrupted, as 'ofdvr watch' does")
	f.StringVar(filters["network"], "network", "", "only ports, routers and interfaces on the network with this `ID` or name")
	f.StringVar(filters["router"], "router", "", "only ports, networks and interfaces of the router with this `ID` or name")
	f.StringVar(filters["address"], "address", "", "only ports with this `ADDRESS`")
	f.StringVar(filters["mac"], "mac", "", "only ports with this `MAC` address")
	f.StringVar(filters["vlan"], "vlan", "", "only the network with this `VLAN`")
	f.StringVar(filters["vni"], "vni", "", "only the network with this `VNI`")
	f.StringVar(filters["host"], "host", "", "only ports that are expected on the host with this `ID` or name")
	f.StringVarP(filters["labels"], "selector", "l", "", "only objects with these `LABELS`: key=value,key!=value,key,!key")
	cmd.RegisterFlagCompletionFunc("network", c.complete("network"))
	cmd.RegisterFlagCompletionFunc("router", c.complete("router"))
	cmd.RegisterFlagCompletionFunc("host", c.complete("host"))
	return cmd
}

// A listing is a request to the command get.
type listing struct {
	objects []selection
	query   url.Values // filters
	output  string
	passed  map[string]bool // objects that have passed the filters, by kind and ID; unused without filters
}

// newListing returns the listing for the arguments of get.
func newListing(args []string, query url.Values, output string, follow bool) (*listing, error) {
	l := &listing{query: query, output: output}
	if _, err := routing.ParseSelector(query.Get("labels")); err != nil {
		return nil, misuse("-l: %v", err)
	}
	ids := len(args) > 1
	if args[0] == "all" {
		if ids {
			return nil, misuse("unexpected argument %q: get all takes no IDs", args[1])
		}
		for _, k := range kindWords {
			l.objects = append(l.objects, selection{kindWord: k})
		}
	} else {
		var err error
		if l.objects, err = selected(args, interfaceWord); err != nil {
			return nil, err
		}
		ids = len(l.objects[0].ids) > 0
	}
	interfaces := l.has(interfaceWord)
	switch {
	case len(query) > 0 && (ids || args[0] == "all"):
		return nil, misuse("a filter cannot be used with IDs or with 'all': remove the filter, or the IDs or 'all'")
	case interfaces && len(l.objects) > 1 && (output == "json" || output == "yaml"):
		return nil, misuse("-o %s: interfaces are parts of routers: get them without other objects", output)
	case follow && interfaces:
		return nil, misuse("-w: interfaces change with their routers: use 'ofdvr get routers -w'")
	case follow && (output == "json" || output == "yaml"):
		return nil, misuse("-w cannot be used with -o %s: use 'ofdvr watch -o json'", output)
	}
	for name, check := range filterChecks {
		if v := query.Get(name); v != "" {
			if err := check(v); err != nil {
				return nil, misuse("--%s %s: %v", name, v, err)
			}
		}
	}
	return l, nil
}

// has reports whether l has objects of a kind.
func (l *listing) has(k kindWord) bool {
	return slices.ContainsFunc(l.objects, func(s selection) bool { return s.kindWord == k })
}

// print prints the objects.
func (l *listing) print(cmd *cobra.Command, client *api.Client) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	stop := newProgress(cmd.ErrOrStderr()).busy(ctx, "reading")
	defer stop()
	wide := wideInfo{wanted: l.output == "wide"}
	if wide.wanted || l.output == "table" {
		networks, err := kindWords[0].fetch(ctx, client, nil, nil)
		if err != nil {
			return err
		}
		wide.networks = shown(networks, routing.KindNetwork)
	}
	if wide.wanted || l.output == "table" && (l.has(interfaceWord) || l.has(kindWords[3])) {
		routers, err := kindWords[1].fetch(ctx, client, nil, nil)
		if err != nil {
			return err
		}
		status, err := client.Status(ctx)
		if err != nil {
			return err
		}
		wide.learn(routers.Routers, status)
	}
	m := new(routing.Model)
	var interfaces []interfaceRow
	for _, s := range l.objects {
		if s.kindWord == interfaceWord {
			rows, err := fetchInterfaces(ctx, client, s.ids, l.query)
			if err != nil {
				return err
			}
			interfaces = rows
			continue
		}
		one, err := s.fetch(ctx, client, s.ids, l.query)
		if err != nil {
			return err
		}
		if len(one.Ports) > 0 && l.output != "json" && l.output != "yaml" && l.output != "name" {
			var ids []string
			if len(s.ids) > 0 {
				for i := range one.Ports {
					ids = append(ids, one.Ports[i].ID)
				}
			}
			if wide.machines, err = machinesOf(ctx, client, ids, l.query); err != nil {
				return err
			}
		}
		add(m, one)
	}
	stop()
	l.note(m)
	switch {
	case l.has(interfaceWord) && (l.output == "json" || l.output == "yaml"):
		return printInterfaces(out, interfaces, l.output)
	case l.output == "json" || l.output == "yaml":
		return printModel(out, m, l.output)
	case l.output == "name":
		printNames(out, m, interfaces)
	case m.Len()+len(interfaces) == 0:
		what := "objects"
		if len(l.objects) == 1 {
			what = l.objects[0].plural
		}
		if len(l.query) > 0 {
			what += " that match"
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "no %s\n", what)
	default:
		printObjects(out, m, interfaces, wide)
	}
	return nil
}

// resolve replaces names of objects by their IDs. It runs before the list is printed, so that
// changes of the objects can be printed even if they are deleted later.
func (l *listing) resolve(ctx context.Context, client *api.Client) error {
	for _, s := range l.objects {
		for i, word := range s.ids {
			id, err := s.kindWord.resolve(ctx, client, word)
			if err != nil {
				return err
			}
			s.ids[i] = id
		}
	}
	return nil
}

// follow prints changes of the objects after a revision.
func (l *listing) follow(cmd *cobra.Command, client *api.Client, revision string) error {
	query := url.Values{"since": {revision}}
	if len(l.objects) == 1 {
		query.Set("kind", l.objects[0].singular)
	}
	return watch(cmd, client, query, "text", func(e api.Event) bool {
		return slices.ContainsFunc(l.objects, func(s selection) bool {
			return s.singular == e.Kind && (len(s.ids) == 0 || slices.Contains(s.ids, e.ID)) && l.passes(cmd.Context(), client, s.kindWord, e)
		})
	})
}

// note remembers the objects that have passed the filters.
func (l *listing) note(m *routing.Model) {
	l.passed = make(map[string]bool)
	for i := range m.Networks {
		l.passed["network/"+m.Networks[i].ID] = true
	}
	for i := range m.Routers {
		l.passed["router/"+m.Routers[i].ID] = true
	}
	for i := range m.Ports {
		l.passed["port/"+m.Ports[i].ID] = true
	}
	for i := range m.Hosts {
		l.passed["host/"+m.Hosts[i].ID] = true
	}
}

// passes reports whether the object of an event passes the filters, or has passed them before. If
// the daemon does not answer, it returns true.
func (l *listing) passes(ctx context.Context, client *api.Client, k kindWord, e api.Event) bool {
	if len(l.query) == 0 {
		return true
	}
	name := e.Kind + "/" + e.ID
	before := l.passed[name]
	if e.Op == string(ledger.Deleted) {
		delete(l.passed, name)
		return before
	}
	query := maps.Clone(l.query)
	query.Set("id", e.ID)
	m, err := k.fetch(ctx, client, nil, query)
	now := err != nil || m.Len() > 0
	l.passed[name] = now
	return before || now
}

// filterChecks are the functions that check the values of filters.
var filterChecks = map[string]func(string) error{
	"address": func(s string) error {
		if _, err := netip.ParseAddr(s); err != nil {
			return errors.New("want an IP address")
		}
		return nil
	},
	"mac": func(s string) error {
		_, err := ofproto.ParseMAC(s)
		return err
	},
	"vlan": func(s string) error {
		if n, err := strconv.Atoi(s); err != nil || n < routing.MinVLAN || n > routing.MaxVLAN {
			return fmt.Errorf("want a number from %d to %d", routing.MinVLAN, routing.MaxVLAN)
		}
		return nil
	},
}

// printInterfaces writes interfaces, each with its router.
func printInterfaces(w io.Writer, rows []interfaceRow, format string) error {
	var routers []string
	var interfaces []routing.Interface
	for _, row := range rows {
		routers, interfaces = append(routers, row.router), append(interfaces, row.Interface)
	}
	return topology.WriteInterfaces(w, routers, interfaces, format == "json")
}

// printNames prints the kind and ID of each object.
func printNames(out io.Writer, m *routing.Model, interfaces []interfaceRow) {
	for _, o := range m.Hosts {
		fmt.Fprintf(out, "host/%s\n", o.ID)
	}
	for _, o := range m.Networks {
		fmt.Fprintf(out, "network/%s\n", o.ID)
	}
	for _, o := range m.Routers {
		fmt.Fprintf(out, "router/%s\n", o.ID)
	}
	for _, o := range m.Ports {
		fmt.Fprintf(out, "port/%s\n", o.ID)
	}
	for _, o := range interfaces {
		fmt.Fprintf(out, "interface/%s\n", o.ID)
	}
}
