package main

import (
	"context"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/sqlite"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
)

// backup copies the embedded database and says what is in the copy.
func (p program) backup(ctx context.Context, args []string) int {
	return p.command(newFlags("backup"), args, operands{1, 1, "name the file to make"}, func(given []string) int {
		return p.operate(func(config bootstrap.Config, _ bootstrap.Options) error {
			b, err := bootstrap.WriteBackup(ctx, config, given[0])
			if err != nil {
				return err
			}
			const kilo = 1000
			return p.say("%s and %s: %.1f MB, checked; %d raw events, %d calls in statistics, %d events in the queue, %d dead letters",
				given[0], sqlite.QueueBackup(given[0]), float64(b.Bytes)/(kilo*kilo), b.Events, b.Calls, b.QueuedEvents, b.DeadLetters)
		})
	})
}
