package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

const day = 24 * time.Hour

// moment is a flag that takes a time.
type moment struct{ time.Time }

// Set reads a date, which begins at midnight in UTC, or a time of RFC 3339.
func (m *moment) Set(text string) error {
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(form, text); err == nil {
			m.Time = at.UTC()
			return nil
		}
	}
	return errors.New("give a date such as 2026-11-23 or a time such as 2026-11-23T10:00:00Z")
}

// rebuild computes aggregates anew and prints each day when it is done, on
// standard output.
func (p program) rebuild(ctx context.Context, args []string) int {
	var from, to moment
	flags := newFlags("rebuild")
	flags.Var(&from, "from", "")
	flags.Var(&to, "to", "")
	force := flags.Bool("force", false, "")
	return p.command(flags, args, operands{}, func([]string) int {
		if from.IsZero() || to.IsZero() {
			return p.misused("rebuild", "give both --from and --to")
		}
		if !from.Before(to.Time) {
			return p.misused("rebuild", "the range is empty: --from must be before --to")
		}
		// One that ends in the far future would go through each of its days.
		if tomorrow := time.Now().UTC().Truncate(day).Add(day); !to.Before(tomorrow.Add(day)) {
			return p.misused("rebuild", "--from and --to may not be after tomorrow, "+tomorrow.Format(time.DateOnly)+" in UTC")
		}
		return p.operate(func(config bootstrap.Config, options bootstrap.Options) error {
			return bootstrap.WithRebuild(ctx, config, options, func(u *app.Rebuild) error {
				err := u.Range(ctx, app.RebuildRange{From: from.Time, To: to.Time, Force: *force}, func(d app.RebuiltDay) {
					_, _ = fmt.Fprintf(p.stdout, "%s: %d events\n", d.Day.Format(time.DateOnly), d.Events)
				})
				if domain.CodeOf(err) == domain.CodeInvalid {
					// The arguments are fine: it is the data that forbids it.
					return errors.New(domain.MessageOf(err))
				}
				return err
			})
		})
	})
}
