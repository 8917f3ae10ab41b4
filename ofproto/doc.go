// Package ofproto models OpenFlow 1.3 messages, matches and actions as plain
// values, and converts them to and from the wire.
//
// The package performs no I/O, starts no goroutines, reads no clocks and keeps no state. Every
// result depends only on the arguments. Text forms use ovs-ofctl(8) syntax, so a printed flow
// can be pasted into ovs-ofctl, and [ParseFlow] reads flows that ovs-ofctl prints.
//
// Matches, actions and instructions are stored in their canonical wire encoding. Therefore a
// [Flow] is comparable with ==, small in memory, and needs no work to encode.
package ofproto
