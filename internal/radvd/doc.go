// Package radvd has radvd(8) send router advertisements in the namespaces of
// routers: one process each, which outlives the program that started it, as the
// router does, and is found again by its successor.
//
// All that there is to know about a process is in one directory: its
// configuration, what it has printed, and its PID, which it writes itself into a
// file that it keeps locked. So no second one of a router comes up, whenever
// its starter was killed.
package radvd
