package app

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/grpc"
)

type kinds = map[string]enums.IndexedValueType

const keyword = enums.INDEXED_VALUE_TYPE_KEYWORD

// all are the attributes that we use.
var all = kinds{"GhlLocation": keyword, "GhlContact": keyword, "SyncState": keyword}

// attributeServer is a Temporal server that knows search attributes only.
type attributeServer struct {
	client.Client
	operatorservice.OperatorServiceClient

	closed  error         // what the operator service says to everything
	silent  error         // what the list that is open to all says
	refused error         // what it says to a registration
	settles time.Duration // from a registration until it shows

	mu    sync.Mutex
	known kinds
	added []kinds
	looks int
}

func (s *attributeServer) OperatorService() operatorservice.OperatorServiceClient { return s }
func (s *attributeServer) WorkflowService() workflowservice.WorkflowServiceClient {
	return openList{attributeServer: s}
}

// openList is the server's service that is open to all.
type openList struct {
	workflowservice.WorkflowServiceClient
	*attributeServer
}

func (s *attributeServer) ListSearchAttributes(_ context.Context, r *operatorservice.ListSearchAttributesRequest, _ ...grpc.CallOption) (*operatorservice.ListSearchAttributesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	if s.closed != nil {
		return nil, s.closed
	}
	if r.GetNamespace() != "crm" {
		return nil, serviceerror.NewNamespaceNotFound(r.GetNamespace())
	}
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: maps.Clone(s.known)}, nil
}

func (s openList) GetSearchAttributes(context.Context, *workflowservice.GetSearchAttributesRequest, ...grpc.CallOption) (*workflowservice.GetSearchAttributesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &workflowservice.GetSearchAttributesResponse{Keys: maps.Clone(s.known)}, s.silent
}

func (s *attributeServer) AddSearchAttributes(_ context.Context, r *operatorservice.AddSearchAttributesRequest, _ ...grpc.CallOption) (*operatorservice.AddSearchAttributesResponse, error) {
	if err := errors.Join(s.closed, s.refused); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added = append(s.added, r.GetSearchAttributes())
	time.AfterFunc(s.settles, func() { s.register(r.GetSearchAttributes()) })
	return &operatorservice.AddSearchAttributesResponse{}, nil
}

func (s *attributeServer) register(attributes kinds) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = maps.Clone(s.known)
	if s.known == nil {
		s.known = kinds{}
	}
	maps.Copy(s.known, attributes)
}

func TestSearchAttributesAreUsedOnlyWhereTheServerKnowsAllOfThem(t *testing.T) {
	denied := serviceerror.NewPermissionDenied("the operator service is closed", "")
	for name, test := range map[string]struct {
		server   *attributeServer
		register bool
		known    bool
		added    []kinds
		took     time.Duration
	}{
		"known":                {server: &attributeServer{known: all}, register: true, known: true},
		"none, only looked":    {server: &attributeServer{}},
		"none":                 {server: &attributeServer{settles: 9 * time.Second}, register: true, known: true, added: []kinds{all}, took: settle},
		"one is missing":       {server: &attributeServer{known: kinds{"GhlLocation": keyword, "GhlContact": keyword, "Theirs": 3}}, register: true, known: true, added: []kinds{{"SyncState": keyword}}, took: settle},
		"the server is slow":   {server: &attributeServer{settles: time.Minute}, register: true, added: []kinds{all}, took: settle},
		"another type":         {server: &attributeServer{known: kinds{"GhlLocation": enums.INDEXED_VALUE_TYPE_TEXT}}, register: true},
		"closed, known":        {server: &attributeServer{closed: denied, known: all}, register: true, known: true},
		"closed, missing":      {server: &attributeServer{closed: denied}, register: true},
		"closed, another type": {server: &attributeServer{closed: denied, known: kinds{"SyncState": enums.INDEXED_VALUE_TYPE_INT}}, register: true},
		"may look, not add":    {server: &attributeServer{refused: denied}, register: true},
		"no more room":         {server: &attributeServer{refused: serviceerror.NewInvalidArgument("10 keywords at most")}, register: true},
		"away":                 {server: &attributeServer{closed: denied, silent: serviceerror.NewUnavailable("away")}, register: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				attributes, begin := &SearchAttributes{}, time.Now()
				attributes.Discover(t.Context(), test.server, "crm", test.register, slog.New(slog.DiscardHandler))
				assert.Equal(t, test.known, attributes.Known())
				assert.Equal(t, test.added, test.server.added)
				assert.Equal(t, test.took, time.Since(begin))
			})
		})
	}
}

func TestAnotherWorkerMayRegisterTheSearchAttributesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &attributeServer{refused: serviceerror.NewAlreadyExists("GhlLocation")}
		time.AfterFunc(time.Second, func() { server.register(all) })
		attributes := &SearchAttributes{}
		attributes.Discover(t.Context(), server, "crm", true, slog.New(slog.DiscardHandler))
		assert.True(t, attributes.Known())
	})
}

func TestAWorkerThatIsStoppedDoesNotWaitForTheServerToSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		attributes, begin := &SearchAttributes{}, time.Now()
		attributes.Discover(ctx, &attributeServer{}, "crm", true, slog.New(slog.DiscardHandler))
		assert.False(t, attributes.Known())
		assert.Equal(t, time.Second, time.Since(begin))
		time.Sleep(time.Second) // the registration's effect ends with the test
	})
}

func TestSearchAttributesThatAppearLaterAreUsedFromThenOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &attributeServer{}
		attributes := &SearchAttributes{}
		var group sync.WaitGroup
		group.Go(func() {
			attributes.watch(t.Context(), server, "crm", slog.New(slog.DiscardHandler))
		})
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		assert.False(t, attributes.Known())
		assert.Equal(t, 120, server.looks, "every half minute")
		assert.Empty(t, server.added, "who only watches registers nothing")

		server.register(all)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.True(t, attributes.Known())
		group.Wait()
		assert.Equal(t, 121, server.looks, "and then no more")
	})
}

func TestWatchingEndsWithTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		attributes := &SearchAttributes{}
		var group sync.WaitGroup
		group.Go(func() { attributes.watch(ctx, &attributeServer{}, "crm", slog.New(slog.DiscardHandler)) })
		synctest.Wait()
		cancel()
		begin := time.Now()
		group.Wait()
		require.Zero(t, time.Since(begin))
	})
}
