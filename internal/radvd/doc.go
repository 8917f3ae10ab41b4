// Package radvd runs radvd(8) to send router advertisements in the namespaces of routers: one
// process for each router. A process outlives the program that started it, as the router
// does, and the next instance of the program takes it over.
//
// All state of a process is in one directory: its configuration, its output, and its PID,
// which radvd writes into a file that it keeps locked. The lock prevents a second process
// for a router, whenever its starter was killed.
package radvd
