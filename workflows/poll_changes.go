package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// scheduledBy is the search attribute that the server gives to every run of a schedule.
const scheduledBy = "TemporalScheduledById"

// PollChanges is one tick: it hands over what changed in a location and no webhook told of. A schedule runs it; its
// result is what the next tick gets to know of this one. A tick that fails is not repeated: the next starts where the
// watermark stands.
func PollChanges(ctx workflow.Context, input names.LocationInput) (activities.TickAnswer, error) {
	if err := checkLocation(input.Location); err != nil {
		return activities.TickAnswer{}, err
	}
	var last activities.TickAnswer
	if workflow.HasLastCompletionResult(ctx) {
		if err := workflow.GetLastCompletionResult(ctx, &last); err != nil {
			// Not ours to read: like no result at all, which only costs a look at what is known already.
			workflow.GetLogger(ctx).Warn("the last tick's result can't be read", "location", input.Location)
			last = activities.TickAnswer{}
		}
	}
	info := workflow.GetInfo(ctx)
	status := names.PollStatus{State: names.StateWorking, Since: info.WorkflowStartTime, Last: last.Tick}
	if err := workflow.SetQueryHandler(ctx, names.StatusQuery, func() (names.PollStatus, error) { return status, nil }); err != nil {
		return activities.TickAnswer{}, err
	}
	//lint:ignore SA1019 the typed attributes leave out one whose type an older scheduler did not write down
	_, scheduled := info.SearchAttributes.GetIndexedFields()[scheduledBy]

	var answer activities.TickAnswer
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, onePoll(input.Location)), names.FindChanges,
		activities.Tick{
			Location: input.Location, Scheduled: scheduled, Last: last.Tick, LastWatermark: last.Watermark,
			LastTasks: last.TasksFrom, LastBusiness: last.BusinessesFrom,
		}).Get(ctx, &answer)
	if err != nil {
		if never := failed(err).never; never != nil {
			return activities.TickAnswer{}, never
		}
		return activities.TickAnswer{}, err
	}
	status.State = names.StateFinished
	workflow.SetCurrentDetails(ctx, tickWords(answer))
	return answer, nil
}

// tickWords says in Markdown what a tick found.
func tickWords(answer activities.TickAnswer) string {
	if answer.Parked != "" {
		return "**parked**: " + explain(answer.Parked)
	}
	words := fmt.Sprintf("Tick %d: %d contacts seen, %d handed over, %d GHL calls.",
		answer.Tick, answer.Seen, answer.Nudged, answer.Calls)
	if answer.Tasks > 0 || answer.Businesses > 0 {
		words += fmt.Sprintf(" Looked at %d open tasks and %d businesses.", answer.Tasks, answer.Businesses)
	}
	return words + unseen("tasks", "locations/tasks.readonly", answer.TasksCode) +
		unseen("businesses", "businesses.readonly", answer.BusinessesCode)
}

// unseen says that GHL does not show something beside contacts, and what helps.
func unseen(what, scope string, failed crm.Code) string {
	switch failed {
	case "":
		return ""
	case crm.GHLScope:
		what += " without the scope " + code(scope)
	}
	return fmt.Sprintf("\n\n**no %s**: %s", what, explain(failed))
}
