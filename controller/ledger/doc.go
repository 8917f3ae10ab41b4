// Package ledger keeps the intent: what all sources together declare, as one
// valid whole, in numbered revisions.
//
// One goroutine takes writes, as many as are waiting, checks each against what
// there is, has the store make all of them durable at once, and only then
// publishes them and answers. A write is therefore atomic, and one that was
// answered is on disk. Readers look at the present [State], which is immutable,
// and are in nobody's way; nor are watchers, who read the history at their own
// pace.
package ledger
