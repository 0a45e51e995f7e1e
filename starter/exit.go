package main

import (
	"context"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/grpc/codes"

	"github.com/rankrsync/rankrsync/app"
)

// The exit codes.
const (
	done         = 0
	no           = 1
	usedWrongly  = 2
	unreachable  = 3
	unauthorised = 4
	timedOut     = 5
	interrupted  = 130
)

const exitCodes = `0    done; the answer is yes
1    done; the answer is no: what was to be brought into step has a problem, or there is nothing to do it to
2    used wrongly: a flag or a setting; all problems are listed
3    a system can't be reached; it is named
4    the credentials are refused
5    the time of --timeout ran out; the work goes on
130  interrupted by Ctrl-C; what the server has goes on`

// exit is an error that knows its exit code.
type exit struct {
	code int
	text string
}

func (e *exit) Error() string { return e.text }

// usage is a command line that can't be right.
func usage(format string, arguments ...any) error {
	return &exit{usedWrongly, fmt.Sprintf(format, arguments...)}
}

// exitCode finds the code of an error. One that nothing is known of comes from the parsing of the command line.
func exitCode(ctx context.Context, err error) int {
	var typed *exit
	switch {
	case err == nil:
		return done
	case errors.As(err, &typed):
		return typed.code
	case errors.Is(ctx.Err(), context.Canceled):
		return interrupted
	}
	return usedWrongly
}

// temporalError says what a failed call to the Temporal server means for the person who asked.
func temporalError(ctx context.Context, address string, err error) error {
	if err == nil {
		return nil
	}
	var failed *temporal.ApplicationError
	switch {
	case errors.Is(err, app.ErrNoPoll):
		return &exit{no, err.Error()}
	case errors.Is(ctx.Err(), context.Canceled):
		return &exit{interrupted, "interrupted; what the server has goes on"}
	case errors.As(err, &failed):
		return &exit{no, "the workflow failed: " + failed.Message()}
	}
	switch serviceerror.ToStatus(err).Code() {
	case codes.Unauthenticated, codes.PermissionDenied:
		return &exit{unauthorised, "Temporal at " + address + " refuses the credentials: check TEMPORAL_API_KEY or the TEMPORAL_TLS_… settings"}
	case codes.NotFound:
		return &exit{usedWrongly, "Temporal at " + address + " has no such namespace: check TEMPORAL_NAMESPACE or --namespace"}
	}
	return &exit{unreachable, "Temporal can't be reached at " + address + ": check that the server runs, and TEMPORAL_ADDRESS or --address"}
}

// storeError says what a store that can't be used means for the person who asked.
func storeError(err error) error {
	if err == nil {
		return nil
	}
	return &exit{unreachable, err.Error() + ": check STORE_URL, disk space and permissions"}
}
