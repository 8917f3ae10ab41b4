// Package chaos breaks things around a running daemon, one after the other and
// under traffic, and holds what comes of it against a few laws.
//
//	make chaos                       # another seed each time
//	make chaos SEED=7 FAULTS=200     # the faults of seed 7, which are always the same
//	make chaos SEED=7 ONLY='tap|MTU' # just some kinds
//	make chaos RACE=                 # faster: without the race detector
//
// There is a host with an Open vSwitch, three networks, two routers that are on
// all of them, and on each network a machine for each router, which it has as its
// gateway. Every machine sends to every other ([mesh]): together 1000 packets a
// second, each with a number, so that it is known which were lost, and when.
//
// A [fault] is a row in a table. What exactly it does is decided by the seed and
// the intent alone, never by what happened before. Then
//
//   - it is done, as an operator or an accident would do it;
//   - the daemon is given time to mend it, until status, flows, rows of the
//     database, namespaces and taps are all what the intent compiles to
//     ([site.inspect]); how long that took is the time to converge. It includes
//     the last look, some 50 ms;
//   - all traffic has to flow again, and the kernel's end of every interface has
//     to answer.
//
// These are the laws:
//
//   - Everything is mended, within a minute.
//   - Pairs of machines from which the fault takes nothing lose nothing. A fault
//     says what it takes: a switch that does not run takes everything, a router's
//     bridge the traffic through that router, a tap what goes through the kernel.
//   - Where no flow needs a change no flow-mod is sent. How many were sent, and
//     the smallest number that would have done, is reported.
//   - No counter in /metrics goes back while the daemon runs.
//   - The daemon's log tells of no panic and no data race.
//
// [Kills] is about one fault: the daemon is killed and started again and again,
// and neither packets nor flows nor the counters of interfaces may tell.
package chaos
