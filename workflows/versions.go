// Package workflows takes the decisions: deterministic, one exported workflow per file. What touches the world is an
// activity.
package workflows

// A history of a released version must replay with today's code: a run may be older than the binary that finishes
// it. A change that adds, drops or reorders commands (an activity, a timer, a search attribute, a child) therefore
// asks workflow.GetVersion which way to go:
//
//	if workflow.GetVersion(ctx, "2026-02-ask-rankr-first", workflow.DefaultVersion, 1) == 1 { … }
//
// The flags stand here as constants named for the change, each with the date from which no run can be older than it
// and the flag may go. Runs are short: SyncContact and SyncContacts end when quiet and continue as new after 2,000
// events, so a flag is needed for weeks, not years. An AwaitDueDate may wait for years, but has run nothing by then: only
// its input must stay readable. Texts, time-outs and retries may change without one.
// [TestRecordedHistoriesReplay] tells when a flag is missing.

// backfillVersion has ConnectLocation start or offer a backfill at its end: no run that began before 2026-11-25 does.
const backfillVersion = "2026-11-start-backfill"
