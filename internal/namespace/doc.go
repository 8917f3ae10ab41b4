// Package namespace keeps routers' network namespaces and the taps in them.
//
// Namespaces are those of ip-netns(8): files in /run/netns that other
// programs see and enter. A namespace that the package created carries the
// mark "ofdvr-router@INSTANCE=ID" as the alias of its lo, and a tap that it moved the
// mark "ofdvr-interface@INSTANCE=ID" as its own alias. What has no mark is not ours: a
// namespace that existed before is used and configured but never deleted, and
// a link that somebody else put into it is not touched. What a namespace was before is kept
// ([Before]): one that outlives its router gets that back.
//
// The thread of a goroutine that enters a namespace is never given back to
// others.
package namespace
