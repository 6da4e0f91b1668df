package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/migrations"
)

// schemaChange is one of the commands on the schema.
type schemaChange struct {
	do func(context.Context, *goose.Provider) error
	// deletes says that data goes.
	deletes bool
}

// migrate changes the schema, or shows it, and then tells how it stands.
func (p program) migrate(ctx context.Context, args []string) int {
	changes := map[string]schemaChange{
		"up":     {do: migrations.Up},
		"down":   {do: migrations.Down, deletes: true},
		"redo":   {do: migrations.Redo, deletes: true},
		"status": {do: func(context.Context, *goose.Provider) error { return nil }},
	}
	const ask = "say up, down, redo or status"
	flags := newFlags("migrate")
	yes := flags.Bool("yes", false, "")
	force := flags.Bool("force", false, "")
	return p.command(flags, args, operands{1, 1, ask}, func(given []string) int {
		change, known := changes[given[0]]
		switch {
		case !known:
			return p.misused("migrate", fmt.Sprintf("there is no %q: %s", given[0], ask))
		case (*yes || *force) && !change.deletes:
			return p.misused("migrate", "--yes and --force are for down and redo")
		}
		return p.operate(func(config bootstrap.Config, options bootstrap.Options) error {
			return bootstrap.WithSchema(ctx, config, options, func(schema bootstrap.Schema) error {
				if change.deletes {
					if err := p.confirm(ctx, schema, *yes, *force); err != nil {
						return err
					}
				}
				if err := change.do(ctx, schema.Steps); err != nil {
					return err
				}
				return p.printSchema(ctx, schema.Steps)
			})
		})
	})
}

// confirm shows what would be lost, and refuses that without the consent of the
// caller, or under running servers.
func (p program) confirm(ctx context.Context, schema bootstrap.Schema, yes, force bool) error {
	loss, err := schema.Loss(ctx)
	if err != nil {
		return err
	}
	table := p.table()
	_, _ = fmt.Fprintf(table, "TO BE LOST WITH %s\tROWS\n", loss.Step)
	for _, t := range loss.Tables {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", t.Name, t)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if !force {
		servers, err := schema.Servers(ctx)
		if err != nil {
			return err
		}
		if len(servers) > 0 {
			return fmt.Errorf("nothing was changed: servers use this database: %s: stop them first, or say --force", strings.Join(servers, ", "))
		}
	}
	if !yes {
		return errors.New("nothing was changed: make a backup, then say --yes to lose that")
	}
	return p.say("")
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
