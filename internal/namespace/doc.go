// Package namespace manages routers' network namespaces and the taps in them.
//
// The namespaces are those of ip-netns(8): files in /run/netns that other programs can see and
// enter. If the package has created a namespace, the alias of its lo is the mark
// "ofdvr-router@INSTANCE=ID". If it has moved a tap, the tap's alias is the mark
// "ofdvr-interface@INSTANCE=ID". Objects without a mark are not ours. A namespace that existed
// before is used and configured but never deleted. Links of other programs in it are not changed.
// The previous settings of a namespace are backed up ([Backups]), and restored if it outlives its
// router.
//
// A thread that enters a namespace is never reused by other goroutines.
package namespace
