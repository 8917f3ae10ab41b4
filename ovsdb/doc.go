// Package ovsdb makes Open vSwitch's database hold the bridges, ports and controller rows
// that routers and the fabric between hosts need, and reports what the database holds.
//
// The core is pure. [Plan] compares a [State] with a [Desired]. It returns the operations of
// one transaction that turn the State into the Desired, and a [Problem] for each part that
// cannot be realized. A [Client] keeps a connection to ovsdb-server, observes the state, and
// carries plans out.
//
// # Ownership
//
// Every row that the package inserts has marks in its external_ids: [KeyOwner], and
// [KeyRouter], [KeyInterface], [KeyFabric], [KeyNetwork], [KeyTunnel] and [KeyUplink] for what it is
// part of. Rows are looked up by their marks, never by their names. A Bridge, Port or
// Controller row without the owner's mark is never changed or deleted, whatever its name;
// an Interface row belongs to its Port, and a bridge's local port to its Bridge. There are
// two exceptions: our ports are added to and removed from the ports column of the
// integration bridge, and machines' ports on it get and lose the tags of [Desired.Tag],
// with the mark [KeyTag].
package ovsdb
