// What comes into a workflow from outside, ids and failures, is looked at here.

package workflows

import (
	"errors"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/crm"
)

// checkLocation refuses a location id that can't be real before anything is called with it.
func checkLocation(location string) error {
	if crm.ValidID(location) {
		return nil
	}
	return refused(&crm.Error{Code: crm.InvalidInput, Operation: "input", Fields: []string{"location"}})
}

// refused makes an error of ours one that Temporal does not retry, typed by its code.
func refused(err error) error {
	var e *crm.Error
	if !errors.As(err, &e) {
		return err
	}
	return temporal.NewNonRetryableApplicationError(e.Error(), string(e.Code), nil)
}

// failure is what a workflow knows of an activity that failed: its code, whether waiting can help, and how long the
// vendor wants to be left alone.
type failure struct {
	code  crm.Code // empty: no worker answered
	never error    // what the workflow fails with; nil: it goes round again
	wait  time.Duration
}

// failed reads an activity's error. Our own arrive as application errors typed by code, also as the cause of a time-out;
// anything else may go better the next time.
func failed(err error) failure {
	var e *temporal.ApplicationError
	switch {
	case errors.As(err, &e):
	case temporal.IsTimeoutError(err):
		return failure{} // no worker, or one that died
	default:
		return failure{code: crm.Internal}
	}
	f := failure{code: crm.Code(e.Type()), wait: e.NextRetryDelay()}
	if e.NonRetryable() {
		f.never = temporal.NewNonRetryableApplicationError(e.Message(), e.Type(), nil)
	}
	return f
}

// code sets an id or a name in the UI's Markdown, where an underscore would otherwise start italics.
func code(text string) string { return "`" + strings.ReplaceAll(text, "`", "'") + "`" }
