// Package lab builds small networks out of Linux namespaces and a real Open
// vSwitch, for tests, the demonstration and the benchmarks.
//
// Three things nest, and a fourth connects hosts:
//
//   - The bubble ([Isolate]) is the whole program, run again in its own PID, mount
//     and network namespaces. It cannot reach an Open vSwitch that runs on the
//     machine. When the program ends, in any way, the kernel removes every
//     process, namespace and mount made inside.
//   - A [Host] is a machine that runs Open vSwitch: a mount and a network
//     namespace, with an empty /run, so that default paths such as
//     unix:/var/run/openvswitch/db.sock and /run/netns work as on a real host
//     and several hosts do not see each other.
//   - A [Machine] is a network namespace of a host, connected to one of its
//     bridges. It stands for a virtual machine.
//   - An [Underlay] is a network between hosts.
//
// Switches use the userspace datapath (datapath_type=netdev), which needs no
// kernel module, or the kernel's if the environment says so ([Datapath]). Nothing
// here sleeps for a fixed time: the lab waits for conditions.
//
// The core needs no *testing.T. The functions that take one ([Boot], [Plug],
// [Run], [Serve], [Eventually]) are thin and fail the test instead of
// returning an error.
package lab
