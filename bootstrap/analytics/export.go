package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weather-mcp/weather-mcp-analytics/app"
	"github.com/weather-mcp/weather-mcp-analytics/bootstrap"
	"github.com/weather-mcp/weather-mcp-analytics/domain"
)

// The choices of analytics export, the default first.
var (
	exportWhats   = choice{"calls", "errors"}
	exportFormats = choice{"csv", "jsonl"}
	exportLengths = choice{string(domain.Daily), string(domain.Hourly)}
)

// choice lists the values of a flag.
type choice []string

// flag is one that takes these values alone.
func (c choice) flag(flags *flag.FlagSet, name string) *string {
	value := c[0]
	flags.Func(name, "", func(text string) error {
		if !slices.Contains(c, text) {
			return errors.New("give " + strings.Join(c, " or "))
		}
		value = text
		return nil
	})
	return &value
}

// export writes all that the aggregates hold, as lines on standard output or in a
// new file.
func (p program) export(ctx context.Context, args []string) int {
	var from, to moment
	flags := newFlags("export")
	flags.Var(&from, "from", "")
	flags.Var(&to, "to", "")
	what, format := exportWhats.flag(flags, "what"), exportFormats.flag(flags, "format")
	resolution := exportLengths.flag(flags, "resolution")
	file := flags.String("output", "", "")
	return p.command(flags, args, operands{}, func([]string) int {
		if !to.IsZero() && !from.Before(to.Time) {
			return p.misused("export", "the range is empty: --from must be before --to")
		}
		r := app.ExportRange{From: from.Time, To: to.Time, Resolution: domain.Resolution(*resolution)}
		return p.operate(func(config bootstrap.Config, options bootstrap.Options) error {
			return bootstrap.WithExport(ctx, config, options, func(u *app.Export) error {
				write := func(to io.Writer) (int, error) { return exportTo(ctx, u, r, *what, newRowWriter(*format, to)) }
				if *file != "" {
					return p.exportFile(*file, *what, write)
				}
				_, err := write(standardOutput{p.stdout})
				if errors.Is(err, errUnread) {
					return nil // run says what is wrong, if anything
				}
				return err
			})
		})
	})
}

// errUnread says that what is written goes nowhere.
var errUnread = errors.New("standard output is not read any more")

// standardOutput ends the export when nothing takes it any more.
type standardOutput struct{ io.Writer }

// Write fails with errUnread.
func (s standardOutput) Write(text []byte) (int, error) {
	n, err := s.Writer.Write(text)
	if o, ok := s.Writer.(*output); ok && o.ended {
		return 0, errUnread
	}
	return n, err
}

// exportFile makes the file, complete or not at all. No other user can read
// it.
func (p program) exportFile(name, what string, write func(io.Writer) (int, error)) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator's choice
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists: name a file that does not", name)
	case err != nil:
		return fmt.Errorf("the file cannot be made: %w", err)
	}
	rows, err := write(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(name)
		return err
	}
	return p.say("%s: %d rows of %s", name, rows, what)
}

// exportTo writes all rows, and returns how many these are.
func exportTo(ctx context.Context, u *app.Export, r app.ExportRange, what string, w rowWriter) (int, error) {
	n := 0
	var err error
	if what == "errors" {
		if err = w.begin(failureRow{}); err == nil {
			err = u.Errors(ctx, r, func(rows []domain.ErrorRow) error {
				n += len(rows)
				return writeRows(w, rows, newFailureRow)
			})
		}
	} else if err = w.begin(callRow{}); err == nil {
		err = u.Calls(ctx, r, func(rows []domain.RollupRow) error {
			n += len(rows)
			return writeRows(w, rows, newCallRow)
		})
	}
	return n, errors.Join(err, w.flush())
}

func writeRows[R any, L exportRow](w rowWriter, rows []R, line func(*R) L) error {
	for i := range rows {
		if err := w.write(line(&rows[i])); err != nil {
			return err
		}
	}
	return w.flush()
}

// exportRow is a row as it is written. As JSON it has the fields in the same order.
type exportRow interface {
	// names are those of the columns, and fields the texts in them.
	names() []string
	fields() []string
}

// callRow is a group of calls.
type callRow struct {
	Bucket            time.Time `json:"bucket"`
	Tool              string    `json:"tool"`
	Version           string    `json:"version"`
	Country           string    `json:"country"`
	Service           string    `json:"service"`
	Calls             int64     `json:"calls"`
	Errors            int64     `json:"errors"`
	CacheHits         int64     `json:"cache_hits"`
	CacheMisses       int64     `json:"cache_misses"`
	Retries           int64     `json:"retries"`
	RetriesObserved   int64     `json:"retries_observed"`
	Retried           int64     `json:"retried"`
	Timed             int64     `json:"timed"`
	ResponseTimeSumMS int64     `json:"response_time_sum_ms"`
	// These are missing where no call has a response time.
	ResponseTimeMinMS *int32   `json:"response_time_min_ms"`
	ResponseTimeMaxMS *int32   `json:"response_time_max_ms"`
	P50MS             *float64 `json:"p50_ms"`
	P95MS             *float64 `json:"p95_ms"`
	P99MS             *float64 `json:"p99_ms"`
	Sessions          int64    `json:"sessions"`
}

func newCallRow(row *domain.RollupRow) callRow {
	r := &row.Rollup
	line := callRow{
		Bucket: row.Bucket, Tool: row.Group.Tool, Version: row.Group.Version, Country: row.Group.Country, Service: row.Group.Service,
		Calls: r.Calls, Errors: r.Errors, CacheHits: r.CacheHits, CacheMisses: r.CacheMisses,
		Retries: r.Retries, RetriesObserved: r.RetriesObserved, Retried: r.Retried,
		Timed: r.Timed, ResponseTimeSumMS: r.ResponseTimeSumMS, Sessions: r.Sessions.Estimate(),
	}
	if r.Timed > 0 {
		quantile := func(q float64) *float64 { return new(math.Round(r.Quantile(q)*10) / 10) }
		line.ResponseTimeMinMS, line.ResponseTimeMaxMS = &r.ResponseTimeMinMS, &r.ResponseTimeMaxMS
		line.P50MS, line.P95MS, line.P99MS = quantile(0.50), quantile(0.95), quantile(0.99)
	}
	return line
}

func (callRow) names() []string {
	return []string{
		"bucket", "tool", "version", "country", "service", "calls", "errors", "cache_hits", "cache_misses",
		"retries", "retries_observed", "retried", "timed", "response_time_sum_ms", "response_time_min_ms", "response_time_max_ms",
		"p50_ms", "p95_ms", "p99_ms", "sessions",
	}
}

func (r callRow) fields() []string {
	return []string{
		instant(r.Bucket), cell(r.Tool), cell(r.Version), cell(r.Country), cell(r.Service),
		number(r.Calls), number(r.Errors), number(r.CacheHits), number(r.CacheMisses),
		number(r.Retries), number(r.RetriesObserved), number(r.Retried), number(r.Timed), number(r.ResponseTimeSumMS),
		optional(r.ResponseTimeMinMS), optional(r.ResponseTimeMaxMS), optional(r.P50MS), optional(r.P95MS), optional(r.P99MS),
		number(r.Sessions),
	}
}

// failureRow is the failed calls of a group with one error type.
type failureRow struct {
	Bucket    time.Time `json:"bucket"`
	Tool      string    `json:"tool"`
	Version   string    `json:"version"`
	Country   string    `json:"country"`
	Service   string    `json:"service"`
	ErrorType string    `json:"error_type"`
	Count     int64     `json:"count"`
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
}

func newFailureRow(row *domain.ErrorRow) failureRow {
	return failureRow{
		Bucket: row.Bucket, Tool: row.Group.Tool, Version: row.Group.Version, Country: row.Group.Country, Service: row.Group.Service,
		ErrorType: row.ErrorType, Count: row.Count, FirstSeen: row.FirstSeen, LastSeen: row.LastSeen,
	}
}

func (failureRow) names() []string {
	return []string{"bucket", "tool", "version", "country", "service", "error_type", "count", "first_seen", "last_seen"}
}

func (r failureRow) fields() []string {
	return []string{
		instant(r.Bucket), cell(r.Tool), cell(r.Version), cell(r.Country), cell(r.Service), cell(r.ErrorType),
		number(r.Count), instant(r.FirstSeen), instant(r.LastSeen),
	}
}

// cell is a text that no spreadsheet takes for a formula: clients choose versions
// and error types, and these may begin with + or -.
func cell(text string) string {
	if strings.IndexAny(text, "=+-@\t\r") == 0 {
		return "'" + text
	}
	return text
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// optional is empty for a number that there is not.
func optional[N int32 | float64](n *N) string {
	if n == nil {
		return ""
	}
	return strconv.FormatFloat(float64(*n), 'f', -1, 64)
}

// rowWriter writes rows in a format.
type rowWriter interface {
	begin(exportRow) error
	write(exportRow) error
	flush() error
}

func newRowWriter(format string, to io.Writer) rowWriter {
	if format == "jsonl" {
		buffer := bufio.NewWriter(to)
		encoder := json.NewEncoder(buffer)
		encoder.SetEscapeHTML(false)
		return jsonRows{buffer, encoder}
	}
	return csvRows{csv.NewWriter(to)}
}

type csvRows struct{ *csv.Writer }

func (c csvRows) begin(r exportRow) error { return c.Write(r.names()) }
func (c csvRows) write(r exportRow) error { return c.Write(r.fields()) }

func (c csvRows) flush() error {
	c.Flush()
	return c.Error()
}

type jsonRows struct {
	buffer  *bufio.Writer
	encoder *json.Encoder
}

func (jsonRows) begin(exportRow) error     { return nil }
func (j jsonRows) write(r exportRow) error { return j.encoder.Encode(r) }
func (j jsonRows) flush() error            { return j.buffer.Flush() }
