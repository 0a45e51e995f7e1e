package workflows

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// connectRun is ConnectLocation with fake deeds, which note that they were done.
type connectRun struct {
	*run
	did     []string
	rounds  []activities.ConnectRound
	answers map[string]activities.ConnectAnswer
	fails   map[string]int    // attempts that fail
	during  map[string]func() // what happens meanwhile
	err     error             // how they do
}

func newConnectRun(t *testing.T) *connectRun {
	r := &connectRun{
		run: newRun(t), fails: map[string]int{}, during: map[string]func(){},
		err: temporal.NewApplicationError("ghl can't be reached", string(crm.GHLUnavailable)),
		answers: map[string]activities.ConnectAnswer{
			names.ProveConnection: {Location: "L", State: crm.Connected}, names.RecordConnection: {Location: "L", State: crm.Connected},
			names.ReadFields: {Location: "L", State: crm.Connected, CustomFields: 12},
			names.Disconnect: {Location: "L", State: crm.Disconnected, Parked: crm.UnknownLocation},
		},
	}
	for _, name := range []string{names.ProveConnection, names.ReadFields, names.RecordConnection, names.ConfirmUninstall, names.Disconnect, names.StartBackfill} {
		r.deed(name, func(ctx context.Context, in activities.ConnectRound) (activities.ConnectAnswer, error) {
			return r.answers[name], r.does(ctx, in)
		})
	}
	for _, name := range []string{names.SchedulePoll, names.ResumeLocation, names.StopPoll} {
		r.deed(name, r.does)
	}
	return r
}

func (r *connectRun) does(ctx context.Context, in activities.ConnectRound) error {
	name := activity.GetInfo(ctx).ActivityType.Name
	if r.fails[name] > 0 {
		r.fails[name]--
		return r.err
	}
	r.did, r.rounds = append(r.did, name), append(r.rounds, in)
	if meanwhile := r.during[name]; meanwhile != nil {
		delete(r.during, name)
		meanwhile()
	}
	return nil
}

func (r *connectRun) execute(input names.ConnectInput) activities.ConnectAnswer {
	r.t.Helper()
	r.ExecuteWorkflow(names.ConnectLocation, input)
	require.True(r.t, r.IsWorkflowCompleted())
	require.NoError(r.t, r.GetWorkflowError())
	var answer activities.ConnectAnswer
	require.NoError(r.t, r.GetWorkflowResult(&answer))
	return answer
}

var (
	connectSteps    = []string{"ProveConnection", "ReadFields", "RecordConnection", "SchedulePoll", "ResumeLocation", "StartBackfill"}
	disconnectSteps = []string{"ConfirmUninstall", "StopPoll", "Disconnect"}
	location        = names.ConnectInput{Location: "L"}
	uninstalled     = names.ConnectInput{Location: "L", Uninstalled: start.Add(-time.Minute)}
)

func TestALocationIsProvenReadRecordedPolledAndResumed(t *testing.T) {
	r := newConnectRun(t)
	answer := r.execute(location)
	assert.Equal(t, activities.ConnectAnswer{Location: "L", State: crm.Connected, CustomFields: 12}, answer)
	assert.Equal(t, connectSteps, r.did)
	assert.Equal(t, activities.ConnectRound{Location: "L"}, r.rounds[0])
	assert.Equal(t, names.ConnectStatus{State: "finished", Connection: "connected"}, query[names.ConnectStatus](r.run))
	assert.Equal(t, "**connected**: the location is connected. nothing to do\n\nCustom fields: 12.", connectWords(answer))
}

func TestWhatIsAwayIsAskedForAsLongAsItTakes(t *testing.T) {
	for _, name := range connectSteps {
		r := newConnectRun(t)
		r.fails[name] = 9 // the environment, unlike a server, gives up after ten attempts
		r.after(time.Minute, func() {
			assert.Equal(t, names.ConnectStatus{State: "working", Doing: name}, query[names.ConnectStatus](r.run))
		})
		assert.Equal(t, crm.Connected, r.execute(location).State)
		assert.Equal(t, connectSteps, r.did)
		assert.Equal(t, (1+2+4+8+16+32+60+60+60)*time.Second, r.passed())
	}
	options := oneStep("L")
	assert.Zero(t, options.ScheduleToCloseTimeout, "there is no end to it")
	assert.Zero(t, options.RetryPolicy.MaximumAttempts)
	assert.Equal(t, "rankrsync-live", options.TaskQueue)
	assert.Equal(t, temporal.Priority{PriorityKey: 2, FairnessKey: "L"}, options.Priority)
}

func TestWhatOnlyAPersonCanMendIsTheResultAndNoFailure(t *testing.T) {
	for code, steps := range map[crm.Code][]string{
		crm.GHLToken: nil, crm.GHLReconnect: nil, crm.GHLTenant: nil, crm.GHLScope: nil,
		crm.GHLSuspended: {"SchedulePoll"}, // polls find out when the bill is settled
	} {
		for i, name := range []string{"ProveConnection", "ReadFields"} {
			r := newConnectRun(t)
			refused := activities.ConnectAnswer{Location: "L", State: crm.StateOf(code), Parked: code}
			r.answers[name] = refused
			assert.Equal(t, refused, r.execute(location))
			assert.Equal(t, append(connectSteps[:i+1:i+1], steps...), r.did, code)
			status := query[names.ConnectStatus](r.run)
			assert.Equal(t, string(crm.StateOf(code)), status.Connection)
			assert.Equal(t, string(code), status.Code)
			assert.Contains(t, connectWords(refused), crm.ConnectionStates[refused.State].Remedy)
			assert.Contains(t, connectWords(refused), "`"+string(code)+"`")
		}
	}
}

func TestALocationThatIsDisconnectedMeanwhileIsNotPolled(t *testing.T) {
	r := newConnectRun(t)
	r.answers[names.RecordConnection] = activities.ConnectAnswer{Location: "L", State: crm.Disconnected, Parked: crm.UnknownLocation}
	assert.Equal(t, crm.Disconnected, r.execute(location).State)
	assert.Equal(t, connectSteps[:3], r.did)
}

func TestAnUninstallThatIsSoEndsPollsAndForgetsTheToken(t *testing.T) {
	r := newConnectRun(t)
	r.answers[names.ConfirmUninstall] = activities.ConnectAnswer{Location: "L", State: crm.Disconnected, Parked: crm.GHLReconnect}
	assert.Equal(t, activities.ConnectAnswer{Location: "L", State: crm.Disconnected, Parked: crm.UnknownLocation}, r.execute(uninstalled))
	assert.Equal(t, disconnectSteps, r.did)
	for _, round := range r.rounds {
		assert.Equal(t, activities.ConnectRound(uninstalled), round)
	}
}

func TestWhileGHLIsAwayNothingIsSwitchedOff(t *testing.T) {
	r := newConnectRun(t)
	r.fails[names.ConfirmUninstall] = 9
	r.after(2*time.Minute, func() { assert.Empty(t, r.did) })
	r.answers[names.ConfirmUninstall] = activities.ConnectAnswer{Location: "L", State: crm.Disconnected}
	assert.Equal(t, crm.Disconnected, r.execute(uninstalled).State)
	assert.Equal(t, disconnectSteps, r.did)
}

func TestAnUninstallThatWasNotForUsLeavesALocationThatWorks(t *testing.T) {
	r := newConnectRun(t)
	r.answers[names.ConfirmUninstall] = activities.ConnectAnswer{Location: "L"}
	assert.Equal(t, crm.Connected, r.execute(uninstalled).State)
	assert.Equal(t, append([]string{"ConfirmUninstall"}, connectSteps...), r.did)
}

func TestALocationThatIsInstalledAgainDuringItsUninstallIsConnected(t *testing.T) {
	for _, during := range disconnectSteps {
		r := newConnectRun(t)
		gone := activities.ConnectAnswer{Location: "L", State: crm.Disconnected}
		r.answers[names.ConfirmUninstall] = gone
		r.during[during] = func() {
			r.answers[names.ConfirmUninstall] = activities.ConnectAnswer{Location: "L"}
			r.SignalWorkflow(names.ChangedSignal, location)
		}
		assert.Equal(t, crm.Connected, r.execute(uninstalled).State)
		assert.Equal(t, connectSteps, r.did[len(r.did)-len(connectSteps):], "what the signal asked for, whatever went before")
	}
}

func TestAnUninstallDuringAnInstallHasItsTurn(t *testing.T) {
	for _, during := range connectSteps {
		r := newConnectRun(t)
		r.answers[names.ConfirmUninstall] = activities.ConnectAnswer{Location: "L", State: crm.Disconnected}
		r.during[during] = func() { r.SignalWorkflow(names.ChangedSignal, uninstalled) }
		assert.Equal(t, crm.Disconnected, r.execute(location).State)
		assert.Equal(t, append(append([]string{}, connectSteps...), disconnectSteps...), r.did)
	}
}

func TestTheSignalThatComesWithTheStartIsTheSameRound(t *testing.T) {
	r := newConnectRun(t)
	r.after(0, func() { r.SignalWorkflow(names.ChangedSignal, location) })
	r.execute(location)
	assert.Equal(t, connectSteps, r.did)
}

func TestManyWhoAskMeanwhileShareOneMoreRound(t *testing.T) {
	r := newConnectRun(t)
	r.during[names.ProveConnection] = func() {
		for range 50 {
			r.SignalWorkflow(names.ChangedSignal, location)
		}
		r.SignalWorkflow(names.ChangedSignal, "unreadable")
	}
	r.execute(location)
	assert.Equal(t, append(append([]string{}, connectSteps...), connectSteps...), r.did)
}

func TestALocationThatIsAskedForWithoutEndMakesRoom(t *testing.T) {
	r := newConnectRun(t)
	r.during[names.ProveConnection] = func() {
		for range maxSignals + 1 {
			r.SignalWorkflow(names.ChangedSignal, uninstalled)
		}
	}
	r.ExecuteWorkflow(names.ConnectLocation, location)
	assert.Equal(t, uninstalled, continued[names.ConnectInput](r.run))
}

func TestALocationThatCanNotBeRealIsNotConnected(t *testing.T) {
	for _, id := range []string{"", "a/b", "..", strings.Repeat("L", 65)} {
		r := newConnectRun(t)
		r.ExecuteWorkflow(names.ConnectLocation, names.ConnectInput{Location: id})
		failedWith(t, r.GetWorkflowError(), crm.InvalidInput)
		assert.Empty(t, r.did)
	}
}

func TestAStepThatCanNeverSucceedFailsTheRun(t *testing.T) {
	r := newConnectRun(t)
	r.fails[names.SchedulePoll] = 1
	r.err = temporal.NewNonRetryableApplicationError("the input can't be used", string(crm.InvalidInput), nil)
	r.ExecuteWorkflow(names.ConnectLocation, location)
	failedWith(t, r.GetWorkflowError(), crm.InvalidInput)
}
