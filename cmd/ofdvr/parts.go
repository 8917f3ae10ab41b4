package main

import "github.com/ofdvr/ofdvr/routing"

// maxOperations is the number of operations of a part. A transaction of etcd has at most 128 by default
// (--max-txn-ops). Objects that exist may need more than they count for.
const maxOperations = 100

// parts returns the objects of m in parts for which a transaction is probably large enough: first the
// objects that others need. Each part has objects of one kind.
func parts(m routing.Model) (all []routing.Model) {
	cut(len(m.Hosts), func(int) int { return 2 }, func(i, j int) { all = append(all, routing.Model{Hosts: m.Hosts[i:j]}) })
	cut(len(m.Networks), func(int) int { return 2 }, func(i, j int) { all = append(all, routing.Model{Networks: m.Networks[i:j]}) })
	cut(len(m.Routers), func(i int) int {
		n := 2
		for _, f := range m.Routers[i].Interfaces {
			n += 2 + len(f.Addresses)
		}
		return n
	}, func(i, j int) { all = append(all, routing.Model{Routers: m.Routers[i:j]}) })
	cut(len(m.Ports), func(i int) int { return 4 + len(m.Ports[i].Addresses) }, func(i, j int) { all = append(all, routing.Model{Ports: m.Ports[i:j]}) })
	return all
}

// cut calls do with the bounds of parts of a list of n elements. size returns the operations of an
// element.
func cut(n int, size func(i int) int, do func(i, j int)) {
	from, sum := 0, 0
	for i := range n {
		s := size(i)
		if sum+s > maxOperations && i > from {
			do(from, i)
			from, sum = i, 0
		}
		sum += s
	}
	if n > from {
		do(from, n)
	}
}

// halves cuts a part in two. It returns false if the part has only one object.
func halves(m routing.Model) (a, b routing.Model, ok bool) {
	h, n, r, p := len(m.Hosts)/2, len(m.Networks)/2, len(m.Routers)/2, len(m.Ports)/2
	a = routing.Model{Hosts: m.Hosts[:h], Networks: m.Networks[:n], Routers: m.Routers[:r], Ports: m.Ports[:p]}
	b = routing.Model{Hosts: m.Hosts[h:], Networks: m.Networks[n:], Routers: m.Routers[r:], Ports: m.Ports[p:]}
	return a, b, a.Len() > 0
}

// join returns a model with the objects of all parts.
func join(parts []routing.Model) (m routing.Model) {
	for i := range parts {
		add(&m, &parts[i])
	}
	return m
}
