package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

// dynamicConfig is the very file that docker compose mounts.
//
//go:embed dynamicconfig.yaml
var dynamicConfig []byte

const (
	loopback = "127.0.0.1"
	// clusterName and clusterID are written into the files at their first start: they must never change.
	clusterName = "active"
	clusterID   = "0b9f3c52-7d3e-4a8e-9c51-2f4f0f6f9a77"
	// historyShards is written into the files too. More of them gain nothing where all write to one file.
	historyShards = 1
)

type options struct {
	dir      string // of the SQLite files; empty: in memory
	port     int    // 0: a free one
	uiPort   int    // 0: no UI, -1: a free one
	logLevel string
}

// server is a running Temporal server and, when it was asked for, its web UI.
type server struct {
	temporal temporal.Server
	address  string
	ui       *uiserver.Server
	uiURL    string
}

// start brings up frontend, history, matching and the system's own worker, then the UI. It returns when all
// four run; whether they serve is for the caller to ask.
func start(o options) (*server, error) {
	cfg, hosts, err := serverConfig(o)
	if err != nil {
		return nil, err
	}
	dynamic := dynamicconfig.LoadYamlFile(dynamicConfig)
	// A misspelt or retired key is only a warning to the loader; here it would silently cost what it was set for.
	if err := errors.Join(append(dynamic.Errors, dynamic.Warnings...)...); err != nil {
		return nil, fmt.Errorf("dynamic configuration: %w", err)
	}
	values := dynamicconfig.StaticClient{}
	for key, value := range dynamic.Map {
		values[key] = value
	}
	s := &server{address: cfg.PublicClient.HostPort}
	s.temporal, err = temporal.NewServer(
		temporal.WithConfig(cfg),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(log.NewZapLogger(log.BuildZapLogger(log.Config{Level: o.logLevel}))),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithDynamicConfigClient(values),
	)
	if err != nil {
		return nil, err
	}
	if err := s.temporal.Start(); err != nil {
		return nil, err
	}
	if o.uiPort == 0 {
		return s, nil
	}
	if err := s.startUI(max(o.uiPort, 0)); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// serverConfig returns what the server would otherwise read from its configuration file, and where each of its
// services is.
func serverConfig(o options) (*config.Config, map[primitives.ServiceName]static.Hosts, error) {
	stores, err := openStores(o.dir)
	if err != nil {
		return nil, nil, err
	}
	services := map[string]config.Service{}
	hosts := map[primitives.ServiceName]static.Hosts{}
	var frontend string
	for name, port := range map[primitives.ServiceName]int{
		primitives.FrontendService: o.port, primitives.HistoryService: 0,
		primitives.MatchingService: 0, primitives.WorkerService: 0,
	} {
		if port, err = portOr(port); err != nil {
			return nil, nil, err
		}
		address := fmt.Sprintf("%s:%d", loopback, port)
		services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: loopback}}
		hosts[name] = static.SingleLocalHost(address)
		if name == primitives.FrontendService {
			frontend = address
		}
	}
	const disabled = "disabled"
	return &config.Config{
		Services:            services,
		PublicClient:        config.PublicClient{HostPort: frontend},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: disabled},
			Visibility: config.VisibilityArchival{State: disabled},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: disabled},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: disabled},
		}},
		Persistence: config.Persistence{
			DefaultStore: mainStore, VisibilityStore: visibilityStore,
			NumHistoryShards: historyShards, DataStores: stores,
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10, MasterClusterName: clusterName, CurrentClusterName: clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{clusterName: {
				Enabled: true, InitialFailoverVersion: 1, RPCAddress: frontend, ClusterID: clusterID,
			}},
		},
	}, hosts, nil
}

// startUI serves the web UI beside the server. A port that is taken is found here: the UI itself would end the
// process with a log line.
func (s *server) startUI(port int) error {
	port, err := portOr(port)
	if err != nil {
		return fmt.Errorf("web UI: %w", err)
	}
	s.uiURL = fmt.Sprintf("http://%s:%d", loopback, port)
	s.ui = uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		Host: loopback, Port: port, TemporalGRPCAddress: s.address, EnableUI: true, DefaultNamespace: namespace,
		CORS:     uiconfig.CORS{CookieInsecure: true}, // plain HTTP on loopback: a Secure cookie would never come back
		HideLogs: true, DisableNewsFetch: true,
	}))
	go s.ui.Start() //nolint:errcheck // it returns when stop closes it
	return nil
}

// waitForUI returns when the UI answers, at once when there is none.
func (s *server) waitForUI(ctx context.Context) error {
	if s.ui == nil {
		return nil
	}
	return until(ctx, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.uiURL+"/healthz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
}

func (s *server) stop() {
	if s.ui != nil {
		s.ui.Stop()
	}
	_ = s.temporal.Stop() // it always returns nil
}

// until tries every few milliseconds, for as long as a start may take.
func until(ctx context.Context, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("never came up: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// portOr checks that port is free, or finds one when it is zero: below those that the kernel gives to outgoing
// connections, so that nobody takes it by chance before it is used.
func portOr(port int) (int, error) {
	if port != 0 {
		l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", loopback, port))
		if err != nil {
			return 0, err
		}
		return port, l.Close()
	}
	var err error
	for range 50 {
		var l net.Listener
		port = 20_000 + rand.IntN(12_000)
		if l, err = net.Listen("tcp", fmt.Sprintf("%s:%d", loopback, port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}
