// Temporal: where the server is, whether it answers, and which of our search attributes it knows.

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	taskqueue "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	temporallog "go.temporal.io/sdk/log"

	"github.com/rankrsync/rankrsync/crm"
	"github.com/rankrsync/rankrsync/workflows/names"
)

// TemporalFlags are the settings a person may give on the command line; each wins over the environment.
type TemporalFlags struct{ Address, Namespace, Profile string }

// Temporal reads Temporal's own settings: its environment variables, and its file of profiles.
func Temporal(flags TemporalFlags, log *slog.Logger) (client.Options, error) {
	options, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{ConfigFileProfile: flags.Profile})
	if err != nil {
		return client.Options{}, &SettingsError{[]string{fmt.Sprintf("Temporal's settings (TEMPORAL_… or its profile): %v", err)}}
	}
	if flags.Address != "" {
		options.HostPort = flags.Address
	}
	if flags.Namespace != "" {
		options.Namespace = flags.Namespace
	}
	if options.HostPort == "" {
		options.HostPort = client.DefaultHostPort
	}
	if options.Namespace == "" {
		options.Namespace = client.DefaultNamespace
	}
	options.Logger = temporallog.NewStructuredLogger(log.With("system", "temporal"))
	return options, nil
}

// TemporalSettings shows where the server is and who said so.
func (c Config) TemporalSettings(options client.Options, flags TemporalFlags) []Setting {
	origin := func(flag, name, value, usual string) string {
		switch {
		case flag != "":
			return fromFlag
		case c.origins[name] != "":
			return c.origins[name]
		case os.Getenv(name) != "":
			return fromEnvironment
		case value != usual:
			return fromProfile
		}
		return fromDefault
	}
	return []Setting{
		{"TEMPORAL_ADDRESS", options.HostPort, origin(flags.Address, "TEMPORAL_ADDRESS", options.HostPort, client.DefaultHostPort)},
		{"TEMPORAL_NAMESPACE", options.Namespace, origin(flags.Namespace, "TEMPORAL_NAMESPACE", options.Namespace, client.DefaultNamespace)},
	}
}

// lazily makes a client that connects when it is first used, so that a program can start before the server.
func lazily(flags TemporalFlags, metrics *Metrics, log *slog.Logger) (client.Client, client.Options, error) {
	options, err := Temporal(flags, log)
	if err != nil {
		return nil, options, err
	}
	options.MetricsHandler = metrics.Temporal()
	temporal, err := client.NewLazyClient(options)
	if err != nil {
		return nil, options, &SettingsError{[]string{fmt.Sprintf("Temporal's settings (TEMPORAL_… or its profile): %v", err)}}
	}
	return temporal, options, nil
}

// temporalCheck is Temporal's part in a program's readiness.
func temporalCheck(temporal client.Client, namespace string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := answers(ctx, temporal, namespace); err != nil {
			return &crm.Error{Code: crm.TemporalAway}
		}
		return nil
	}
}

// answers asks the server for its namespace: that needs the connection, the credentials and the namespace to be good.
func answers(ctx context.Context, temporal client.Client, namespace string) error {
	_, err := temporal.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	return err
}

// wait returns once Temporal answers, or ctx ends. A server that starts after us is the usual case in compose files.
func wait(ctx context.Context, temporal client.Client, options client.Options, log *slog.Logger) error {
	for attempt := 0; ; attempt++ {
		asking, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := answers(asking, temporal, options.Namespace)
		cancel()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if attempt%10 == 0 {
			log.Warn("Temporal does not answer; trying on", "address", options.HostPort, "namespace", options.Namespace, "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// SearchAttributes knows whether the server knows ours. Attaching one that it doesn't would fail every start.
type SearchAttributes struct{ known atomic.Bool }

// Known tells whether all of ours may be attached.
func (s *SearchAttributes) Known() bool { return s.known.Load() }

// settle is how long a server may take until all of its parts know a new attribute.
const settle = 10 * time.Second

// Discover looks once and, where register is set, adds those that are missing; a server that does not let us goes
// without. Until it returns, Known is false.
func (s *SearchAttributes) Discover(ctx context.Context, temporal client.Client, namespace string, register bool, log *slog.Logger) {
	missing, err := missingAttributes(ctx, temporal, namespace)
	if err == nil && len(missing) > 0 && register {
		_, err = temporal.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
		var raced *serviceerror.AlreadyExists
		if err == nil || errors.As(err, &raced) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(settle):
			}
			missing, err = missingAttributes(ctx, temporal, namespace)
		}
	}
	if err != nil || len(missing) > 0 {
		log.Debug("search attributes are not used: the server does not know them", "system", "temporal")
		return
	}
	s.known.Store(true)
}

// watch looks until the server knows our attributes: the worker, which registers them, may come later.
func (s *SearchAttributes) watch(ctx context.Context, temporal client.Client, namespace string, log *slog.Logger) {
	for !s.Known() {
		looking, cancel := context.WithTimeout(ctx, settle)
		s.Discover(looking, temporal, namespace, false, log)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-time.After(3 * settle):
		}
	}
}

// missingAttributes lists those of ours that the namespace lacks. A server whose operator service is closed to us, as
// Temporal Cloud's is, still tells which attributes there are.
func missingAttributes(ctx context.Context, temporal client.Client, namespace string) (map[string]enums.IndexedValueType, error) {
	var there map[string]enums.IndexedValueType
	if listed, err := temporal.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace}); err == nil {
		there = listed.GetCustomAttributes()
	} else {
		response, err := temporal.WorkflowService().GetSearchAttributes(ctx, &workflowservice.GetSearchAttributesRequest{})
		if err != nil {
			return nil, err
		}
		there = response.GetKeys()
	}
	missing := map[string]enums.IndexedValueType{}
	for _, name := range []string{names.GhlLocation.GetName(), names.GhlContact.GetName(), names.SyncState.GetName()} {
		switch kind, ok := there[name]; {
		case !ok:
			missing[name] = enums.INDEXED_VALUE_TYPE_KEYWORD
		case kind != enums.INDEXED_VALUE_TYPE_KEYWORD:
			return nil, fmt.Errorf("search attribute %s is not a keyword", name)
		}
	}
	return missing, nil
}

// paceQueues asks the server to hand out each location's activities no faster than the vendor's rate. The server keeps
// this over restarts, so no limit must be told, too. One that can't do it only loses fairness: the gate holds the limit.
func paceQueues(ctx context.Context, temporal client.Client, namespace string, rate Rate, log *slog.Logger) {
	update := &workflowservice.UpdateTaskQueueConfigRequest_RateLimitUpdate{Reason: "GHL_RATE=" + rate.String()}
	if rate.Calls > 0 {
		update.RateLimit = &taskqueue.RateLimit{RequestsPerSecond: float32(rate.PerSecond())}
	}
	for _, queue := range []string{names.Live, names.Bulk} {
		_, err := temporal.WorkflowService().UpdateTaskQueueConfig(ctx, &workflowservice.UpdateTaskQueueConfigRequest{
			Namespace:                         namespace,
			Identity:                          "rankrsync",
			TaskQueue:                         queue,
			TaskQueueType:                     enums.TASK_QUEUE_TYPE_ACTIVITY,
			UpdateFairnessKeyRateLimitDefault: update,
		})
		if err != nil {
			log.Info("the server does not pace task queues by location; the gate alone holds the limit", "system", "temporal", "queue", queue)
			return
		}
	}
}
