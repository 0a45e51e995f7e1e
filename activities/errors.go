package activities

import (
	"context"
	"errors"
	"slices"

	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/crm"
)

// leave is the one door through which an error leaves a deed: never (not retried), later (after the delay the vendor
// asked for) or again (by the retry policy). What goes out is built from an allow-list: the cause's own text never
// does, for an URL, a database error or a vendor's message may hold an email, a phone number or a token.
func leave(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	e := safe(err)
	options := temporal.ApplicationErrorOptions{Details: []any{e.Code}}
	switch e.Retry() {
	case crm.Never:
		options.NonRetryable = true
	case crm.Later:
		options.NextRetryDelay = e.Wait
	}
	return temporal.NewApplicationErrorWithOptions(e.Error(), string(e.Code), options)
}

// safe returns the *crm.Error in err. An error that is none is a bug of ours: its code says so, and its text stays
// behind.
func safe(err error) *crm.Error {
	var e *crm.Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &crm.Error{Code: crm.Busy, Operation: "round", Landed: true}
	}
	return &crm.Error{Code: crm.Internal, Operation: "round", Landed: true}
}

// storeError hides the text of a database error: PostgreSQL and SQLite both quote the values of a row in it.
func storeError(err error) error {
	if err == nil || errors.Is(err, crm.ErrMoved) || errors.Is(err, crm.ErrTaken) || errors.Is(err, crm.ErrBraked) ||
		errors.Is(err, context.Canceled) {
		return err
	}
	return &crm.Error{Code: crm.StoreUnavailable, Operation: "store"}
}

// nudgeError says that hints could not be handed over. Temporal's own text may hold anything.
func nudgeError(err error) error {
	if err == nil {
		return nil
	}
	return &crm.Error{Code: crm.TemporalAway, Operation: "nudge"}
}

func hasCode(err error, codes ...crm.Code) bool {
	var e *crm.Error
	if !errors.As(err, &e) {
		return false
	}
	return slices.Contains(codes, e.Code)
}
