package main

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"charm.land/fang/v2"
	"github.com/stretchr/testify/assert"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/app"
	"github.com/rankrsync/rankrsync/crm"
)

func TestTheOutcomeOfASyncIsItsExitCode(t *testing.T) {
	refused := map[crm.Code]bool{
		crm.GHLToken: true, crm.GHLScope: true, crm.GHLTenant: true, crm.GHLSuspended: true, crm.GHLReconnect: true, crm.RankrToken: true, crm.RankrAccount: true,
	}
	for code := range crm.Catalogue {
		want := no
		if refused[code] {
			want = unauthorised
		}
		err := verdict(crm.Result{Outcome: crm.Problem, Code: code})
		assert.Equal(t, want, exitCode(context.Background(), err), code)
		var said bytes.Buffer
		report(&said, fang.Styles{}, err)
		assert.Empty(t, said.String(), "the outcome was printed already")
	}
	for _, outcome := range []crm.Outcome{crm.Created, crm.Updated, crm.Unchanged, crm.Deleted} {
		assert.Equal(t, done, exitCode(context.Background(), verdict(crm.Result{Outcome: outcome})), outcome)
	}
}

func TestAFailedCallToTemporalHasTheExitCodeOfItsCause(t *testing.T) {
	interrupt, cancel := context.WithCancel(context.Background())
	cancel()
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		want int
	}{
		"none":           {context.Background(), nil, done},
		"no credentials": {context.Background(), serviceerror.NewPermissionDenied("no", ""), unauthorised},
		"no namespace":   {context.Background(), serviceerror.NewNamespaceNotFound("n"), usedWrongly},
		"away":           {context.Background(), serviceerror.NewUnavailable("away"), unreachable},
		"handed over":    {context.Background(), errors.Join(errors.New("nudge"), serviceerror.NewPermissionDenied("no", "")), unauthorised},
		"workflow":       {context.Background(), temporal.NewApplicationError("failed", "RS-INPUT"), no},
		"no poll":        {context.Background(), app.ErrNoPoll, no},
		"Ctrl-C":         {interrupt, errors.New("cancelled"), interrupted},
	} {
		err := temporalError(test.ctx, "127.0.0.1:7233", test.err)
		assert.Equal(t, test.want, exitCode(context.Background(), err), name)
	}
}
