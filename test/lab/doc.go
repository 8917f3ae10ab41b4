// Package lab builds small networks out of Linux namespaces and a real Open
// vSwitch, for tests, the demonstration and the benchmarks.
//
// The parts are:
//
//   - The bubble ([Isolate]) is the whole program, run again in its own PID, mount
//     and network namespaces. It cannot reach an Open vSwitch that runs on the
//     machine. When the program ends for any reason, the kernel removes every
//     process, namespace and mount made inside.
//   - A [Host] is a machine that runs Open vSwitch: a mount and a network
//     namespace, with an empty /run, so that default paths such as
//     unix:/var/run/openvswitch/db.sock and /run/netns work as on a real host.
//     Several hosts are isolated from each other.
//   - A [Machine] is a network namespace of a host, connected to one of its
//     bridges. It stands for a virtual machine.
//   - An [Underlay] is a network between hosts.
//
// Switches use the userspace datapath (datapath_type=netdev), which needs no kernel module, or
// the kernel's datapath if it is selected in the environment ([Datapath]). The lab never
// sleeps for a fixed time. It waits for conditions.
//
// Most functions need no *testing.T. Those with a *testing.T ([Boot], [Plug], [Run], [Serve],
// [Eventually]) call them, and fail the test instead of returning an error.
package lab
