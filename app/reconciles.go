// Comparisons of a location's two sides, asked for by a person.

package app

import (
	"context"

	"go.temporal.io/sdk/client"

	"github.com/rankrsync/rankrsync/workflows/names"
)

// Reconcile compares the location's two sides, and has repaired what drifted where that is asked for. It waits for the outcome: for
// that of the run that is under way already, if there is one.
func Reconcile(ctx context.Context, temporal client.Client, searchable func() bool, input names.ReconcileInput) (names.ReconcileResult, error) {
	options := byHand(searchable).Start(names.Reconcile, input.Location, "")
	run, err := temporal.ExecuteWorkflow(ctx, options, names.Reconcile, input)
	if err != nil {
		return names.ReconcileResult{}, err
	}
	var result names.ReconcileResult
	err = run.Get(ctx, &result)
	return result, err
}
