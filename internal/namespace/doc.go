// Package namespace manages routers' network namespaces and the taps in them.
//
// Namespaces are namespaces of ip-netns(8): files in /run/netns that other programs can see
// and enter. A namespace that the package created has the mark "ofdvr-router@INSTANCE=ID" as
// the alias of its lo, and a tap that it moved has the mark "ofdvr-interface@INSTANCE=ID" as
// its own alias. Objects without a mark are not ours. A namespace that existed before is used
// and configured but never deleted, and a link of another program in it is not changed. The
// previous settings of a namespace are backed up ([Backups]), and restored if it outlives its
// router.
//
// A thread that enters a namespace is never reused by other goroutines.
package namespace
