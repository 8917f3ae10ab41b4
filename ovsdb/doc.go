// Package ovsdb maintains the bridges, ports and controller rows of routers in Open vSwitch's
// database, and reports the contents of the database.
//
// The core is pure. [Plan] compares a [State] with a [Desired]. It returns the operations of
// one transaction that turn the State into the Desired, and a [Problem] for each part that
// cannot be realized. A [Client] keeps a connection to ovsdb-server, observes the state, and
// carries plans out.
//
// # Ownership
//
// Every row that the package inserts has marks in its external_ids: [KeyOwner], [KeyRouter]
// and, in rows of a router interface, [KeyInterface]. Rows are looked up by their marks, never
// by their names. A Bridge, Port or Controller row without the owner's mark is never changed
// or deleted, even if it has the name of a desired row. An Interface row belongs to its Port,
// and a bridge's local port belongs to its Bridge. There is one exception: our ports are added
// to and removed from the ports column of the integration bridge.
package ovsdb
