package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// ConnectLocation brings a location that somebody connected to life: its token is proven, its custom fields are read, the
// connection is recorded, the location is polled, what was parked goes on, and the contacts that are there already are loaded
// where the settings say so. Told that the app was uninstalled, it first looks whether that is so, and then ends the polls and
// forgets the token; links are kept.
//
// What only a person can mend is its result, and the connection's state; a system that is away is asked for as long as it
// takes. It may be started as often as one likes. Who starts it while it runs sends the signal as well: another round follows,
// since the one under way may have looked before the app was installed again.
func ConnectLocation(ctx workflow.Context, input names.ConnectInput) (activities.ConnectAnswer, error) {
	c := connecting{
		signals: workflow.GetSignalChannel(ctx, names.ChangedSignal),
		round:   activities.ConnectRound{Location: input.Location, Uninstalled: input.Uninstalled},
		status:  names.ConnectStatus{State: names.StateWorking},
	}
	if err := workflow.SetQueryHandler(ctx, names.StatusQuery, func() (names.ConnectStatus, error) { return c.status, nil }); err != nil {
		return activities.ConnectAnswer{}, err
	}
	if err := checkLocation(input.Location); err != nil {
		return activities.ConnectAnswer{}, err
	}
	for {
		c.drain() // the signal that came with the start, too
		answer, err := c.once(ctx)
		if err != nil {
			return activities.ConnectAnswer{}, err
		}
		c.status = names.ConnectStatus{State: names.StateFinished, Connection: string(answer.State), Code: string(answer.Parked)}
		workflow.SetCurrentDetails(ctx, connectWords(answer))
		switch {
		case c.signals.Len() == 0: // should one come meanwhile, the server refuses the completion
			return answer, nil
		case crowded(ctx, c.heard+c.signals.Len()):
			c.drain()
			return answer, workflow.NewContinueAsNewError(ctx, names.ConnectLocation, names.ConnectInput(c.round))
		}
	}
}

// connecting is one run.
type connecting struct {
	signals workflow.ReceiveChannel
	heard   int // signals received
	round   activities.ConnectRound
	status  names.ConnectStatus
}

// drain reads every signal that came. Of several uninstalls the newest counts; that the app was installed after it, the
// connection tells.
func (c *connecting) drain() {
	for told := range unread[names.ConnectInput](c.signals) {
		c.heard++
		if told.Uninstalled.After(c.round.Uninstalled) {
			c.round.Uninstalled = told.Uninstalled
		}
	}
}

// once does one round. An uninstall that was not meant for this location makes it a plain one, which finds all in order.
func (c *connecting) once(ctx workflow.Context) (activities.ConnectAnswer, error) {
	c.status.State = names.StateWorking
	if !c.round.Uninstalled.IsZero() {
		answer, err := c.uninstall(ctx)
		if err != nil || answer.State == crm.Disconnected {
			return answer, err
		}
	}
	return c.connect(ctx)
}

func (c *connecting) uninstall(ctx workflow.Context) (activities.ConnectAnswer, error) {
	answer, err := c.step(ctx, names.ConfirmUninstall)
	if err != nil || answer.State != crm.Disconnected {
		return answer, err
	}
	if _, err := c.step(ctx, names.StopPoll); err != nil {
		return answer, err
	}
	return c.step(ctx, names.Disconnect)
}

func (c *connecting) connect(ctx workflow.Context) (activities.ConnectAnswer, error) {
	fields := 0
	for _, name := range []string{names.ProveConnection, names.ReadFields, names.RecordConnection} {
		answer, err := c.step(ctx, name)
		if err != nil {
			return answer, err
		}
		if answer.Parked != "" {
			return answer, c.watch(ctx, answer)
		}
		fields = max(fields, answer.CustomFields)
	}
	for _, name := range []string{names.SchedulePoll, names.ResumeLocation} {
		if _, err := c.step(ctx, name); err != nil {
			return activities.ConnectAnswer{}, err
		}
	}
	answer := activities.ConnectAnswer{Location: c.round.Location, State: crm.Connected, CustomFields: fields}
	if workflow.GetVersion(ctx, backfillVersion, workflow.DefaultVersion, 1) == 1 {
		started, err := c.step(ctx, names.StartBackfill)
		if err != nil {
			return activities.ConnectAnswer{}, err
		}
		answer.Backfill = started.Backfill
	}
	return answer, nil
}

// watch has a paused location polled, which finds out when its bill is settled. All other states end with an install, which
// comes here again.
func (c *connecting) watch(ctx workflow.Context, answer activities.ConnectAnswer) error {
	if answer.State != crm.Suspended {
		return nil
	}
	_, err := c.step(ctx, names.SchedulePoll)
	return err
}

// step does one activity.
func (c *connecting) step(ctx workflow.Context, name string) (activities.ConnectAnswer, error) {
	c.status.Doing = name
	var answer activities.ConnectAnswer
	err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, oneStep(c.round.Location)), name, c.round).Get(ctx, &answer)
	if err != nil && !temporal.IsCanceledError(err) {
		if never := failed(err).never; never != nil {
			return answer, never
		}
	}
	return answer, err
}

// connectWords says in Markdown how the location stands.
func connectWords(answer activities.ConnectAnswer) string {
	words := fmt.Sprintf("**%s**", answer.State)
	if entry, known := crm.ConnectionStates[answer.State]; known {
		words += ": " + entry.Sentence + ". " + entry.Remedy
	}
	switch {
	case answer.State == crm.Connected && answer.Parked == "":
		words += fmt.Sprintf("\n\nCustom fields: %d.", answer.CustomFields)
		if answer.Backfill == "offered" {
			words += " What changes from now on is synced; " + code("starter backfill --location "+answer.Location) + " loads the contacts that are there already."
		}
	case answer.Parked != "":
		words += "\n\n" + explain(answer.Parked)
	}
	return words
}
