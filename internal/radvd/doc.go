// Package radvd runs radvd(8) to send router advertisements in the namespaces of routers. Each
// router has one process. Like the router, the process outlives the program that started it. The
// next run of the program takes it over.
//
// All state of a process is in one directory: its configuration, its output, and its PID.
// radvd writes the PID into a file and keeps the file locked. The lock prevents a second
// process for a router, even if the program that started it was killed.
package radvd
