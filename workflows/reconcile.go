package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

const (
	// maxRepairs bounds how often a repair is asked for: what is still different then waits for a person, or for a system.
	maxRepairs = 3
	// repairPatience is how long the rounds get before the sides are compared again; it doubles.
	repairPatience = 15 * time.Second
)

// Reconcile compares GHL and Rankr whole and tells where they differ, by ids and names of fields. With repair it has exactly those
// contacts brought into step and compares again, up to three times. A system that is away is waited for.
//
// Query "status" tells what it does.
func Reconcile(ctx workflow.Context, input names.ReconcileInput) (names.ReconcileResult, error) {
	status := names.ReconcileStatus{State: names.StateWorking, Doing: "comparing"}
	if err := workflow.SetQueryHandler(ctx, names.StatusQuery, func() (names.ReconcileStatus, error) { return status, nil }); err != nil {
		return names.ReconcileResult{}, err
	}
	if err := checkLocation(input.Location); err != nil {
		return names.ReconcileResult{}, err
	}
	repaired, calls := 0, [2]int{}
	for repairs := 0; ; repairs++ {
		status.Doing = "comparing"
		var result names.ReconcileResult
		if err := reconcileStep(ctx, input.Location, names.Compare, activities.CompareRound{Location: input.Location}, &result); err != nil {
			return names.ReconcileResult{}, err
		}
		calls[0] += result.GHLCalls
		calls[1] += result.RankrCalls
		result.Repaired, result.GHLCalls, result.RankrCalls = repaired, calls[0], calls[1]
		status.Drifts = len(result.Drifts)
		contacts := repairable(result.Drifts)
		if !input.Repair || len(contacts) == 0 || repairs == maxRepairs {
			status.State, status.Doing = names.StateFinished, ""
			workflow.SetCurrentDetails(ctx, driftWords(result))
			return result, nil
		}
		status.Doing = "repairing"
		err := reconcileStep(ctx, input.Location, names.Repair, activities.Repairs{Location: input.Location, Contacts: contacts}, nil)
		if err != nil {
			return names.ReconcileResult{}, err
		}
		repaired += len(contacts)
		status.Repaired = repaired
		if err := workflow.Sleep(ctx, repairPatience<<repairs); err != nil {
			return names.ReconcileResult{}, err
		}
	}
}

// reconcileStep does one activity; only what can never succeed ends the run.
func reconcileStep(ctx workflow.Context, location, name string, in, out any) error {
	for failures := 1; ; failures++ {
		err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, oneComparison(location)), name, in).Get(ctx, out)
		if err == nil || temporal.IsCanceledError(err) {
			return err
		}
		f := failed(err)
		if f.never != nil {
			return f.never
		}
		if err := workflow.Sleep(ctx, backOff(failures, f.wait)); err != nil {
			return err
		}
	}
}

// repairable are the contacts that a round can bring into step: of two records a person must choose, and an open problem waits for
// one already.
func repairable(drifts []names.Drift) (contacts []string) {
	for _, drift := range drifts {
		if drift.Kind != names.DriftDuplicate && drift.Code == "" {
			contacts = append(contacts, drift.Contact)
		}
	}
	return contacts
}

// driftWords says in Markdown how the sides compare.
func driftWords(result names.ReconcileResult) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%d contacts in GHL, %d records in Rankr.", result.Contacts, result.Records)
	if len(result.Counts) == 0 {
		w.WriteString(" **In step.**")
	}
	for _, kind := range workflow.DeterministicKeys(result.Counts) {
		fmt.Fprintf(&w, " %s %d.", kind, result.Counts[kind])
	}
	for i, drift := range result.Drifts {
		if i == 20 {
			fmt.Fprintf(&w, "\n- %d more are in the result", len(result.Drifts)-i)
			break
		}
		if i == 0 {
			w.WriteString("\n")
		}
		fmt.Fprintf(&w, "\n- %s %s %s", drift.Kind, code(drift.Contact), strings.Join(drift.Fields, ", "))
		if drift.Code != "" {
			w.WriteString(": " + explain(crm.Code(drift.Code)))
		}
	}
	return w.String()
}
