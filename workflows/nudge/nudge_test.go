package nudge

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"github.com/rankrsync/rankrsync/activities"
	"github.com/rankrsync/rankrsync/workflows/names"
)

var _ activities.Nudger = (*Nudger)(nil)

// fakeServer stands for the server: it notes the signals and takes its time over each.
type fakeServer struct {
	client.Client
	took time.Duration
	fail func(id string) error

	mu       sync.Mutex
	signals  []signal
	inFlight map[string]int
	most     int // in flight at a time
	mostOf   int // of one workflow
}

type signal struct {
	id       string
	at       time.Time
	hints    []names.Hint
	options  client.StartWorkflowOptions
	workflow any
	input    any
}

func (s *fakeServer) SignalWithStartWorkflow(ctx context.Context, id, name string, arg any,
	options client.StartWorkflowOptions, workflow any, input ...any,
) (client.WorkflowRun, error) {
	s.begin(id)
	defer s.end(id)
	select {
	case <-time.After(s.took):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.fail != nil {
		if err := s.fail(id); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signals = append(s.signals, signal{id, time.Now(), arg.(names.Changed).Hints, options, workflow, input[0]})
	return nil, nil
}

func (s *fakeServer) begin(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight == nil {
		s.inFlight = map[string]int{}
	}
	s.inFlight[id]++
	total := 0
	for _, n := range s.inFlight {
		total += n
	}
	s.most, s.mostOf = max(s.most, total), max(s.mostOf, s.inFlight[id])
}

func (s *fakeServer) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight[id]--
}

// at makes a hint of one second of a day.
func at(contact string, second int) names.Hint {
	return names.Hint{Contact: contact, At: time.Date(2026, 1, 1, 0, 0, second, 0, time.UTC)}
}

// handOver calls Contacts in the background; the error comes over the channel.
func handOver(n *Nudger, location string, hints ...names.Hint) <-chan error {
	result := make(chan error, 1)
	go func() { result <- n.Contacts(context.Background(), location, hints...) }()
	return result
}

func TestOneHintStartsTheContactsOwnWorkflow(t *testing.T) {
	temporal := &mocks.Client{}
	temporal.On("SignalWithStartWorkflow", mock.Anything, "contact/L/C", "changed",
		names.Changed{Hints: []names.Hint{at("C", 1)}}, mock.Anything, "SyncContact",
		names.ContactInput{Location: "L", Contact: "C"}).Return(nil, nil).Once()
	n := New(temporal, Options{})
	require.NoError(t, n.Contacts(t.Context(), "L", at("C", 1)))
	require.NoError(t, n.Close(t.Context()))
	temporal.AssertExpectations(t)
}

func TestTasksAndNotesGoToTheContactsOwnWorkflowForThem(t *testing.T) {
	temporal := &mocks.Client{}
	temporal.On("SignalWithStartWorkflow", mock.Anything, "tasks-notes/L/C", "changed",
		names.Changed{Hints: []names.Hint{at("C", 1)}}, mock.MatchedBy(func(o client.StartWorkflowOptions) bool {
			return o.StaticSummary == "Bring the tasks and notes of GHL contact `C` of location `L` into step in Rankr"
		}), "AlignTasksAndNotes", names.ContactInput{Location: "L", Contact: "C"}).Return(nil, nil).Once()
	n := New(temporal, Options{})
	require.NoError(t, n.TasksAndNotes(t.Context(), "L", at("C", 1)))
	require.NoError(t, n.Close(t.Context()))
	temporal.AssertExpectations(t)
}

func TestABurstOfTasksAndNotesIsOneMoreSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{took: 10 * time.Millisecond}
		n := New(server, Options{})
		var all sync.WaitGroup
		for second := range 20 {
			all.Go(func() { assert.NoError(t, n.TasksAndNotes(t.Context(), "L", at("C", second))) })
			all.Go(func() { assert.NoError(t, n.Contact(t.Context(), "L", at("C", second))) })
		}
		all.Wait()
		require.NoError(t, n.Close(t.Context()))
		counted := map[string]int{}
		for _, s := range server.signals {
			counted[s.id]++
		}
		assert.LessOrEqual(t, counted["tasks-notes/L/C"], 2)
		assert.LessOrEqual(t, counted["contact/L/C"], 2)
		assert.Len(t, counted, 2, "they don't mix")
	})
}

func TestSegmentsAndBusinessesGoToWorkflowsOfTheirOwn(t *testing.T) {
	server := &fakeServer{}
	n := New(server, Options{SearchAttributes: func() bool { return true }})
	require.NoError(t, n.Segments(t.Context(), "L", at("C", 1)))
	require.NoError(t, n.Business(t.Context(), "L", at("B", 1)))
	require.NoError(t, n.Close(t.Context()))
	require.Len(t, server.signals, 2)

	segments := server.signals[0]
	assert.Equal(t, "segments/L/C", segments.id)
	assert.Equal(t, "SegmentContact", segments.workflow)
	assert.Equal(t, names.ContactInput{Location: "L", Contact: "C"}, segments.input)
	assert.Equal(t, []names.Hint{at("C", 1)}, segments.hints)
	assert.Equal(t, "Bring the segments and the business of GHL contact `C` of location `L` into step in Rankr", segments.options.StaticSummary)
	contact, _ := segments.options.TypedSearchAttributes.GetKeyword(names.GhlContact)
	assert.Equal(t, "C", contact)

	business := server.signals[1]
	assert.Equal(t, "business/L/B", business.id)
	assert.Equal(t, "SyncBusiness", business.workflow)
	assert.Equal(t, names.BusinessInput{Location: "L", Business: "B"}, business.input)
	assert.Equal(t, []names.Hint{at("", 1)}, business.hints, "it is no contact's")
	assert.Equal(t, "Bring GHL business `B` of location `L` into step in Rankr", business.options.StaticSummary)
	location, _ := business.options.TypedSearchAttributes.GetKeyword(names.GhlLocation)
	assert.Equal(t, "L", location)
	assert.Equal(t, 1, business.options.TypedSearchAttributes.Size(), "who looks for the contact B must not find it")
}

func TestFiftyContactsOfABusinessAreOneMoreSignalAndAPersonsWishIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{took: 10 * time.Millisecond}
		n := New(server, Options{})
		heard := names.Hint{Contact: "B", Received: at("", 1).At}
		first := make(chan error, 1)
		go func() { first <- n.Business(t.Context(), "L", heard) }()
		synctest.Wait()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { assert.NoError(t, n.Business(t.Context(), "L", heard)) })
		}
		synctest.Wait()
		all.Go(func() { assert.NoError(t, n.Business(t.Context(), "L", names.Hint{Contact: "B"})) })
		all.Wait()
		require.NoError(t, <-first)
		require.NoError(t, n.Close(t.Context()))
		require.Len(t, server.signals, 2)
		assert.Equal(t, []names.Hint{{Received: heard.Received}}, server.signals[0].hints)
		assert.Equal(t, []names.Hint{{}}, server.signals[1].hints, "it is read, however little the others ask for")
	})
}

// dueServer keeps runs that start later, as the server does.
type dueServer struct {
	client.Client
	t     *testing.T
	err   error
	runs  map[string]client.StartWorkflowOptions // that wait, by workflow ID
	input map[string]any
	ended []string
}

func (s *dueServer) ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, input ...any) (client.WorkflowRun, error) {
	_, bounded := ctx.Deadline()
	assert.True(s.t, bounded)
	if s.err != nil {
		return nil, s.err
	}
	assert.Equal(s.t, "AwaitDueDate", workflow)
	if _, waits := s.runs[options.ID]; waits {
		require.Equal(s.t, enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING, options.WorkflowIDConflictPolicy)
		s.ended = append(s.ended, options.ID)
	}
	s.runs[options.ID], s.input[options.ID] = options, input[0]
	return nil, nil
}

func (s *dueServer) TerminateWorkflow(_ context.Context, id, run, reason string, _ ...any) error {
	assert.Empty(s.t, run, "whichever runs")
	assert.NotEmpty(s.t, reason)
	if s.err != nil {
		return s.err
	}
	if _, waits := s.runs[id]; !waits {
		return serviceerror.NewNotFound("workflow execution already completed")
	}
	delete(s.runs, id)
	s.ended = append(s.ended, id)
	return nil
}

func newDueServer(t *testing.T) *dueServer {
	return &dueServer{t: t, runs: map[string]client.StartWorkflowOptions{}, input: map[string]any{}}
}

func TestADueDateIsARunThatTheServerHoldsBackAndALaterOneReplacesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newDueServer(t)
		n := New(server, Options{SearchAttributes: func() bool { return true }})
		require.NoError(t, n.DueDate(t.Context(), "L", "C", "T", time.Now().Add(time.Hour)))
		require.Len(t, server.runs, 1)
		run := server.runs["due/L/C/T"]
		assert.Equal(t, time.Hour, run.StartDelay)
		assert.Equal(t, names.DueDateInput{Location: "L", Contact: "C", Task: "T"}, server.input["due/L/C/T"])
		assert.Equal(t, "rankrsync", run.TaskQueue)
		assert.Equal(t, "L", run.Priority.FairnessKey)
		assert.Equal(t, 2, run.TypedSearchAttributes.Size())
		assert.Equal(t, "Look at a task of GHL contact `C` of location `L` once it is due", run.StaticSummary)
		assert.Empty(t, server.ended)

		require.NoError(t, n.DueDate(t.Context(), "L", "C", "T", time.Now().Add(3*time.Hour)))
		assert.Equal(t, []string{"due/L/C/T"}, server.ended)
		assert.Equal(t, 3*time.Hour, server.runs["due/L/C/T"].StartDelay)

		require.NoError(t, n.DueDate(t.Context(), "L", "C", "U", time.Now().Add(-time.Hour)))
		assert.Zero(t, server.runs["due/L/C/U"].StartDelay, "overdue already: at once")
		assert.Len(t, server.runs, 2, "each task has its own")
	})
}

func TestADueDateIsTakenBackOnceAndNoneIsFine(t *testing.T) {
	server := newDueServer(t)
	n := New(server, Options{})
	require.NoError(t, n.DueDate(t.Context(), "L", "C", "T", time.Now().Add(time.Hour)))
	require.NoError(t, n.NoDueDate(t.Context(), "L", "C", "T"))
	assert.Equal(t, []string{"due/L/C/T"}, server.ended)
	assert.Empty(t, server.runs)
	require.NoError(t, n.NoDueDate(t.Context(), "L", "C", "T"))
	require.NoError(t, n.NoDueDate(t.Context(), "L", "C", "never"))
}

func TestADueDateThatTemporalDoesNotTakeIsAnError(t *testing.T) {
	server := newDueServer(t)
	server.err = errors.New("away")
	n := New(server, Options{})
	assert.ErrorIs(t, n.DueDate(t.Context(), "L", "C", "T", time.Now()), server.err)
	assert.ErrorIs(t, n.NoDueDate(t.Context(), "L", "C", "T"), server.err)

	require.NoError(t, n.Close(t.Context()))
	assert.ErrorIs(t, n.DueDate(t.Context(), "L", "C", "T", time.Now()), ErrClosed)
	assert.ErrorIs(t, n.NoDueDate(t.Context(), "L", "C", "T"), ErrClosed)
}

// pollServer is a server that knows one schedule.
type pollServer struct {
	client.Client
	schedule *schedule
}

func (p pollServer) ScheduleClient() client.ScheduleClient { return schedules{schedule: p.schedule} }

type schedules struct {
	client.ScheduleClient
	schedule *schedule
}

func (s schedules) GetHandle(_ context.Context, id string) client.ScheduleHandle {
	assert.Equal(s.schedule.t, "poll/L", id)
	return s.schedule
}

type schedule struct {
	client.ScheduleHandle
	t         *testing.T
	err       error
	triggered int
}

func (s *schedule) Trigger(_ context.Context, options client.ScheduleTriggerOptions) error {
	assert.Equal(s.t, enums.SCHEDULE_OVERLAP_POLICY_BUFFER_ONE, options.Overlap, "the one that runs may have looked already")
	s.triggered++
	return s.err
}

func TestAPollIsOneMoreRunOfTheLocationsSchedule(t *testing.T) {
	schedule := &schedule{t: t}
	server := pollServer{schedule: schedule}
	require.NoError(t, New(server, Options{}).Poll(t.Context(), "L"))
	assert.Equal(t, 1, schedule.triggered)

	schedule.err = serviceerror.NewNotFound("no such schedule")
	assert.ErrorIs(t, New(server, Options{}).Poll(t.Context(), "L"), ErrNoPoll)
	schedule.err = errors.New("away")
	err := New(server, Options{}).Poll(t.Context(), "L")
	assert.ErrorContains(t, err, "away")
	assert.NotErrorIs(t, err, ErrNoPoll)
}

func TestManyWhoAskForAPollShareIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		schedule := &schedule{t: t}
		n := New(pollServer{schedule: schedule}, Options{})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { assert.NoError(t, n.Poll(t.Context(), "L")) })
		}
		all.Wait()
		require.NoError(t, n.Close(t.Context()))
		assert.LessOrEqual(t, schedule.triggered, 2)
	})
}

func TestSeveralHintsGoToTheLocationInOneSignal(t *testing.T) {
	temporal := &mocks.Client{}
	temporal.On("SignalWithStartWorkflow", mock.Anything, "contacts/L", "changed",
		names.Changed{Hints: []names.Hint{at("C", 2), at("D", 1)}}, mock.Anything, "SyncContacts",
		names.LocationInput{Location: "L"}).Return(nil, nil).Once()
	n := New(temporal, Options{})
	require.NoError(t, n.Contacts(t.Context(), "L", at("C", 1), at("D", 1), at("C", 2)))
	require.NoError(t, n.Close(t.Context()))
	temporal.AssertExpectations(t)
}

func TestSeveralHintsOfOneContactAreOne(t *testing.T) {
	server := &fakeServer{}
	n := New(server, Options{})
	require.NoError(t, n.Contacts(t.Context(), "L", at("C", 1), at("C", 3), at("C", 2)))
	require.Len(t, server.signals, 1)
	assert.Equal(t, "contact/L/C", server.signals[0].id)
	assert.Equal(t, []names.Hint{at("C", 3)}, server.signals[0].hints)
}

func TestNoHintsAreNoHandOver(t *testing.T) {
	assert.NoError(t, New(&fakeServer{}, Options{}).Contacts(t.Context(), "L"))
}

func TestWhatArrivesMeanwhileIsTheNextHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{took: 10 * time.Millisecond}
		n := New(server, Options{})
		begin := time.Now()
		first := handOver(n, "L", at("A", 1))
		time.Sleep(time.Millisecond)
		second, third := handOver(n, "L", at("B", 1)), handOver(n, "L", at("C", 1), at("B", 2))
		require.NoError(t, errors.Join(<-first, <-second, <-third))

		require.Len(t, server.signals, 2)
		assert.Equal(t, "contact/L/A", server.signals[0].id)
		assert.Equal(t, 10*time.Millisecond, server.signals[0].at.Sub(begin), "the first goes at once")
		assert.Equal(t, "contacts/L", server.signals[1].id)
		assert.ElementsMatch(t, []names.Hint{at("B", 2), at("C", 1)}, server.signals[1].hints)
		assert.Equal(t, 70*time.Millisecond, server.signals[1].at.Sub(begin), "the next lingers for 50 ms")
		require.NoError(t, n.Close(t.Context()))
	})
}

func TestABusyLocationStaysFarFromTheServersLimitOfSignals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{took: time.Millisecond}
		n := New(server, Options{})
		for range 200 { // one caller who waits for each: nothing to gather
			require.NoError(t, n.Contacts(t.Context(), "L", at("C", 1)))
		}
		lasted := server.signals[199].at.Sub(server.signals[0].at)
		assert.GreaterOrEqual(t, lasted, 199*50*time.Millisecond, "not more than 20 a second")
		require.NoError(t, n.Close(t.Context()))
	})
}

func TestABatchThatIsFullDoesNotLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{took: time.Millisecond}
		n := New(server, Options{Linger: time.Hour})
		var hints []names.Hint
		for i := range 3*names.MaxHints + 1 {
			hints = append(hints, at(fmt.Sprint(i), 1))
		}
		begin := time.Now()
		most := handOver(n, "L", hints[:3*names.MaxHints]...)
		require.NoError(t, <-most)
		assert.Equal(t, 3*time.Millisecond, time.Since(begin))
		require.Len(t, server.signals, 3)
		for _, signal := range server.signals {
			assert.Len(t, signal.hints, names.MaxHints)
		}
		rest := handOver(n, "L", hints[3*names.MaxHints])
		require.NoError(t, <-rest)
		assert.GreaterOrEqual(t, time.Since(begin), time.Hour)
		require.NoError(t, n.Close(t.Context()))
	})
}

func TestContactAlwaysGoesToTheContact(t *testing.T) {
	server := &fakeServer{}
	n := New(server, Options{})
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() { assert.NoError(t, n.Contact(context.Background(), "L", at(fmt.Sprint("C", i%10), i))) })
	}
	group.Wait()
	require.NoError(t, n.Close(t.Context()))
	for _, signal := range server.signals {
		assert.Equal(t, "contact/L/"+signal.hints[0].Contact, signal.id)
		assert.Len(t, signal.hints, 1)
	}
}

func TestEachCallerOfABatchGetsItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		server := &fakeServer{took: time.Millisecond, fail: func(id string) error {
			if id == "contacts/L" {
				return away
			}
			return nil
		}}
		n := New(server, Options{})
		first := handOver(n, "L", at("A", 1))
		synctest.Wait()
		second, third := handOver(n, "L", at("B", 1)), handOver(n, "L", at("C", 1))
		assert.NoError(t, <-first)
		assert.ErrorIs(t, <-second, away)
		assert.ErrorIs(t, <-third, away)
		require.NoError(t, n.Close(t.Context()))
		assert.Zero(t, n.hints)
		assert.Zero(t, n.bytes)
	})
}

func TestAServerThatDoesNotAnswerIsGivenUpOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(&fakeServer{took: time.Hour}, Options{})
		begin := time.Now()
		assert.ErrorIs(t, n.Contacts(t.Context(), "L", at("C", 1)), context.DeadlineExceeded)
		assert.Equal(t, 10*time.Second, time.Since(begin))
		require.NoError(t, n.Close(t.Context()))
	})
}

func TestACallerMayLeaveEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{took: time.Second}
		n := New(server, Options{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, n.Contacts(ctx, "L", at("C", 1)), context.DeadlineExceeded)
		assert.ErrorIs(t, n.Contacts(ctx, "L", at("D", 1)), context.DeadlineExceeded, "nothing is handed over for one who left")
		require.NoError(t, n.Close(t.Context()))
		require.Len(t, server.signals, 1)
		assert.Equal(t, "contact/L/C", server.signals[0].id)
	})
}

func TestWhatIsInHandIsBoundedByCountAndBytes(t *testing.T) {
	for name, options := range map[string]Options{"count": {MaxHints: 2}, "bytes": {MaxBytes: 2 * weight(at("A", 1))}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := New(&fakeServer{took: time.Second}, options)
				first, second := handOver(n, "L", at("A", 1)), handOver(n, "M", at("B", 1))
				synctest.Wait()
				assert.ErrorIs(t, n.Contacts(t.Context(), "N", at("C", 1)), ErrFull)
				require.NoError(t, errors.Join(<-first, <-second))
				assert.NoError(t, n.Contacts(t.Context(), "N", at("C", 1)), "room again")
				require.NoError(t, n.Close(t.Context()))
			})
		})
	}
}

func TestSearchAttributesAreAttachedOnceTheServerKnowsThem(t *testing.T) {
	server, known := &fakeServer{}, atomic.Bool{}
	n := New(server, Options{SearchAttributes: known.Load})
	require.NoError(t, n.Contacts(t.Context(), "L", at("C", 1)))
	known.Store(true)
	require.NoError(t, n.Contacts(t.Context(), "L", at("C", 1)))
	require.NoError(t, n.Contacts(t.Context(), "L", at("C", 1), at("D", 1)))

	attributes := server.signals[0].options.TypedSearchAttributes
	assert.Zero(t, attributes.Size())
	attributes = server.signals[1].options.TypedSearchAttributes
	contact, _ := attributes.GetKeyword(names.GhlContact)
	assert.Equal(t, "C", contact)
	attributes = server.signals[2].options.TypedSearchAttributes
	location, _ := attributes.GetKeyword(names.GhlLocation)
	assert.Equal(t, "L", location)
	assert.Equal(t, 1, attributes.Size())
}

func TestARunStartsWithWhatPeopleAndTheServerNeed(t *testing.T) {
	options := Options{}.Start(names.SyncContact, "L", "C_1")
	assert.Equal(t, "rankrsync", options.TaskQueue)
	assert.Equal(t, enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, options.WorkflowIDConflictPolicy)
	assert.Equal(t, 1, options.Priority.PriorityKey)
	assert.Equal(t, "L", options.Priority.FairnessKey)
	assert.Equal(t, "Bring GHL contact `C_1` of location `L` into step in Rankr", options.StaticSummary)
}

func TestCloseDrainsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &fakeServer{took: time.Second}
		n := New(server, Options{Linger: time.Hour})
		first := handOver(n, "L", at("A", 1))
		synctest.Wait()
		second := handOver(n, "L", at("B", 1))
		synctest.Wait()

		impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		assert.ErrorIs(t, n.Close(impatient), context.DeadlineExceeded)
		assert.ErrorIs(t, n.Contacts(t.Context(), "L", at("C", 1)), ErrClosed)
		require.NoError(t, n.Close(t.Context()))
		require.NoError(t, errors.Join(<-first, <-second))
		assert.Len(t, server.signals, 2)
	})
}

func TestAnIdleLocationKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(&fakeServer{}, Options{})
		for i := range 100 {
			require.NoError(t, n.Contacts(t.Context(), fmt.Sprint("L", i), at("C", 1)))
		}
		time.Sleep(time.Second) // the bubble's clock
		synctest.Wait()
		assert.Empty(t, n.lanes)
	})
}

func TestNothingIsLostAndNeverMoreThanFourAreInFlightOneOfALocation(t *testing.T) {
	server := &fakeServer{took: 100 * time.Microsecond}
	n := New(server, Options{Linger: time.Millisecond})
	var group sync.WaitGroup
	for caller := range 50 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(caller)))
			for second := range 100 {
				location, hint := fmt.Sprint("L", random.IntN(8)), at(fmt.Sprint("C", random.IntN(40)), second)
				assert.NoError(t, n.Contacts(context.Background(), location, hint))
			}
		})
	}
	group.Wait()
	require.NoError(t, n.Close(t.Context()))

	newest := map[string]time.Time{}
	for _, signal := range server.signals {
		for _, hint := range signal.hints {
			key := signal.options.Priority.FairnessKey + hint.Contact
			if hint.At.After(newest[key]) {
				newest[key] = hint.At
			}
		}
	}
	for caller := range 50 {
		random := rand.New(rand.NewPCG(1, uint64(caller)))
		for second := range 100 {
			location, hint := fmt.Sprint("L", random.IntN(8)), at(fmt.Sprint("C", random.IntN(40)), second)
			assert.False(t, newest[location+hint.Contact].Before(hint.At), "%s %v", location, hint)
		}
	}
	assert.LessOrEqual(t, server.most, 4)
	assert.Equal(t, 1, server.mostOf)
	assert.Zero(t, n.hints)
	assert.Zero(t, n.bytes)
	t.Logf("%d hints in %d signals", 50*100, len(server.signals))
}

// BenchmarkHandOver tells how many hints a second pass, with 1,000 callers who wait for each and a server that takes
// 10 ms for a signal.
func BenchmarkHandOver(b *testing.B) {
	for _, locations := range []int{1, 20} {
		b.Run(fmt.Sprintf("locations=%d", locations), func(b *testing.B) {
			n := New(&fakeServer{took: 10 * time.Millisecond}, Options{})
			var next atomic.Int64
			var group sync.WaitGroup
			for range 1000 {
				group.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						if err := n.Contacts(context.Background(), fmt.Sprint("L", i%int64(locations)), at(fmt.Sprint(i), 1)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hints/s")
			if err := n.Close(context.Background()); err != nil {
				b.Error(err)
			}
		})
	}
}

func TestWorkflowsStartWithThePriorityThatWasAskedFor(t *testing.T) {
	for asked, want := range map[int]int{0: names.PriorityLive, names.PriorityOperations: names.PriorityOperations} {
		server := &fakeServer{}
		n := New(server, Options{Priority: asked})
		require.NoError(t, n.Contacts(t.Context(), "L", at("A", 1), at("B", 1)))
		require.NoError(t, n.Contact(t.Context(), "L", at("A", 1)))
		require.NoError(t, n.Close(t.Context()))
		require.Len(t, server.signals, 2)
		for _, signal := range server.signals {
			assert.Equal(t, want, signal.options.Priority.PriorityKey)
			assert.Equal(t, "L", signal.options.Priority.FairnessKey)
		}
	}
}
