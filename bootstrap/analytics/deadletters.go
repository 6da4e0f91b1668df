package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/adapters/httpapi"
	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
	"github.com/weather-mcp/weather-mcp-analytics/ports"
)

// deadLetters lets an operator look at dead letters, replay and purge them.
func (p program) deadLetters(ctx context.Context, args []string) int {
	if len(args) == 0 {
		return p.misused("deadletters", "say list, show, replay or purge")
	}
	action, args := args[0], args[1:]
	switch action {
	case "list":
		return p.onLetters(ctx, action, args, operands{}, letterCommand.list)
	case "show":
		return p.onLetters(ctx, action, args, operands{1, 1, "name one dead letter"}, letterCommand.show)
	case "replay":
		return p.onLetters(ctx, action, args, operands{0, anyNumber, ""}, letterCommand.replay)
	case "purge":
		return p.onLetters(ctx, action, args, operands{0, anyNumber, ""}, letterCommand.purge)
	case "help", "-h", "-help", "--help":
		return p.help()
	default:
		return p.misused("deadletters", fmt.Sprintf("there is no %q: say list, show, replay or purge", action))
	}
}

// letterCommand is one of the commands on dead letters.
type letterCommand struct {
	program

	letters *app.DeadLetters
	ids     []domain.BatchID
	all     bool
	asJSON  bool
}

func (p program) onLetters(
	ctx context.Context, action string, args []string, wanted operands, do func(letterCommand, context.Context) error,
) int {
	c := letterCommand{program: p}
	flags := newFlags("deadletters " + action)
	flags.BoolVar(&c.asJSON, "json", false, "")
	chooses := wanted.most == anyNumber
	if chooses {
		flags.BoolVar(&c.all, "all", false, "")
	}
	return p.command(flags, args, wanted, func(given []string) int {
		if chooses && c.all == (len(given) > 0) {
			problem := "ids are missing: name dead letters, or say --all"
			if c.all {
				problem = "name dead letters, or say --all, but not both"
			}
			return p.misused(flags.Name(), problem)
		}
		for _, id := range given {
			c.ids = append(c.ids, domain.BatchID(id))
		}
		return p.operate(func(config bootstrap.Config, options bootstrap.Options) error {
			return bootstrap.WithDeadLetters(ctx, config, options, func(u *app.DeadLetters) error {
				c.letters = u
				return do(c, ctx)
			})
		})
	})
}

func (c letterCommand) list(ctx context.Context) error {
	letters := []letterJSON{}
	err := c.letters.Each(ctx, func(l ports.DeadLetter) error {
		letters = append(letters, newLetterJSON(&l))
		return nil
	})
	if err != nil {
		return err
	}
	if c.asJSON {
		return c.printJSON(letters)
	}
	if len(letters) == 0 {
		return c.say("There are no dead letters.")
	}
	table := c.table()
	_, _ = fmt.Fprintln(table, "ID\tBURIED AT\tEVENTS\tATTEMPTS\tREASON")
	for _, l := range letters {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", l.ID, instant(l.BuriedAt), l.count(), l.Attempts, oneLine(l.Reason))
	}
	return table.Flush()
}

func (c letterCommand) show(ctx context.Context) error {
	letter, err := c.letters.Get(ctx, c.ids[0])
	if err != nil {
		return err
	}
	l := newLetterJSON(&letter)
	events := make([]*httpapi.EventJSON, len(letter.Batch.Events))
	for i := range letter.Batch.Events {
		events[i] = httpapi.NewEventJSON(&letter.Batch.Events[i])
	}
	if c.asJSON {
		return c.printJSON(struct {
			letterJSON

			Events []*httpapi.EventJSON `json:"events"`
		}{l, events})
	}
	table := c.table()
	_, _ = fmt.Fprintf(table, "id\t%s\nreceived at\t%s\nburied at\t%s\nattempts\t%d\nreason\t%s\nevents\t%s\n",
		l.ID, instant(l.ReceivedAt), instant(l.BuriedAt), l.Attempts, oneLine(l.Reason), l.count())
	if err := table.Flush(); err != nil {
		return err
	}
	lines := json.NewEncoder(c.stdout)
	for i := range events {
		if err := lines.Encode(events[i]); err != nil {
			return fmt.Errorf("print event %d: %w", i, err)
		}
	}
	return nil
}

// errSomeStay is the outcome when not all could be done.
var errSomeStay = errors.New("not all of that could be done")

type replayedJSON struct {
	ID       domain.BatchID `json:"id"`
	Replayed bool           `json:"replayed"`
	// Problem says why not.
	Problem string `json:"problem,omitempty"`
}

func (c letterCommand) replay(ctx context.Context) error {
	ids, err := c.chosen(ctx)
	if err != nil {
		return err
	}
	outcomes := []replayedJSON{}
	failed := false
	err = c.letters.Replay(ctx, ids, func(r app.Replayed) {
		outcome := replayedJSON{ID: r.ID, Replayed: r.Err == nil}
		if r.Err != nil {
			failed, outcome.Problem = true, domain.MessageOf(r.Err)
		}
		if outcomes = append(outcomes, outcome); !c.asJSON {
			_ = c.say("%s: %s", r.ID, cmp.Or(outcome.Problem, "replayed"))
		}
	})
	if c.asJSON {
		err = errors.Join(err, c.printJSON(outcomes))
	}
	if err == nil && failed {
		err = errSomeStay
	}
	return err
}

func (c letterCommand) purge(ctx context.Context) error {
	ids, err := c.chosen(ctx)
	if err != nil {
		return err
	}
	purged, err := c.letters.Purge(ctx, ids...)
	if c.asJSON {
		err = errors.Join(err, c.printJSON(map[string]int{"purged": purged}))
	} else {
		err = errors.Join(err, c.say("%d of %d purged", purged, len(ids)))
	}
	if err == nil && purged < len(ids) {
		err = errSomeStay
	}
	return err
}

// chosen lists the dead letters that the caller named, each once.
func (c letterCommand) chosen(ctx context.Context) ([]domain.BatchID, error) {
	if c.all {
		return c.letters.IDs(ctx)
	}
	var ids []domain.BatchID
	seen := make(map[domain.BatchID]bool)
	for _, id := range c.ids {
		if !seen[id] {
			ids = append(ids, id)
		}
		seen[id] = true
	}
	return ids, nil
}

// letterJSON is a dead letter without its events.
type letterJSON struct {
	ID         domain.BatchID `json:"id"`
	ReceivedAt time.Time      `json:"received_at,omitzero"`
	BuriedAt   time.Time      `json:"buried_at"`
	Attempts   int            `json:"attempts"`
	Reason     string         `json:"reason"`
	EventCount int            `json:"event_count"`
}

func newLetterJSON(l *ports.DeadLetter) letterJSON {
	return letterJSON{
		ID: l.ID, ReceivedAt: l.Batch.ReceivedAt, BuriedAt: l.BuriedAt,
		Attempts: l.Attempts, Reason: l.Reason, EventCount: len(l.Batch.Events),
	}
}

// count is the number of events; what could not be read shows none.
func (l letterJSON) count() string {
	if l.EventCount == 0 {
		return "unreadable"
	}
	return strconv.Itoa(l.EventCount)
}

func (p program) printJSON(value any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

func (p program) say(format string, args ...any) error {
	_, err := io.WriteString(p.stdout, fmt.Sprintf(format, args...)+"\n")
	return err
}

func instant(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format(time.RFC3339)
}

// oneLine keeps a table in shape.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
