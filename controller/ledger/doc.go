// Package ledger maintains the intent. It joins the declarations of all sources into one valid
// model, with numbered revisions.
//
// One goroutine drains all pending writes, checks each against the current
// intent, commits them to the store in one transaction, and only then publishes
// and answers. A write is therefore atomic, and an answered write is on disk.
// Readers load the current [Intent], which is immutable. Watchers follow the
// history at their own pace. Readers and watchers do not block writes.
package ledger
