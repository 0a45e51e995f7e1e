// Bulk work: what runs on the bulk queue is paced by the gate, so that a live change of the same location needn't wait.

package app

import (
	"context"

	"go.temporal.io/sdk/interceptor"

	"github.com/rankrsync/rankrsync/clients/rest"
)

// bulk marks every call of the activities it intercepts as bulk. The activities themselves know no HTTP.
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

// ExecuteActivity runs the activity with the mark in its context.
func (b *bulkActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	return b.Next.ExecuteActivity(rest.WithBulk(ctx), in)
}
