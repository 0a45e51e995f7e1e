package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	namespace = "default"
	// retention is how long finished runs can be looked at. It also bounds the files: a single change leaves
	// about 22 KB.
	retention = 7 * 24 * time.Hour
)

// searchAttributes are those of package workflows/names, which this module can't import: Go would then pick one
// version of each dependency for both, and the server would no longer run with those its release was tested with.
// The end-to-end tests hold the two lists together.
var searchAttributes = []string{"GhlLocation", "GhlContact", "SyncState"}

// prepareNamespace returns when the server serves the namespace, and brings one that an earlier release left in
// the files up to date.
func prepareNamespace(ctx context.Context, address string) error {
	c, err := client.NewLazyClient(client.Options{HostPort: address, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := until(ctx, func(ctx context.Context) error { return serves(ctx, c) }); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if err := keepRuns(ctx, c.WorkflowService()); err != nil {
		return fmt.Errorf("namespace retention: %w", err)
	}
	if err := addSearchAttributes(ctx, c.OperatorService()); err != nil {
		return fmt.Errorf("search attributes: %w", err)
	}
	return nil
}

// serves asks for a list: it takes the frontend, the namespace and the visibility store to answer it.
func serves(ctx context.Context, c client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: namespace, PageSize: 1})
	return err
}

func keepRuns(ctx context.Context, service workflowservice.WorkflowServiceClient) error {
	found, err := service.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	if err != nil || found.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration() == retention {
		return err
	}
	_, err = service.UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
		Namespace: namespace,
		Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(retention)},
	})
	return err
}

func addSearchAttributes(ctx context.Context, service operatorservice.OperatorServiceClient) error {
	found, err := service.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: namespace})
	if err != nil {
		return err
	}
	missing := map[string]enumspb.IndexedValueType{}
	for _, name := range searchAttributes {
		if _, ok := found.GetCustomAttributes()[name]; !ok {
			missing[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err = service.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: namespace, SearchAttributes: missing})
	return err
}
