// Bulk work: what runs on the bulk queue is paced by the gate, so that a live change of the same location needn't wait.

package app

import (
	"context"
	"slices"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"

	"github.com/rankrsync/rankrsync/clients/rest"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// bulk marks every call of the activities it intercepts as bulk or, of those that can wait for another day, as spare. The activities themselves know no HTTP.
type bulk struct {
	interceptor.WorkerInterceptorBase
}

// InterceptActivity is called once for each activity that runs.
func (*bulk) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	return &bulkActivity{interceptor.ActivityInboundInterceptorBase{Next: next}}
}

type bulkActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

// spare are the activities that can wait for another day when the day's calls run out.
var spare = []string{names.ListPages, names.BackfillPage, names.Survey, names.Compare}

// ExecuteActivity runs the activity with the mark in its context.
func (b *bulkActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	if slices.Contains(spare, activity.GetInfo(ctx).ActivityType.Name) {
		ctx = rest.WithSpare(ctx)
	} else {
		ctx = rest.WithBulk(ctx)
	}
	return b.Next.ExecuteActivity(ctx, in)
}
