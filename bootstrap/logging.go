package bootstrap

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// NewLogger returns a logger of the configured level and format. On a
// [LogWriter] it has that report lost lines in the same format.
func NewLogger(w io.Writer, config Config) *slog.Logger {
	if writer, ok := w.(*LogWriter); ok {
		report := func(to io.Writer, lost int64) error {
			line := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were lost", 0)
			line.AddAttrs(slog.Int64("lines", lost))
			return newLogHandler(to, config).Handle(context.Background(), line)
		}
		writer.report.Store(&report)
	}
	return slog.New(newLogHandler(w, config))
}

func newLogHandler(w io.Writer, config Config) slog.Handler {
	options := &slog.HandlerOptions{Level: config.LogLevel}
	if config.LogFormat == LogText {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}
