// Package ovsdb makes Open vSwitch's database hold the bridges, ports and
// controller rows that routers need, and tells what the database holds.
//
// The core is pure: [Plan] compares a [State] with a [Desired] and returns the
// operations that turn the one into the other, all of them for one
// transaction, and the [Problem]s that keep part of it from being done. Around
// it a [Client] keeps a connection to ovsdb-server, observes the state, and
// carries plans out.
//
// # What is ours
//
// Every row that the package inserts carries marks in its external_ids:
// [KeyOwner], [KeyRouter] and, for what belongs to a router interface,
// [KeyInterface]. Rows are looked up by their marks, never by their names.
// A Bridge, Port or Controller row without the owner's mark is never changed
// and never deleted, whatever it is called; an Interface row belongs to its
// Port, and a bridge's local port to its Bridge. The one thing that happens to
// somebody else's row is that ports of ours come into and leave the ports of
// the integration bridge.
package ovsdb
