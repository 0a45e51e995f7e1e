package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// This file holds every number of the workflows: time-outs and retries, named for the kind of work.

// A run hands over to a fresh one well before the server's own bounds (51,200 events, 10,000 signals): what can
// still come in while the last activities end must fit in between.
const (
	maxEvents  = 2000
	maxSignals = 1000
)

// Pages of a location's backlog.
const (
	pageSize   = 50
	maxPages   = 4
	maxCarried = 10_000 // references in one run's input: 1.4 MB with the longest ids, where the server takes 2
)

// An answer "come again" is believed within these bounds, so that no mistake makes a run spin or sleep for days.
const (
	shortestWait = 100 * time.Millisecond
	longestWait  = time.Hour
)

// alarmGrain bundles contacts whose waits end close together into one wake-up.
const alarmGrain = 500 * time.Millisecond

// oneRound bounds a round of one contact or business: tried for about two minutes, then the workflow itself sleeps,
// because only between rounds can it hand over to a fresh run.
func oneRound(location string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:              names.Live,
		ScheduleToCloseTimeout: 2 * time.Minute,
		StartToCloseTimeout:    45 * time.Second, // a few slow calls; a killed worker's round is tried again after it
		RetryPolicy:            patiently(15 * time.Second),
		Priority:               temporal.Priority{PriorityKey: names.PriorityLive, FairnessKey: location},
	}
}

// onePage bounds a page of a location. It heartbeats the contacts it has finished, so a retry goes on where the
// attempt before it ended.
func onePage(location string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:              names.Bulk,
		ScheduleToCloseTimeout: 5 * time.Minute,
		StartToCloseTimeout:    2 * time.Minute, // the gate paces a page: 50 contacts of a busy location take half of it
		HeartbeatTimeout:       30 * time.Second,
		RetryPolicy:            patiently(30 * time.Second),
		Priority:               temporal.Priority{PriorityKey: names.PriorityLive, FairnessKey: location},
	}
}

// onePoll bounds a tick to a few intervals: what it did not reach, the next one does, since the watermark moves
// with what was handed over.
func onePoll(location string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:              names.Bulk,
		ScheduleToCloseTimeout: 15 * time.Minute,
		StartToCloseTimeout:    10 * time.Minute,
		HeartbeatTimeout:       time.Minute,
		RetryPolicy:            patiently(time.Minute),
		Priority:               temporal.Priority{PriorityKey: names.PriorityPolling, FairnessKey: location},
	}
}

// oneBackfillPage is onePage behind all other work of the location. Its 100 contacts take twice as long.
func oneBackfillPage(location string) workflow.ActivityOptions {
	options := onePage(location)
	options.ScheduleToCloseTimeout, options.StartToCloseTimeout = 10*time.Minute, 4*time.Minute
	options.Priority.PriorityKey = names.PriorityBackfill
	return options
}

// oneSurvey bounds a look at both sides: at the usual limits a thousand contacts a second of GHL, and of Rankr a hundred.
func oneSurvey(location string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:              names.Bulk,
		ScheduleToCloseTimeout: 2 * time.Hour,
		StartToCloseTimeout:    time.Hour,
		HeartbeatTimeout:       time.Minute,
		RetryPolicy:            patiently(time.Minute),
		Priority:               temporal.Priority{PriorityKey: names.PriorityBackfill, FairnessKey: location},
	}
}

// oneComparison is oneSurvey before backfills: people wait for it, or it runs at night.
func oneComparison(location string) workflow.ActivityOptions {
	options := oneSurvey(location)
	options.Priority.PriorityKey = names.PriorityReconcile
	return options
}

// oneQuestion bounds nothing but an attempt: all the activity does is to hand a hint over, and where Temporal takes none
// nothing else would help.
func oneQuestion(location string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:           names.Live,
		StartToCloseTimeout: 15 * time.Second, // longer than a hand-over gets
		RetryPolicy:         patiently(time.Minute),
		Priority:            temporal.Priority{PriorityKey: names.PriorityLive, FairnessKey: location},
	}
}

// oneStep bounds nothing but an attempt of a step that connects or disconnects a location: it is tried until it is done.
func oneStep(location string) workflow.ActivityOptions {
	return workflow.ActivityOptions{
		TaskQueue:           names.Live,
		StartToCloseTimeout: 90 * time.Second, // a call that waits for a token, is refused, and waits for another one
		RetryPolicy:         patiently(time.Minute),
		Priority:            temporal.Priority{PriorityKey: names.PriorityOperations, FairnessKey: location},
	}
}

// patiently retries until the activity's time, if it has one, is over, first soon, then not more often than at the given interval.
func patiently(longest time.Duration) *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: longest}
}

// backOff is the workflow's own sleep after so many failures in a row: 15 s, doubling to 4 minutes. A system that
// says how long it wants to be left alone is heard.
func backOff(failures int, asked time.Duration) time.Duration {
	const first, doublings = 15 * time.Second, 4
	return max(first<<min(failures-1, doublings), min(asked, longestWait))
}

// believed bounds how long an activity's answer asks to wait.
func believed(wait time.Duration) time.Duration {
	return min(max(wait, shortestWait), longestWait)
}
