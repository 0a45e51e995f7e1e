// Logs: records with fixed keys (location, contact, system, operation, code), readable on a terminal, JSON elsewhere.

package app

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"
)

// NewLogger returns a logger that writes to out as the settings say. NO_COLOR is respected.
func NewLogger(config Config, out io.Writer) *slog.Logger {
	terminal := isTerminal(out)
	if config.LogFormat == "json" || config.LogFormat != "text" && !terminal {
		return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: config.LogLevel.Level}))
	}
	return slog.New(tint.NewTextHandler(out, &tint.Options{
		Level:      config.LogLevel.Level,
		TimeFormat: time.TimeOnly,
		NoColor:    !terminal || os.Getenv("NO_COLOR") != "",
	}))
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}
