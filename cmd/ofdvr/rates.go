package main

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/ofdvr/ofdvr/controller/api"
)

// A rate has the counts per second.
type rate struct {
	router, iface, port                       string
	in, inBits, out, outBits, answers, kernel float64
}

func (r rate) idle() bool { return r.in+r.out+r.answers+r.kernel == 0 }

// rates returns the differences between two readings of routers, interfaces or ports, by name. If
// an object is not in the first reading, it has no rate yet. idle has ports that may have no
// counters.
func rates(before, now api.Counters, what string, idle []rate) (rows []rate, header table.Row) {
	seconds := now.At - before.At
	per := func(a, b uint64) float64 {
		if b < a || seconds <= 0 {
			return 0 // the counter has decreased, because another daemon has reported its first value
		}
		return float64(b-a) / seconds
	}
	if what == "ports" {
		type key struct{ router, iface, port string }
		last := make(map[key]api.PortCounters)
		for _, p := range before.Ports {
			last[key{p.Router, p.Interface, p.Port}] = p
		}
		counted := make(map[key]bool)
		for _, p := range now.Ports {
			counted[key{p.Router, p.Interface, p.Port}] = true
			if o, ok := last[key{p.Router, p.Interface, p.Port}]; ok {
				rows = append(rows, rate{router: p.Router, iface: p.Interface, port: p.Port, out: per(o.Packets, p.Packets), outBits: 8 * per(o.Bytes, p.Bytes)})
			}
		}
		for _, p := range idle {
			if !counted[key{p.router, p.iface, p.port}] {
				rows = append(rows, p)
			}
		}
		return rows, table.Row{"ROUTER", "INTERFACE", "PORT", "PKT/S", "BIT/S"}
	}
	type key struct{ router, iface string }
	last := make(map[key]api.InterfaceCounters)
	for _, i := range before.Interfaces {
		last[key{i.Router, i.Interface}] = i
	}
	byRouter := make(map[string]int) // index in rows
	for _, i := range now.Interfaces {
		o, ok := last[key{i.Router, i.Interface}]
		if !ok {
			continue
		}
		r := rate{
			router: i.Router, iface: i.Interface,
			in: per(o.ReceivedPackets, i.ReceivedPackets), inBits: 8 * per(o.ReceivedBytes, i.ReceivedBytes),
			out: per(o.RoutedPackets, i.RoutedPackets), outBits: 8 * per(o.RoutedBytes, i.RoutedBytes),
			answers: per(o.ARPReplies+o.NDReplies+o.EchoReplies, i.ARPReplies+i.NDReplies+i.EchoReplies),
		}
		for reason, n := range i.Fallback {
			r.kernel += per(o.Fallback[reason], n)
		}
		if what == "interfaces" {
			rows = append(rows, r)
			continue
		}
		n, ok := byRouter[i.Router]
		if !ok {
			n = len(rows)
			byRouter[i.Router] = n
			rows = append(rows, rate{router: i.Router})
		}
		sum := &rows[n]
		sum.in, sum.inBits, sum.out, sum.outBits = sum.in+r.in, sum.inBits+r.inBits, sum.out+r.out, sum.outBits+r.outBits
		sum.answers, sum.kernel = sum.answers+r.answers, sum.kernel+r.kernel
	}
	header = table.Row{"ROUTER", "INTERFACE", "IN PKT/S", "IN BIT/S", "OUT PKT/S", "OUT BIT/S", "REPLY/S", "KERNEL/S"}
	if what == "routers" {
		header = slices.Delete(header, 1, 2)
	}
	return rows, header
}

// topOrders has the orders of rows, by name. Each function returns a value of a row. Rows with
// larger values come first.
var topOrders = map[string]func(rate) float64{
	"packets": func(r rate) float64 { return r.in + r.out },
	"bits":    func(r rate) float64 { return r.inBits + r.outBits },
	"replies": func(r rate) float64 { return r.answers },
	"kernel":  func(r rate) float64 { return r.kernel },
	"name":    func(rate) float64 { return 0 },
}

// sortRates sorts rows in one of topOrders. Equal rows are sorted by packets, kernel and name.
func sortRates(rows []rate, order string) {
	by := topOrders[order]
	slices.SortStableFunc(rows, func(a, b rate) int {
		names := cmp.Or(cmp.Compare(a.router, b.router), cmp.Compare(a.iface, b.iface), cmp.Compare(a.port, b.port))
		if order == "name" {
			return names
		}
		return cmp.Or(cmp.Compare(by(b), by(a)), cmp.Compare(b.in+b.out, a.in+a.out), cmp.Compare(b.kernel, a.kernel), names)
	})
}

// cells returns the cells of a row under a header.
func (r rate) cells(header table.Row) (row table.Row) {
	for _, h := range header {
		switch h {
		case "ROUTER":
			row = append(row, r.router)
		case "INTERFACE":
			row = append(row, r.iface)
		case "PORT":
			row = append(row, r.port)
		case "IN PKT/S":
			row = append(row, si(r.in))
		case "IN BIT/S":
			row = append(row, si(r.inBits))
		case "OUT PKT/S", "PKT/S":
			row = append(row, si(r.out))
		case "OUT BIT/S", "BIT/S":
			row = append(row, si(r.outBits))
		case "REPLY/S":
			row = append(row, si(r.answers))
		case "KERNEL/S":
			row = append(row, si(r.kernel))
		}
	}
	return row
}

// si returns a rate with three digits and an SI prefix.
func si(v float64) string {
	for _, p := range []struct {
		factor float64
		prefix string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= 0.9995*p.factor {
			return fmt.Sprintf("%.3g%s", v/p.factor, p.prefix)
		}
	}
	if v < 10 {
		return fmt.Sprintf("%.2g", v)
	}
	return fmt.Sprintf("%.0f", v)
}
