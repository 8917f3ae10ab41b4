// Package lab builds small networks out of Linux namespaces and a real Open
// vSwitch, for tests, the demonstration and the benchmarks.
//
// Three things nest:
//
//   - The bubble ([Isolate]) is the whole program, run again in PID, mount and
//     network namespaces of its own. An Open vSwitch that runs on the machine
//     is out of reach in there, and when the program ends, however it ends,
//     the kernel removes every process, namespace and mount made inside.
//   - A [Host] is a machine that runs Open vSwitch: a mount and a network
//     namespace, with an empty /run, so that default paths such as
//     unix:/var/run/openvswitch/db.sock and /run/netns work as on a real host
//     and several hosts do not see each other.
//   - A [Machine] is a network namespace of a host, joined to one of its
//     bridges: what a virtual machine is to a hypervisor.
//
// Switches use the userspace datapath (datapath_type=netdev), which needs no
// kernel module, or, if the environment says so, the kernel's ([Datapath]). Nothing here sleeps for a fixed time: what takes time is
// waited for by its condition.
//
// The core needs no *testing.T. The functions that take one ([Boot], [Plug],
// [Run], [Serve], [Eventually]) are thin and fail the test instead of
// returning an error.
package lab
