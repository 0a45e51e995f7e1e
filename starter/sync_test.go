package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
)

func TestTheServersWordThatTheTimeRanOutIsBelievedNearTheDeadlineOnly(t *testing.T) {
	near, cancel := context.WithTimeout(t.Context(), 900*time.Millisecond)
	defer cancel()
	far, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	over, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	late, away := serviceerror.NewDeadlineExceeded("late"), serviceerror.NewUnavailable("away")

	assert.True(t, ranOut(near, late))
	assert.True(t, ranOut(near, &client.WorkflowUpdateServiceTimeoutOrCanceledError{}))
	assert.False(t, ranOut(near, away))
	assert.False(t, ranOut(far, late), "a server that hangs")
	assert.True(t, ranOut(over, away))
}
