package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// reconcileRun is Reconcile with fake deeds; each comparison finds what is next in the list, the last one again and again.
type reconcileRun struct {
	*run
	finds    [][]names.Drift
	err      error
	compared int
	repaired [][]string
}

func newReconcileRun(t *testing.T, finds ...[]names.Drift) *reconcileRun {
	r := &reconcileRun{run: newRun(t), finds: finds}
	r.deed(names.Compare, func(context.Context, activities.CompareRound) (names.ReconcileResult, error) {
		if r.err != nil && r.passed() < 10*time.Minute {
			return names.ReconcileResult{}, r.err
		}
		found := r.finds[min(r.compared, len(r.finds)-1)]
		r.compared++
		result := names.ReconcileResult{Location: "L", Contacts: 9, Records: 9, Counts: map[string]int{}, Drifts: found, GHLCalls: 1, RankrCalls: 2}
		for _, drift := range found {
			result.Counts[drift.Kind]++
		}
		return result, nil
	})
	r.deed(names.Repair, func(_ context.Context, in activities.Repairs) (int, error) {
		r.repaired = append(r.repaired, in.Contacts)
		return len(in.Contacts), nil
	})
	return r
}

func (r *reconcileRun) execute(repair bool) names.ReconcileResult {
	r.t.Helper()
	r.ExecuteWorkflow(names.Reconcile, names.ReconcileInput{Location: "L", Repair: repair})
	require.NoError(r.t, r.GetWorkflowError())
	var result names.ReconcileResult
	require.NoError(r.t, r.GetWorkflowResult(&result))
	return result
}

var drifted = []names.Drift{
	{Kind: names.DriftDifferent, Contact: "a", Fields: []string{"city"}},
	{Kind: names.DriftDuplicate, Contact: "b"},
	{Kind: names.DriftMissing, Contact: "c", Code: string(crm.Ambiguous)},
	{Kind: names.DriftMissing, Contact: "d"},
}

func TestAComparisonAloneWritesNothing(t *testing.T) {
	r := newReconcileRun(t, drifted)
	assert.Equal(t, drifted, r.execute(false).Drifts)
	assert.Empty(t, r.repaired)
	assert.Equal(t, names.StateFinished, query[names.ReconcileStatus](r.run).State)
}

func TestARepairAsksForWhatRoundsCanMendAndComparesAgain(t *testing.T) {
	r := newReconcileRun(t, drifted, drifted[1:3])
	result := r.execute(true)
	assert.Equal(t, [][]string{{"a", "d"}}, r.repaired)
	assert.Equal(t, drifted[1:3], result.Drifts)
	assert.Equal(t, 2, result.Repaired)
	assert.Equal(t, 2, result.GHLCalls, "of both comparisons")
	assert.Equal(t, repairPatience, r.passed())
}

func TestARepairThatHelpsNothingEnds(t *testing.T) {
	r := newReconcileRun(t, drifted)
	result := r.execute(true)
	assert.Len(t, r.repaired, maxRepairs)
	assert.Len(t, result.Drifts, 4)
}

func TestAComparisonWaitsForWhatIsAwayAndFailsWithWhatNeverWorks(t *testing.T) {
	r := newReconcileRun(t, nil)
	r.err = away(0)
	assert.Empty(t, r.execute(false).Drifts)
	assert.GreaterOrEqual(t, r.passed(), 10*time.Minute)

	r = newReconcileRun(t, nil)
	r.err = temporal.NewNonRetryableApplicationError("no", string(crm.GHLToken), nil)
	r.ExecuteWorkflow(names.Reconcile, names.ReconcileInput{Location: "L"})
	failedWith(t, r.GetWorkflowError(), crm.GHLToken)

	r = newReconcileRun(t, nil)
	r.ExecuteWorkflow(names.Reconcile, names.ReconcileInput{Location: "a/b"})
	failedWith(t, r.GetWorkflowError(), crm.InvalidInput)
}
