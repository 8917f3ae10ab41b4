// Package chaos injects faults around a running daemon, one after another and under traffic,
// and checks the results against a few laws.
//
//	make chaos                       # another seed each time
//	make chaos SEED=7 FAULTS=200     # the faults of seed 7, which are always the same
//	make chaos SEED=7 ONLY='tap|MTU' # just some kinds
//	make chaos RACE=                 # faster: without the race detector
//
// The host has an Open vSwitch, three networks, and two routers that are on all networks. On
// each network there is one machine for each router. The router is the machine's gateway.
// Every machine sends packets to every other machine ([mesh]), together 1000 packets a second.
// Each packet has a sequence number, so that the test knows the lost packets and the times of
// the losses.
//
// A [fault] is a row in a table. Its details depend only on the seed and the intent, not on
// earlier events. The run then
//
//   - injects the fault, as an operator or an accident would;
//   - gives the daemon time to repair it, until the status, flows, rows of the database,
//     namespaces and taps match the intent ([site.inspect]). This is the time to
//     converge. It includes the last inspection, about 50 ms;
//   - waits until all traffic flows again, and the kernel answers on every interface.
//
// The laws are:
//
//   - Everything is repaired within a minute.
//   - Pairs of machines that the fault does not affect lose no packet. Each fault has
//     the affected traffic. A stopped switch affects all traffic. A router's bridge
//     affects the traffic through that router, and a tap the traffic through the kernel.
//   - If no flow has to change, no flow mod is sent. The report has the number of flow
//     mods, and the smallest number that would have been enough.
//   - No counter in /metrics decreases while the daemon runs.
//   - The daemon's log has no panic and no data race.
//
// [PlayHosts] does the same on three hosts that an underlay connects. The machines are spread over
// them, and each machine's router is on each host. There are other faults: of one host, of its link, of
// the bridge that connects it to others; a machine moves; hosts have different files for a while, or
// one of them is removed from the files and returned. The laws hold on each host, and one more: no
// packet arrives twice. A [places] scope has the traffic that a fault of a host affects.
//
// [PlayEtcd] does the same on hosts that share their intent in etcd, whose three members fail in many
// ways, while ports are written by the APIs of all daemons. The expected flows are those that the
// compiler makes from the intent that lies in etcd. One more law: each answered write is in etcd.
// Clocks do not jump in this test: Linux cannot change the time of day of one process alone.
//
// [Kills] has only one fault. It kills the daemon and starts it again many times. Packets,
// flows and the counters of interfaces must not be affected.
package chaos
