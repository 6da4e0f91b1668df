package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/migrations"
)

// migrate changes the schema, or shows it, and then tells how it stands.
func (p program) migrate(ctx context.Context, args []string) int {
	changes := map[string]func(context.Context, *goose.Provider) error{
		"up":     migrations.Up,
		"down":   migrations.Down,
		"redo":   migrations.Redo,
		"status": func(context.Context, *goose.Provider) error { return nil },
	}
	const ask = "say up, down, redo or status"
	return p.command(newFlags("migrate"), args, operands{1, 1, ask}, func(given []string) int {
		change, known := changes[given[0]]
		if !known {
			return p.misused("migrate", fmt.Sprintf("there is no %q: %s", given[0], ask))
		}
		return p.operate(func(config bootstrap.Config, options bootstrap.Options) error {
			return bootstrap.WithSchema(ctx, config, options, func(schema *goose.Provider) error {
				if err := change(ctx, schema); err != nil {
					return err
				}
				return p.printSchema(ctx, schema)
			})
		})
	})
}

// printSchema lists the steps. That the database has taken more of them than
// this program knows is an error.
func (p program) printSchema(ctx context.Context, schema *goose.Provider) error {
	steps, err := migrations.Status(ctx, schema)
	if err != nil {
		return err
	}
	table := p.table()
	_, _ = fmt.Fprintln(table, "STEP\tTAKEN AT")
	for _, s := range steps {
		taken := "not yet"
		if !s.TakenAt.IsZero() {
			taken = s.TakenAt.UTC().Format(time.RFC3339)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\n", s.Name, taken)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return migrations.RefuseNewer(ctx, schema)
}
