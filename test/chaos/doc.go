// Package chaos breaks things around a running daemon, one after the other and
// under traffic, and checks the results against a few laws.
//
//	make chaos                       # another seed each time
//	make chaos SEED=7 FAULTS=200     # the faults of seed 7, which are always the same
//	make chaos SEED=7 ONLY='tap|MTU' # just some kinds
//	make chaos RACE=                 # faster: without the race detector
//
// The host has an Open vSwitch, three networks, two routers that are on all networks,
// and on each network one machine for each router, which is its gateway. Every machine
// sends to every other ([mesh]): together 1000 packets a second, each with a sequence
// number, so that the test knows which were lost, and when.
//
// A [fault] is a row in a table. The seed and the intent alone determine its details,
// never earlier events. The run then
//
//   - injects the fault, as an operator or an accident would;
//   - gives the daemon time to repair it, until status, flows, rows of the
//     database, namespaces and taps all are what the intent compiles to
//     ([site.inspect]). This is the time to converge;
//     it includes the last inspection, some 50 ms;
//   - waits until all traffic flows again, and the kernel's end of every interface
//     answers.
//
// The laws are:
//
//   - Everything is repaired within a minute.
//   - Pairs of machines that the fault does not affect lose no packet. Each fault
//     names what it affects: a stopped switch affects everything, a router's bridge
//     the traffic through that router, a tap the traffic through the kernel.
//   - Where no flow has to change, no flow mod is sent. The report has the number of
//     flow mods, and the smallest number that would have been enough.
//   - No counter in /metrics decreases while the daemon runs.
//   - The daemon's log has no panic and no data race.
//
// [Kills] has one fault: it kills the daemon and starts it again many times. Packets,
// flows and the counters of interfaces must not be affected.
package chaos
