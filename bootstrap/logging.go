package bootstrap

import (
	"io"
	"log/slog"
)

// NewLogger returns a logger of the configured level and format.
func NewLogger(w io.Writer, config Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: config.LogLevel}
	if config.LogFormat == LogText {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
