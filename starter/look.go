package main

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	temporalsdk "go.temporal.io/sdk/temporal"

	"github.com/rankrsync/rankrsync/app"
)

func (c *cli) config() *cobra.Command {
	return &cobra.Command{
		Use:     "config",
		Short:   "Print the settings in force and where each comes from",
		Example: example("starter config", "starter config --output json"),
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := c.settings()
			if err != nil {
				return err
			}
			options, err := app.Temporal(c.temporal, slog.New(slog.DiscardHandler))
			if err != nil {
				return &exit{usedWrongly, err.Error()}
			}
			settings := append(config.Settings(), config.TemporalSettings(options, c.temporal)...)
			return list(c, command, settings, "", []string{"NAME", "VALUE", "ORIGIN"}, func(s app.Setting) []string {
				return []string{s.Name, orDash(s.Value), s.Origin}
			})
		},
	}
}

// build is what is known of this binary.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Date    string `json:"date,omitempty"`
	Go      string `json:"go"`
	SDK     string `json:"temporalSdk"`
}

func version() build {
	b := build{Version: "development", Go: runtime.Version(), SDK: temporalsdk.SDKVersion}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.time":
			b.Date = setting.Value
		}
	}
	return b
}

func (c *cli) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print what this binary is",
		Example: example("starter version"),
		Args:    noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			b := version()
			text := fmt.Sprintf("starter %s (%s, Temporal SDK %s)", b.Version, b.Go, b.SDK)
			if b.Commit != "" {
				text = fmt.Sprintf("starter %s (commit %s of %s, %s, Temporal SDK %s)", b.Version, b.Commit, b.Date, b.Go, b.SDK)
			}
			return c.one(command, b, text)
		},
	}
}
