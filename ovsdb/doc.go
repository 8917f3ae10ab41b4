// Package ovsdb maintains the rows of Open vSwitch's database that routers and the fabric
// between hosts need: bridges, ports and controllers. It also reports the contents of the
// database.
//
// The core is pure. [Plan] compares a [State] with a [Desired]. It returns the operations of
// one transaction that turn the State into the Desired, and a [Problem] for each part that
// cannot be realized. A [Client] keeps a connection to ovsdb-server, observes the state, and
// carries plans out.
//
// # Ownership
//
// Every row that the package inserts has marks in its external_ids: [KeyOwner], and those of
// [KeyRouter], [KeyInterface], [KeyFabric], [KeyNetwork], [KeyTunnel] and [KeyUplink] that
// identify its object. Rows are looked up by their marks, never by their names. A Bridge, Port
// or Controller row without the owner's mark is never changed or deleted, whatever its name.
// An Interface row belongs to its Port, and a bridge's local port to its Bridge. There are two
// exceptions. Our ports are added to and removed from the ports column of the integration
// bridge. Machines' ports on it get the tags of [Desired.Tag] with the mark [KeyTag], and
// later the dead VLAN.
package ovsdb
